"""What an operator decides while the gateway runs: items and texts kept out, old versions, and who asked."""

import asyncio
import hashlib
import json
import time

import pytest

from components.contracts.exclusions import ADMIT, EXCLUDE, ITEM, TEXT, decide, exclusions_file
from components.contracts.serving import ACCESSES, ACCESSES_FOLDER, log_folder, read_log
from components.feature_push.push import GenerationFeatures, push_features_to
from components.foundation.settings import Settings
from feature_repo.store import Assignment, History, Rationale, feature_store_folder, open_feature_store
from serving.gateway import exclusions

BLOCKED = ["item 30", "item 03", "no item of any version"]


@pytest.fixture
def file(stack):
    """The decisions, which no other test shall be subject to."""
    path = exclusions_file(stack.settings)
    yield path
    path.unlink(missing_ok=True)


def items_of(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_a_blocked_item_is_in_no_list_of_any_step(stack, triton, asking, file, monkeypatch):
    monkeypatch.setattr(exclusions, "LOOK_SECONDS", 0.05)

    async def scene(client) -> list[dict]:
        asked = [("known", 27), ("misfit", 27), ("nobody", 30)]  # ranked, ID-only, popular: all there is
        answers = [
            (await client.post("/v1/recommend", json={"user_id": user, "count": count})).json() for user, count in asked
        ]
        candidates = {"candidates": ["item 30", "item 12", "item 99"]}
        for user, _ in asked:
            answers.append((await client.post("/v1/rank", json={"user_id": user} | candidates)).json())
        return answers

    async def until(client, excluded: int) -> None:
        async with asyncio.timeout(60):
            while f"reland_gateway_excluded_items {excluded:.1f}" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.05)

    async def run():
        async with asking(stack.settings, triton_grpc=triton.grpc_address) as client:
            before = await scene(client)
            decide(file, EXCLUDE, ITEM, BLOCKED, "recalled")
            await until(client, 3)
            blocked = await scene(client)
            decide(file, ADMIT, ITEM, BLOCKED, "tested and fine")
            await until(client, 0)
            return before, blocked, await scene(client)

    before, blocked, after = asyncio.run(run())
    assert [answer["ladder_step"] for answer in blocked] == ["fresh", "id_only", "popular"] * 2
    for was, now in zip(before[:3], blocked[:3], strict=True):
        assert items_of(now) == [item for item in items_of(was) if item not in BLOCKED]
        assert len(items_of(now)) == len(items_of(was)) - 2
    for was, now in zip(before[3:], blocked[3:], strict=True):
        assert set(items_of(was)) == {"item 30", "item 12"} and was["excluded_items"] == []
        assert items_of(now) == ["item 12"]
        assert (now["excluded_items"], now["unknown_items"]) == (["item 30"], ["item 99"])
    assert [items_of(answer) for answer in after] == [items_of(answer) for answer in before]


def test_a_list_is_as_long_as_before_where_there_are_other_items(stack, triton, asking, file):
    async def run():
        async with asking(stack.settings, triton_grpc=triton.grpc_address) as client:
            body = {"user_id": "known", "count": 10}
            return (await client.post("/v1/recommend", json=body)).json()

    best = items_of(asyncio.run(run()))
    decide(file, EXCLUDE, ITEM, best[:5], "recalled")
    without = items_of(asyncio.run(run()))
    assert without[:5] == best[5:] and len(without) == 10


def test_a_banned_text_explains_and_ranks_nothing(stack, triton, asking, file):
    async def run():
        async with asking(stack.settings, triton_grpc=triton.grpc_address) as client:
            answer = (await client.post("/v1/rank", json={"user_id": "known", "candidates": ["item 12"]})).json()
            bare = (await client.post("/v1/rank", json={"user_id": "bare", "candidates": ["item 12"]})).json()
            return answer, bare, (await client.get("/v1/explanations/known")).json()

    decide(file, EXCLUDE, TEXT, ["Quiet  Films"], "a complaint")
    answer, bare, explained = asyncio.run(run())
    assert (answer["ladder_step"], answer["explanation"], explained["explanation"]) == ("fresh", None, None)
    assert answer["items"] == bare["items"]  # of an equal history and no rationale


def test_a_slot_that_another_run_has_filled_is_not_given_to_the_ranker(stack, triton, asking, tmp_path):
    settings = Settings(home=tmp_path, model_repository=stack.settings.resolved_model_repository)
    (tmp_path / "serving").mkdir()
    record = (stack.settings.home / "serving" / "rollout.json").read_bytes()
    (tmp_path / "serving" / "rollout.json").write_bytes(record)
    features = GenerationFeatures(
        {"r": Rationale([0.5] * 6, "tiny", "likes quiet films", "two", banned=False)},
        {"known": Assignment(["r"], [0.75], "the pool of another run")},
        {"known": History(["item 09"])},
    )
    push_features_to(open_feature_store(settings), feature_store_folder(settings), "blue", features)

    async def run():
        async with asking(settings, triton_grpc=triton.grpc_address) as client:
            answer = await client.post("/v1/rank", json={"user_id": "known", "candidates": ["item 12"]})
            metrics = await client.get("/metrics")
            return answer.json(), metrics.text

    answer, metrics = asyncio.run(run())
    assert (answer["ladder_step"], answer["explanation"]) == ("id_only", None)
    assert 'reland_gateway_mismatches_total{feature="assignment"} 1.0' in metrics


def test_who_asked_for_what_is_logged_by_the_name_of_the_key_and_old_files_go(stack, triton, asking, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"shop": hashlib.sha256(b"the key").hexdigest()}))
    folder = log_folder(stack.settings, ACCESSES_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    old = folder / f"{1:020d}-1-000000.parquet"
    old.touch()
    changes = {"gateway_auth": "keys", "gateway_keys": keys, "gateway_log_days": 1.0}

    async def run():
        async with asking(stack.settings, triton_grpc=triton.grpc_address, **changes) as client:
            client.headers["x-api-key"] = "the key"
            ranked = (await client.post("/v1/rank", json={"user_id": "known", "candidates": ["item 12"]})).json()
            event = {"request_id": ranked["request_id"], "item_id": "item 12", "outcome": "click"}
            assert (await client.post("/v1/events", json={"events": [event]})).status_code == 202
            await client.get("/v1/explanations/bare")
            deadline = time.monotonic() + 60
            while old.exists() and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            return ranked["request_id"]

    request_id = asyncio.run(run())
    assert not old.exists()
    rows = [{**row, "time": None} for row in read_log(folder, ACCESSES).to_pylist()]
    shop = {"principal": "shop", "user_id": None, "request_id": None, "time": None}
    assert rows == [
        shop | {"endpoint": "rank", "user_id": "known", "request_id": request_id},
        shop | {"endpoint": "events"},
        shop | {"endpoint": "explanations", "user_id": "bare"},
    ]
