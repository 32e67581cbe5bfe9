"""`reland seeds`, as a user runs it."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, SEEDS_FILE
from components.contracts.tables import INTERACTIONS, SEEDS, read_table, write_table, write_vectors
from reland.main import main

USERS = [f"u{user:02}" for user in range(40)]


@pytest.fixture
def folders(tmp_path):
    row = {"item_id": "i", "timestamp": 0, "behavior": "click", "split_leave_one_out": "train"}
    rows = [{**row, "user_id": user, "sequence": n} for user in USERS for n in range(3)]
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), tmp_path / "data" / INTERACTIONS_FILE, INTERACTIONS)
    vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    write_vectors(tmp_path / "vectors", "user_id", USERS, vectors)
    return ["--prepared", str(tmp_path / "data"), "--embeddings", str(tmp_path / "vectors")]


def reland(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reland", "seeds", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0


def test_seeds_then_a_week_later_the_same(folders, tmp_path, monkeypatch, capsys):
    assert reland(monkeypatch, *folders, "--output", tmp_path / "one", "--seed", 3) == 0
    assert f"written: {tmp_path / 'one'}" in capsys.readouterr().out
    assert read_table(tmp_path / "one" / SEEDS_FILE, SEEDS).num_rows == 4
    last_week = ["--previous-seeds", tmp_path / "one" / SEEDS_FILE]
    assert reland(monkeypatch, *folders, "--output", tmp_path / "two", "--seed", 3, "--json", *last_week) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["seeds"]["refresh"]["calls_saved"] == 4
    assert "[reland]" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed-policy", "best"], "reland: seed_policy 'best'"),
        (["--clusters", "41"], "reland: clusters is 41, but there are only 40 users"),
        (["--embeddings", "nowhere"], "reland: nowhere: no embeddings"),
        (["--previous-seeds", "none.parquet"], "reland: previous_seeds none.parquet: no such file"),
    ],
)
def test_a_fault_is_one_line_and_leaves_nothing(folders, tmp_path, monkeypatch, capsys, arguments, message):
    assert reland(monkeypatch, *folders, "--output", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
