"""What a run pushes changes no answer before an arm is moved to its slot: a real Feast, Triton and gateway."""

import asyncio
from dataclasses import replace

from components.contracts.serving import Arm, RolloutRecord, rollout_file, write_rollout
from components.feature_push.push import GenerationFeatures, push_features_to
from feature_repo.definitions import user_service
from feature_repo.store import Assignment, History, Rationale, feature_store_folder, open_feature_store

TEXT, TEXT_ENCODER = 6, "tiny"  # of the stack's rankers
USERS = [f"user {number}" for number in range(12)]


def features_of(generation: int) -> GenerationFeatures:
    """Histories and rationales that differ between generations for every user; one text, so one rationale id, stays."""
    rationales = {
        f"r{number}": Rationale([(number + 1) / 4] * TEXT, TEXT_ENCODER, f"text {number}", "one", banned=False)
        for number in range(3)
    }
    assignments = {
        user: Assignment([f"r{(row + generation) % 3}"], [0.5 + generation / 4]) for row, user in enumerate(USERS)
    }
    histories = {
        user: History([f"item {(row + step + 5 * generation) % 20:02}" for step in range(4)])
        for row, user in enumerate(USERS)
    }
    return GenerationFeatures(rationales, assignments, histories)


async def answers(client) -> list[dict]:
    """What the users are answered, without what is of the request alone."""
    found = []
    for user in USERS:
        asked = {"user_id": user, "candidates": [f"item {number:02}" for number in range(1, 15)]}
        for path, body in (("rank", asked), ("recommend", {"user_id": user})):
            response = await client.post(f"/v1/{path}", json=body)
            answer = response.json()
            assert answer["ladder_step"] == "fresh", response.text
            found.append({name: value for name, value in answer.items() if name not in ("request_id", "latency_ms")})
    return found


def test_a_push_changes_nothing_until_the_arm_is_moved_to_its_slot(stack, triton, asking, make_arm, tmp_path):
    settings = stack.settings.model_copy(
        update={"home": tmp_path / "home", "model_repository": stack.settings.resolved_model_repository}
    )
    store, folder = open_feature_store(settings), feature_store_folder(settings)
    push_features_to(store, folder, "blue", features_of(0))
    arm: Arm = make_arm()
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(arm,)))
    # Nothing is remembered between requests: each reads the store.
    changes = {"triton_grpc": triton.grpc_address, "gateway_budget_ms": 10_000, "gateway_feature_seconds": 0.0}

    async def scene() -> None:
        async with asking(settings, **changes) as client:
            before = await answers(client)
            push_features_to(store, folder, "green", features_of(1))
            assert await answers(client) == before
            moved = replace(arm, slot="green", feature_service=user_service("green"))
            write_rollout(rollout_file(settings), RolloutRecord(state=1, salt="salt", arms=(moved,)))
            for _ in range(100):
                await asyncio.sleep(0.1)
                if await answers(client) != before:  # the record has been taken in, perhaps in the middle of them
                    break
            after = await answers(client)
            assert sum(one["items"] != other["items"] for one, other in zip(before, after, strict=True)) > len(USERS)

    asyncio.run(scene())
