"""Replay of logged requests against the artifacts of a run, small and whole; the log is written as the gateway does."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import torch

from components.contracts.artifacts import HISTORIES_FILE, ITEM_INDEX_FILE, MATCHES_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH
from components.contracts.serving import RANKED_REQUESTS
from components.contracts.tables import HISTORIES, ITEM_INDEX, MATCHES, write_table, write_vectors
from components.foundation.errors import InputError
from components.ranker_release.replay import Artifacts, replay
from components.recommenders.configuration import RankerConfig
from components.recommenders.ranker import Ranker, save_ranker

ITEMS, TEXT = 6, 4
USERS = {"ann": ["i2", "i4"], "bob": ["i6", "i1", "i3"], "cid": ["i5"]}  # cid has no rationale
ITEM_IDS = [f"i{number}" for number in range(1, ITEMS + 1)]


def make_ranker(variant):
    torch.manual_seed(1)
    sizes = {"items": ITEMS, "text_dimension": TEXT, "embedding_dimension": 4, "layers": 1, "heads": 1}
    config = RankerConfig(variant=variant, text_encoder="tiny", **sizes)
    return Ranker(config, torch.randn(ITEMS + 1, TEXT)).eval()


@pytest.fixture(scope="module")
def rankers():
    return {"reland_ranker": make_ranker("reland"), "reland_id_only": make_ranker("id_only")}


@pytest.fixture
def artifacts(tmp_path, rankers):
    found = Artifacts(*(tmp_path / name for name in ("rankers", "prepared", "matches", "texts")))
    for ranker in rankers.values():
        save_ranker(ranker, found.rankers / ranker.config.variant)
    index = pa.table([ITEM_IDS, list(range(1, ITEMS + 1))], schema=ITEM_INDEX)
    write_table(index, found.rankers / "reland" / ITEM_INDEX_FILE, ITEM_INDEX)
    write_table(pa.table([list(USERS), list(USERS.values())], HISTORIES), found.prepared / HISTORIES_FILE, HISTORIES)
    matched = [
        {"user_id": user, "rationale_id": rationale, "seed_user_id": "s", "similarity": 0.5, "rank": 1}
        for user, rationale in (("ann", "r1"), ("bob", "r2"))
    ]
    write_table(pa.Table.from_pylist(matched, MATCHES), found.matches / MATCHES_FILE, MATCHES)
    texts = np.random.default_rng(1).normal(size=(2, TEXT)).astype(np.float32)
    write_vectors(found.rationale_embeddings, "rationale_id", ["r1", "r2"], texts)
    return found


@pytest.fixture
def log(rankers):
    """What the gateway logs of these users, with features and scores as they should be."""
    texts = np.random.default_rng(1).normal(size=(2, TEXT)).astype(np.float32)
    none = np.zeros(TEXT, np.float32)

    def row(user, model, rationale_id, text):
        history = [int(item[1:]) for item in USERS[user]]
        inputs = {
            "history": np.array([history + [0] * (HISTORY_LENGTH - len(history))]),
            "rationale": text[np.newaxis, np.newaxis],
            "candidates": np.array([[3, 1, 6]]),
        }
        with torch.inference_mode():
            scores = rankers[model](**{name: torch.from_numpy(array) for name, array in inputs.items()})[0]
        return {
            **{name: array.ravel().tolist() for name, array in inputs.items()},
            "request_id": f"{user} {model}",
            "user_id": user,
            "model": model,
            "model_version": 7,
            "slot": "blue",
            "rationale_id": rationale_id,
            "scores": scores[0].tolist(),
            "time": datetime(2026, 1, 1, tzinfo=UTC),
        }

    return [
        row("ann", "reland_ranker", "r1", texts[0]),
        row("bob", "reland_ranker", "r2", texts[1]),
        row("cid", "reland_ranker", None, none),
        row("bob", "reland_id_only", None, none),
    ]


def table(rows):
    return pa.Table.from_pylist(rows, RANKED_REQUESTS)


def test_what_is_served_as_it_was_trained_has_no_skew(artifacts, log):
    other = log[0] | {"model_version": 8, "scores": [0.0, 0.0, 0.0]}  # not of this version, so not looked at
    found = replay(table([*log, other]), artifacts, 7)
    assert found.requests == 4 and not found.has_skew and found.examples == [] and found.without_rationale == 0
    assert max(found.largest.values()) < 1e-6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("history", lambda values: [values[1], values[0], *values[2:]]),  # the order of time is lost
        ("rationale", lambda values: [value + 1e-4 for value in values]),
        ("rationale", lambda values: [0.0] * len(values)),
    ],
)
def test_a_feature_that_differs_is_named(artifacts, log, rankers, name, change):
    log[0][name] = change(log[0][name])
    found = replay(table(log), artifacts, 7)
    assert found.skewed[name] == 1 and found.largest[name] > 1e-5 and found.examples == ["ann reland_ranker"]


def test_scores_that_differ_from_pytorchs_are_found_apart_from_features(artifacts, log):
    log[1]["scores"][2] += 0.01
    found = replay(table(log), artifacts, 7)
    assert found.skewed == {"history": 0, "rationale": 0, "scores": 1}
    assert found.largest["scores"] == pytest.approx(0.01, abs=1e-5)


def test_a_rationale_of_another_user_is_skew_and_one_that_was_not_served_is_counted(artifacts, log):
    swapped = log[0] | {"rationale": log[1]["rationale"], "rationale_id": "r2"}
    assert replay(table([swapped]), artifacts, 7).skewed["rationale"] == 1
    banned = log[0] | {"rationale": [0.0] * TEXT, "rationale_id": None}
    found = replay(table([banned]), artifacts, 7)
    assert found.without_rationale == 1 and found.skewed["rationale"] == 0


def test_faults_are_named(artifacts, log):
    with pytest.raises(InputError, match="no logged request of version 9 among 4"):
        replay(table(log), artifacts, 9)
    log[0]["rationale"] = [0.0]
    with pytest.raises(InputError, match="request ann reland_ranker: rationale of 1 numbers, the ranker has 4"):
        replay(table(log), artifacts, 7)


@pytest.mark.slow
def test_the_command_ends_with_a_status(artifacts, log, tmp_path):
    write_table(table(log), tmp_path / "log" / "a.parquet", RANKED_REQUESTS)
    log[0]["scores"][0] += 1.0
    write_table(table(log), tmp_path / "skewed" / "a.parquet", RANKED_REQUESTS)
    options = [f"--{name.replace('_', '-')}={path}" for name, path in vars(artifacts).items()]
    for folder, status in (("log", 0), ("skewed", 1), ("none", 2)):
        command = [sys.executable, "-m", "components.ranker_release.replay", "--version=7", *options]
        ended = subprocess.run([*command, f"--requests={tmp_path / folder}"], capture_output=True, text=True)
        assert ended.returncode == status, ended.stderr
        if status < 2:
            assert json.loads(ended.stdout)["requests"] == 4
