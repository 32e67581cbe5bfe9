"""The step: tables in, seeds and report out."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, SEEDS_FILE
from components.contracts.batch_format import make_response, write_lines
from components.contracts.errors import InputError
from components.contracts.tables import INTERACTIONS, SEEDS, read_table, write_table, write_vectors
from components.seed_sampling.component import sample_seeds
from components.seed_sampling.seed_users import SamplingConfig, count_training_interactions, select_seed_users

USERS = 40


def write_interactions(folder, held_out_repeats=1):
    """User n has n + 3 training interactions, and two held-out ones, which may be repeated."""
    rows = []
    for user in range(USERS):
        splits = ["train"] * (user + 3) + ["valid", "test"] * held_out_repeats
        rows += [
            {
                "user_id": f"user{user:02}",
                "item_id": f"item{n}",
                "timestamp": n,
                "behavior": "click",
                "sequence": n,
                "split_leave_one_out": split,
            }
            for n, split in enumerate(splits)
        ]
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / "prepared"
    write_interactions(folder)
    return folder


@pytest.fixture
def embeddings(tmp_path):
    folder = tmp_path / "embeddings"
    matrix = np.random.default_rng(0).normal(size=(USERS, 8)).astype(np.float32)
    write_vectors(folder, "user_id", [f"user{user:02}" for user in range(USERS)], matrix)
    return folder


def run_component(prepared, embeddings, output, recorded=""):
    artifacts = [SimpleNamespace(path=str(path)) for path in (prepared, embeddings)]
    seeds, report = (SimpleNamespace(path=str(output / name)) for name in ("seeds", "report.json"))
    sample_seeds.python_func(*artifacts, 0.25, 4, str(recorded), 11, seeds, report)
    return (output / "seeds" / SEEDS_FILE), json.loads((output / "report.json").read_text())


def test_only_training_interactions_are_counted(prepared):
    users, activity = count_training_interactions(prepared)
    assert users[:2] == ["user00", "user01"]
    assert activity.tolist() == list(range(3, USERS + 3))


def test_adaptive_seeds(prepared, embeddings, tmp_path):
    path, report = run_component(prepared, embeddings, tmp_path / "a")
    rows = read_table(path, SEEDS).to_pylist()
    assert report == {"seeds": {"count": 10, "representative": 5, "important": 5, "clusters": 4}}
    assert [row["user_id"] for row in rows] == sorted({row["user_id"] for row in rows})
    assert {row["origin"] for row in rows} == {"representative", "important"}
    assert all(0 <= row["cluster"] < 4 for row in rows)
    assert all(row["n_interactions"] == int(row["user_id"][4:]) + 3 for row in rows)


def test_held_out_rows_change_no_byte(prepared, embeddings, tmp_path):
    first, _ = run_component(prepared, embeddings, tmp_path / "a")
    write_interactions(prepared, held_out_repeats=7)
    second, _ = run_component(prepared, embeddings, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def write_recorded(path, *users):
    texts = {"model": "m", "preference_summary": "s", "recommendation": "r"}
    write_lines(path, [{"user_id": user, **texts} for user in users])


def test_recorded_users_become_the_seeds(prepared, embeddings, tmp_path, capsys):
    recorded = tmp_path / "recorded.jsonl"
    write_recorded(recorded, "user07", "nobody", "user03")
    path, report = run_component(prepared, embeddings, tmp_path / "a", recorded)
    assert report == {"seeds": {"count": 2, "representative": 0, "important": 0, "recorded": 2, "clusters": 0}}
    assert read_table(path, SEEDS).to_pylist() == [
        {"user_id": "user03", "origin": "recorded", "cluster": -1, "n_interactions": 6},
        {"user_id": "user07", "origin": "recorded", "cluster": -1, "n_interactions": 10},
    ]
    assert "1 of 3 users with a recorded rationale are not in the data" in capsys.readouterr().out


def test_a_recorded_file_that_covers_nobody(prepared, embeddings, tmp_path):
    recorded = tmp_path / "recorded.jsonl"
    write_recorded(recorded, "nobody")
    with pytest.raises(InputError, match=r"recorded\.jsonl: covers nobody"):
        select_seed_users(prepared, embeddings, SamplingConfig(0.25, 4, recorded, 0))


def test_a_recorded_batch_leaves_the_sampling_adaptive(prepared, embeddings, tmp_path):
    recorded = tmp_path / "batch.jsonl"
    write_lines(recorded, [make_response("a", "model", "answer", 1, 1)])
    _, report = run_component(prepared, embeddings, tmp_path / "a", recorded)
    assert report["seeds"]["representative"] == 5


def test_a_user_without_an_embedding(prepared, tmp_path):
    write_vectors(tmp_path / "few", "user_id", ["user00"], np.ones((1, 8), np.float32))
    with pytest.raises(InputError, match="no embedding of 39 of 40 users, the first is 'user01'"):
        select_seed_users(prepared, tmp_path / "few", SamplingConfig(0.25, 4, None, 0))
