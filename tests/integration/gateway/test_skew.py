"""What the real gateway logs, replayed against the artifacts that its features came from: no skew, or it is found."""

import asyncio
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import CONFIG_FILE, HISTORIES_FILE, LINEAGE_FILE, MATCHES_FILE, RATIONALES_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH
from components.contracts.serving import (
    RANKED_REQUESTS,
    RANKED_REQUESTS_FOLDER,
    RolloutRecord,
    log_folder,
    read_log,
    rollout_file,
    write_rollout,
)
from components.contracts.tables import HISTORIES, MATCHES, RATIONALES, write_table, write_vectors
from components.feature_push.push import load_features, load_histories, push_features_to
from components.foundation.files import write_json
from components.ranker_release.replay import Artifacts, replay
from feature_repo.store import feature_store_folder, open_feature_store

TEXT, TEXT_ENCODER, ITEMS = 6, "tiny", 30  # of the stack's rankers
USERS = [f"user {number}" for number in range(12)]
WITHOUT_RATIONALE = USERS[-2:]
RATIONALE_IDS = [f"rationale {number}" for number in range(3)]


@pytest.fixture
def artifacts(stack, tmp_path) -> Artifacts:
    """A run's artifacts beside the stack's rankers: histories short, longer than a ranker reads, and with items that
    no ranker knows; two users are matched to no rationale.
    """
    found = Artifacts(
        stack.settings.home / "rankers" / "1", *(tmp_path / name for name in ("prepared", "matches", "texts"))
    )
    random = np.random.default_rng(0)
    lengths = [1, 2, HISTORY_LENGTH, HISTORY_LENGTH + 10, *random.integers(1, 20, len(USERS) - 4)]
    # One item more than the ranker has.
    histories = [[f"item {n:02}" for n in random.integers(1, ITEMS + 2, length)] for length in lengths]
    write_table(pa.table([USERS, histories], HISTORIES), found.prepared / HISTORIES_FILE, HISTORIES)
    texts = random.normal(size=(len(RATIONALE_IDS), TEXT)).astype(np.float32)
    write_vectors(found.rationale_embeddings, "rationale_id", RATIONALE_IDS, texts)
    write_json(found.rationale_embeddings / CONFIG_FILE, {"text_encoder": TEXT_ENCODER, "dimension": TEXT})
    matched = [
        {"user_id": user, "rationale_id": RATIONALE_IDS[number % 3], "seed_user_id": "s", "similarity": 0.5, "rank": 1}
        for number, user in enumerate(USERS)
        if user not in WITHOUT_RATIONALE
    ]
    write_table(pa.Table.from_pylist(matched, MATCHES), found.matches / MATCHES_FILE, MATCHES)
    write_json(found.matches / LINEAGE_FILE, {"encoder_version": "1", "collection": ""})  # of the stack's rankers
    return found


@pytest.fixture
def features(artifacts, tmp_path):
    """The features as the pipeline makes them of the artifacts."""
    empty = {field.name: ([] if pa.types.is_list(field.type) else "") for field in RATIONALES}
    numbers = {field.name: 0 for field in RATIONALES if pa.types.is_integer(field.type)}
    rows = [
        empty | numbers | {"rationale_id": rationale_id, "preference_summary": f"likes {rationale_id}"}
        for rationale_id in RATIONALE_IDS
    ]
    write_table(pa.Table.from_pylist(rows, RATIONALES), tmp_path / "rationales" / RATIONALES_FILE, RATIONALES)
    found = load_features(artifacts.matches, tmp_path / "rationales", artifacts.rationale_embeddings, "one")
    return replace(found, histories=load_histories(artifacts.prepared))


@pytest.fixture
def ask_everything(stack, triton, asking, make_arm, tmp_path):
    """`ask_everything(features)`: the log of a gateway with these features, asked in both ways for every user."""

    def ask(features) -> pa.Table:
        settings = stack.settings.model_copy(
            update={"home": tmp_path / "home", "model_repository": stack.settings.resolved_model_repository}
        )
        push_features_to(open_feature_store(settings), feature_store_folder(settings), "blue", features)
        write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(make_arm(),)))
        changes = {"triton_grpc": triton.grpc_address, "gateway_budget_ms": 10_000, "ranked_requests_share": 1.0}

        async def scene() -> None:
            async with asking(settings, **changes) as client:
                for user in USERS:
                    asked = {"user_id": user, "candidates": ["item 03", "item 21", "item 01"]}
                    for path, body in (("rank", asked), ("recommend", {"user_id": user})):
                        response = await client.post(f"/v1/{path}", json=body)
                        assert response.json()["ladder_step"] == "fresh", response.text

        asyncio.run(scene())
        return read_log(log_folder(settings, RANKED_REQUESTS_FOLDER), RANKED_REQUESTS)

    return ask


def test_what_the_gateway_logged_is_what_training_would_have_given_and_pytorch_would_have_answered(
    artifacts, features, ask_everything
):
    log = ask_everything(features)
    found = replay(log, artifacts, 1)
    assert found.requests == 2 * len(USERS) and found.without_rationale == 0
    assert not found.has_skew and found.examples == []
    assert max(found.largest[name] for name in ("history", "rationale")) <= 1e-6
    assert 0 < found.largest["scores"] < 1e-3
    logged = {row["user_id"]: row for row in log.to_pylist()}
    assert all((logged[user]["rationale_id"] is None) == (user in WITHOUT_RATIONALE) for user in USERS)


def test_features_that_were_served_wrong_are_found_and_named(artifacts, features, ask_everything):
    history = features.histories["user 3"]
    assert history.items[-1] != history.items[-2]
    wrong = replace(
        features,
        histories=features.histories | {"user 3": replace(history, items=history.items[:-1])},  # of yesterday
        assignments=features.assignments | {"user 0": features.assignments["user 1"]},
    )
    log = ask_everything(wrong)
    found = replay(log, artifacts, 1)
    assert found.skewed == {"history": 2, "rationale": 2, "scores": 0}
    user_of = dict(zip(log["request_id"].to_pylist(), log["user_id"].to_pylist(), strict=True))
    assert {user_of[request_id] for request_id in found.examples} == {"user 0", "user 3"}
