"""The push step over the real Feast (SQLite and DuckDB)."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from redis import Redis

from components.contracts.artifacts import (
    CONFIG_FILE,
    EMBEDDINGS_FILE,
    HISTORIES_FILE,
    LINEAGE_FILE,
    MATCHES_FILE,
    RATIONALES_FILE,
)
from components.contracts.tables import HISTORIES, MATCHES, RATIONALES, vectors, write_table
from components.feature_push import push
from components.feature_push.push import (
    ServedFeaturesDifferError,
    load_features,
    load_histories,
    push_features_to,
    verify,
)
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from feature_repo.definitions import RATIONALE_VIEW, push_source
from feature_repo.online import OnlineFeatures, OnlineUser
from feature_repo.store import feature_store_folder, open_feature_store, read_assignments, read_rationales

DIMENSION = 4
USERS = 250
RATIONALE_IDS = ["r0", "r1", "r2"]
POOL = "reland_pool_one"


def write_artifacts(folder: Path, shift: int = 0) -> tuple[Path, Path, Path]:
    """Matches of 250 users, each to the rationale number (user + shift) modulo 3, the rationales and their vectors."""
    matches, rationales, embeddings = folder / "matches", folder / "rationales", folder / "embeddings"
    users = sorted(f"user {number}" for number in range(USERS))
    write_table(
        pa.Table.from_pylist(
            [
                {
                    "user_id": user,
                    "rationale_id": RATIONALE_IDS[(number + shift) % 3],
                    "seed_user_id": "seed",
                    "similarity": 1 / (number + 1),
                    "rank": 1,
                }
                for number, user in enumerate(users)
            ],
            MATCHES,
        ),
        matches / MATCHES_FILE,
        MATCHES,
    )
    (matches / LINEAGE_FILE).write_text(json.dumps({"encoder_version": "1", "collection": POOL}))
    texts = dict.fromkeys(
        ("seed_user_id", "recommendation", "encoded_text", "engine", "model", "prompt_version", "custom_id"), "-"
    )
    numbers = {"prompt_tokens": 0, "completion_tokens": 0, "categories": [], "items": []}
    write_table(
        pa.Table.from_pylist(
            [{"rationale_id": r, "preference_summary": f"summary of {r}", **texts, **numbers} for r in RATIONALE_IDS],
            RATIONALES,
        ),
        rationales / RATIONALES_FILE,
        RATIONALES,
    )
    random = np.random.default_rng(0)
    schema = vectors("rationale_id", DIMENSION)
    write_table(
        pa.Table.from_pylist(
            [{"rationale_id": r, "vector": random.normal(size=DIMENSION).tolist()} for r in RATIONALE_IDS], schema
        ),
        embeddings / EMBEDDINGS_FILE,
        schema,
    )
    (embeddings / CONFIG_FILE).write_text(json.dumps({"text_encoder": "tiny", "dimension": DIMENSION}))
    return matches, rationales, embeddings


@pytest.fixture(scope="module")
def redis_address(missing_dependency):
    """A Redis server of this module's own, on a free loopback port, keeping nothing."""
    program = shutil.which("redis-server")
    if program is None:
        missing_dependency("no redis-server: `make services` installs it")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.services)])
def settings(request, tmp_path, monkeypatch) -> Settings:
    """The same suite over every online store: SQLite and Redis."""
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RELAND_FEATURE_STORE", request.param)
    if request.param == "redis":
        address = request.getfixturevalue("redis_address")
        Redis.from_url(f"redis://{address}").flushall()
        monkeypatch.setenv("RELAND_REDIS", address)
        monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"sqlite:///{tmp_path / 'registry.db'}")
    return Settings()


def test_what_is_pushed_is_served_from_its_slot_and_a_later_push_to_it_is_the_newer(settings, tmp_path):
    store, folder = open_feature_store(settings), feature_store_folder(settings)
    first = load_features(*write_artifacts(tmp_path / "first"), "one")
    second = load_features(*write_artifacts(tmp_path / "second", shift=1), "two")

    push_features_to(store, folder, "blue", first)
    push_features_to(store, folder, "green", second)

    users = sorted(first.assignments)
    assert read_assignments(store, "blue", users) == first.assignments
    assert read_assignments(store, "green", users) == second.assignments
    # "user 0" and "user 1" are the first two of the sorted users; similarity is 1 / position, exact to float32.
    assert read_assignments(store, "blue", ["user 1"])["user 1"].rationale_ids == ["r1"]
    assert read_assignments(store, "blue", ["user 1"])["user 1"].similarities == [0.5]
    assert read_assignments(store, "blue", ["nobody"]) == {}
    assert read_rationales(store, ["r0", "none"])["r0"].explanation == "summary of r0"
    assert {row.generation for row in read_rationales(store, RATIONALE_IDS).values()} == {"two"}

    push_features_to(store, folder, "blue", second)
    # Another process sees the same.
    assert read_assignments(open_feature_store(settings), "blue", users) == second.assignments


def test_a_ban_survives_a_push(settings, tmp_path):
    store, folder = open_feature_store(settings), feature_store_folder(settings)
    features = load_features(*write_artifacts(tmp_path), "one")
    push_features_to(store, folder, "blue", features)
    row = vars(read_rationales(store, ["r1"])["r1"]) | {"banned": True, "rationale_id": "r1"}
    store.push(push_source(RATIONALE_VIEW), pd.DataFrame([row | {"event_timestamp": datetime.now(UTC)}]))

    push_features_to(store, folder, "green", load_features(*write_artifacts(tmp_path), "two"))

    served = read_rationales(store, RATIONALE_IDS)
    assert {key: row.banned for key, row in served.items()} == {"r0": False, "r1": True, "r2": False}
    assert served["r1"].generation == "two"


