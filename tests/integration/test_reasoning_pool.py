"""The pool and the matching in a real Milvus Lite, on vectors whose cosines are known by hand."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import LINEAGE_FILE, MATCHES_FILE, RATIONALES_FILE
from components.contracts.tables import MATCHES, RATIONALES, read_table, write_table, write_vectors
from components.foundation import milvus
from components.foundation.errors import ConflictError, EnvironmentFaultError, InputError
from components.foundation.milvus import connect_milvus
from components.foundation.settings import load_settings
from components.reasoning_pool.component import build_pool, match_users
from components.reasoning_pool.matching import match_all_users
from components.reasoning_pool.pool import ALIAS, build_collection

# Seed users: east, north, and west, whose vector is long, so that a dot product would mislead.
EMBEDDINGS = {
    "east": [1, 0],
    "north": [0, 2],
    "west": [-50, 0],
    "u1": [3, 1],  # cos east 3/√10, north 1/√10
    "u2": [1, 3],  # cos north 3/√10
    "u3": [-2, 1],  # cos west 2/√5
    "u4": [0, 0],  # undefined
    "u5": [1, -5],  # cos east 1/√26, the others are negative
}
EXPECTED = {
    "east": ("east", 1),
    "north": ("north", 1),
    "west": ("west", 1),
    "u1": ("east", 3 / np.sqrt(10)),
    "u2": ("north", 3 / np.sqrt(10)),
    "u3": ("west", 2 / np.sqrt(5)),
    "u4": ("east", 0),
    "u5": ("east", 1 / np.sqrt(26)),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RELAND_MILVUS_URI", raising=False)


def write_rationales(folder: Path, seeds: list[str]) -> Path:
    texts = dict.fromkeys(("engine", "model", "prompt_version", "custom_id"), "x")
    rows = [
        {
            "rationale_id": f"rationale-{seed}",
            "seed_user_id": seed,
            "preference_summary": f"summary {seed}",
            "categories": [],
            "items": [],
            "recommendation": f"recommendation {seed}",
            "encoded_text": f"recommendation {seed}",
            "prompt_tokens": 0,
            "completion_tokens": 0,
            **texts,
        }
        for seed in seeds
    ]
    write_table(pa.Table.from_pylist(rows, schema=RATIONALES), folder / RATIONALES_FILE, RATIONALES)
    return folder


@pytest.fixture
def rationales(tmp_path):
    return write_rationales(tmp_path / "rationales", ["west", "north", "east"])


@pytest.fixture
def embeddings(tmp_path):
    write_vectors(tmp_path / "embeddings", "user_id", list(EMBEDDINGS), np.array(list(EMBEDDINGS.values()), np.float32))
    return tmp_path / "embeddings"


def run_components(rationales, embeddings, output, generation):
    inputs = [SimpleNamespace(path=str(path)) for path in (rationales, embeddings)]
    building, matches, matching = (
        SimpleNamespace(path=str(output / name)) for name in ("pool.json", "matches", "matching.json")
    )
    collection = build_pool.python_func(*inputs, "7", generation, building)
    match_users.python_func(inputs[1], collection, "7", matches, matching)
    return collection, json.loads(Path(building.path).read_text()), json.loads(Path(matching.path).read_text())


def test_every_user_gets_the_seed_user_with_the_largest_cosine(rationales, embeddings, tmp_path):
    collection, built, matching = run_components(rationales, embeddings, tmp_path / "a", "g-1")
    assert collection == "reland_pool_g_1"
    assert built == {"pool": {"collection": "reland_pool_g_1", "size": 3, "encoder_version": "7"}}

    rows = read_table(tmp_path / "a" / "matches" / MATCHES_FILE, MATCHES).to_pylist()
    assert [row["user_id"] for row in rows] == sorted(EMBEDDINGS)
    for row in rows:
        seed, similarity = EXPECTED[row["user_id"]]
        assert (row["seed_user_id"], row["rationale_id"], row["rank"]) == (seed, f"rationale-{seed}", 1)
        assert row["similarity"] == pytest.approx(similarity, abs=1e-6)

    similarities = [similarity for _, similarity in EXPECTED.values()]
    assert matching["matching"] == {
        "users": 8,
        "encoder_version": "7",
        "coverage": 7 / 8,  # one user has a zero vector
        "similarity_p50": pytest.approx(np.percentile(similarities, 50), abs=2e-6),
        "similarity_p05": pytest.approx(np.percentile(similarities, 5), abs=2e-6),
    }


def test_the_matches_name_the_encoder_and_the_pool(rationales, embeddings, tmp_path):
    run_components(rationales, embeddings, tmp_path / "a", "g-1")
    lineage = json.loads((tmp_path / "a" / "matches" / LINEAGE_FILE).read_text())
    assert lineage == {"encoder_version": "7", "collection": "reland_pool_g_1"}


def test_vectors_of_another_encoder_than_the_pool_is_of(rationales, embeddings):
    with connect_milvus(load_settings()) as client:
        name, _ = build_collection(client, rationales, embeddings, "g", "7")
        with pytest.raises(InputError, match="holds vectors of encoder version '7', the users' are of '8'"):
            match_all_users(client, embeddings, name, "8")


def test_another_generation_gives_equal_bytes_and_takes_the_alias(rationales, embeddings, tmp_path):
    run_components(rationales, embeddings, tmp_path / "a", "g-1")
    run_components(rationales, embeddings, tmp_path / "b", "g-2")
    first, second = ((tmp_path / name / "matches" / MATCHES_FILE).read_bytes() for name in "ab")
    assert first == second
    with connect_milvus(load_settings()) as client:
        assert client.describe_alias(ALIAS)["collection_name"] == "reland_pool_g_2"
        assert client.has_collection("reland_pool_g_1")  # kept, to go back to
        by_alias, _ = match_all_users(client, embeddings, ALIAS, "7")
    assert by_alias.equals(read_table(tmp_path / "b" / "matches" / MATCHES_FILE, MATCHES))


def test_the_pool_holds_what_serving_shows(rationales, embeddings):
    with connect_milvus(load_settings()) as client:
        name, size = build_collection(client, rationales, embeddings, "g", "7")
        rows = client.query(name, filter='seed_user_id == "north"', output_fields=["*"])
    assert size == 3
    assert {key: rows[0][key] for key in ("rationale_id", "preference_summary", "recommendation")} == {
        "rationale_id": "rationale-north",
        "preference_summary": "summary north",
        "recommendation": "recommendation north",
    }
    assert list(rows[0]["vector"]) == [0, 2]


def test_a_dead_attempt_is_replaced_and_the_pool_in_use_is_not(rationales, embeddings, tmp_path):
    with connect_milvus(load_settings()) as client:
        build_collection(client, rationales, embeddings, "first", "7")
        client.create_collection("reland_pool_second", dimension=5)  # left by an attempt that died
        name, size = build_collection(client, rationales, embeddings, "second", "7")
        assert (name, size) == ("reland_pool_second", 3)
        with pytest.raises(ConflictError, match="is in use already"):
            build_collection(client, rationales, embeddings, "second", "7")
        assert client.query(name, output_fields=["count(*)"])[0]["count(*)"] == 3


def test_a_failure_before_the_switch_leaves_the_alias(rationales, embeddings, tmp_path, monkeypatch):
    with connect_milvus(load_settings()) as client:
        build_collection(client, rationales, embeddings, "good", "7")
        strangers = write_rationales(tmp_path / "strangers", ["stranger"])
        with pytest.raises(InputError, match="no embedding of the seed user 'stranger'"):
            build_collection(client, strangers, embeddings, "bad", "7")
        monkeypatch.setattr(client, "flush", lambda _name: (_ for _ in ()).throw(ConnectionError("lost")))
        with pytest.raises(ConnectionError):
            build_collection(client, rationales, embeddings, "bad", "7")
        assert client.describe_alias(ALIAS)["collection_name"] == "reland_pool_good"


def test_a_collection_that_is_not_there(embeddings):
    with (
        connect_milvus(load_settings()) as client,
        pytest.raises(InputError, match="Milvus has no collection 'reland_pool_none'"),
    ):
        match_all_users(client, embeddings, "reland_pool_none", "7")


def test_embeddings_of_another_length_than_the_pool(rationales, embeddings, tmp_path):
    write_vectors(tmp_path / "longer", "user_id", ["u"], np.ones((1, 3), np.float32))
    with connect_milvus(load_settings()) as client:
        name, _ = build_collection(client, rationales, embeddings, "g", "7")
        with pytest.raises(InputError, match="vectors of 3 numbers, those of the seed users in reland_pool_g have 2"):
            match_all_users(client, tmp_path / "longer", name, "7")


@pytest.mark.parametrize(("exact_up_to", "recall"), [(10_000, 1.0), (10, 0.99)], ids=["FLAT", "HNSW"])
def test_matching_equals_numpy_on_more_users_than_a_batch(tmp_path, monkeypatch, exact_up_to, recall):
    monkeypatch.setattr(milvus, "EXACT_UP_TO", exact_up_to)
    generator = np.random.default_rng(0)
    users = [f"user{n:04}" for n in range(2_300)]
    matrix = generator.normal(size=(2_300, 16)).astype(np.float32)
    write_vectors(tmp_path / "many", "user_id", users, matrix)
    seeds = users[::23]
    with connect_milvus(load_settings()) as client:
        name, _ = build_collection(client, write_rationales(tmp_path / "some", seeds), tmp_path / "many", "g", "7")
        matches, _ = match_all_users(client, tmp_path / "many", name, "7")
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    nearest = (unit @ unit[::23].T).argmax(axis=1)
    expected = np.array([seeds[index] for index in nearest])
    assert (np.array(matches["seed_user_id"].to_pylist()) == expected).mean() >= recall


def test_a_milvus_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("RELAND_MILVUS_URI", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFaultError, match="RELAND_MILVUS_URI"), connect_milvus(load_settings()):
        pass