def test_the_look_up_finds_a_difference(settings, tmp_path):
    store = open_feature_store(settings)
    features = load_features(*write_artifacts(tmp_path), "one")
    push_features_to(store, feature_store_folder(settings), "blue", features)
    features.assignments["user 0"].similarities[0] += 0.001
    with pytest.raises(ServedFeaturesDifferError, match="user user 0"):
        verify(store, "blue", features)
    with pytest.raises(ServedFeaturesDifferError, match="user_rationale_green"):
        verify(store, "green", features)


def test_an_emptied_online_store_is_filled_again_from_the_batch_files(settings, tmp_path):
    store, folder = open_feature_store(settings), feature_store_folder(settings)
    features = load_features(*write_artifacts(tmp_path), "one")
    push_features_to(store, folder, "blue", features)
    if settings.feature_store == "redis":
        Redis.from_url(f"redis://{os.environ['RELAND_REDIS']}").flushall()
    else:
        (folder / "online_store.db").unlink()

    store = open_feature_store(settings)
    assert read_assignments(store, "blue", ["user 0"]) == {}
    now = datetime.now(UTC)
    store.materialize(now - timedelta(hours=1), now, feature_views=[RATIONALE_VIEW, "user_rationale_blue"])
    verify(store, "blue", features)


def test_vectors_of_another_length_than_the_configuration_says_are_refused(tmp_path):
    artifacts = write_artifacts(tmp_path)
    (artifacts[2] / CONFIG_FILE).write_text(json.dumps({"text_encoder": "tiny", "dimension": DIMENSION + 1}))
    with pytest.raises(InputError, match=rf"vectors of length 4, its {CONFIG_FILE} says 5"):
        load_features(*artifacts, "one")


def test_an_unknown_feature_store_and_an_unset_variable_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path))
    monkeypatch.setenv("RELAND_FEATURE_STORE", "none")
    with pytest.raises(InputError, match=re.escape("RELAND_FEATURE_STORE: 'none' is not one of local, redis")):
        open_feature_store(Settings())
    monkeypatch.setenv("RELAND_FEATURE_STORE", "redis")
    monkeypatch.delenv("RELAND_REDIS", raising=False)
    monkeypatch.delenv("RELAND_FEAST_REGISTRY", raising=False)
    with pytest.raises(
        InputError, match=r"feature_store\.redis\.yaml needs the environment variable RELAND_FEAST_REGISTRY"
    ):
        open_feature_store(Settings())


def write_histories(folder: Path) -> Path:
    """Prepared data with histories of "user 0", "user 1" and "user 2"."""
    rows = [{"user_id": f"user {number}", "items": ["b", "a", "b"][: 3 - number]} for number in range(3)]
    write_table(pa.Table.from_pylist(rows, HISTORIES), folder / "prepared" / HISTORIES_FILE, HISTORIES)
    return folder / "prepared"


def test_a_request_reads_all_of_a_user_at_once_and_what_is_not_there_is_empty(settings, tmp_path):
    store, folder = open_feature_store(settings), feature_store_folder(settings)
    histories = load_histories(write_histories(tmp_path))
    features = load_features(*write_artifacts(tmp_path), "one")
    before = datetime.now(UTC).timestamp()
    push_features_to(store, folder, "blue", replace(features, histories=histories))

    async def read():
        online = OnlineFeatures(store)
        await online.start(["reland_blue", "reland_green"])
        blue = await online.users("reland_blue", ["user 1", "nobody", "user 2", "user 1"])
        green = await online.users("reland_green", ["user 1"])
        rationales = await online.rationales(["r1", "r9"])
        await online.close()
        return blue, green["user 1"], rationales

    blue, green, rationales = asyncio.run(read())
    user = blue["user 1"]
    assert (user.history, user.rationale_ids, user.similarities, user.pool) == (["b", "a"], ["r1"], [0.5], POOL)
    assert before - 1 < user.pushed < datetime.now(UTC).timestamp() + 1
    assert blue["user 2"].history == ["b"]
    assert blue["nobody"] == OnlineUser([], [], [], None)
    # The other slot has the features of another generation, here none.
    assert green == OnlineUser([], [], [], None)
    assert list(rationales) == ["r1"] and rationales["r1"].explanation == "summary of r1"
    assert rationales["r1"].embedding.tolist() == features.rationales["r1"].embedding


def test_the_step_pushes_to_the_slot_that_is_free(settings, tmp_path):
    from components.feature_push.component import push_features

    matches, rationales, embeddings = write_artifacts(tmp_path)
    report = tmp_path / "report.json"
    slot = push_features.python_func(
        matches=_artifact(matches),
        rationales=_artifact(rationales),
        rationale_embeddings=_artifact(embeddings),
        prepared=_artifact(write_histories(tmp_path)),
        generation="one",
        report=_artifact(report),
    )
    assert slot == "blue"
    assert json.loads(report.read_text()) == {
        "features": {"pushed_users": USERS, "pushed_rationales": 3, "slot": "blue", "lookup_verified": True}
    }
    assert push.sample(["a"], push.VERIFIED_USERS) == ["a"]


def _artifact(path: Path):
    from kfp import dsl

    artifact = dsl.Artifact(uri=str(path))
    artifact.path = str(path)
    return artifact
