from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.tables import HISTORIES, REJECTED
from components.data_preparation import staging
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    RowBatch,
    Source,
)
from components.data_preparation.staging import FIRST_ORDER, Staging, write_batches
from components.foundation.errors import InputError

SCHEMA = pa.schema([pa.field("name", pa.string(), nullable=False), pa.field("number", pa.int64(), nullable=False)])


def rows(file: str, first_line: int, users: list[str], refused: int = 0) -> RowBatch:
    """Rows of these users on consecutive lines, after `refused` lines that could not be read."""
    bad = [{"file": file, "source_line": first_line + row, "reason": "bad", "raw": "?"} for row in range(refused)]
    good = [
        {"user_id": user, "item_id": "i", "timestamp": 1, "behavior": "click", "source_line": line, "raw": user}
        for line, user in enumerate(users, start=first_line + refused)
    ]
    table = pa.Table.from_pylist(good, schema=UNCHECKED_INTERACTIONS)
    return RowBatch(file, table, pa.Table.from_pylist(bad, schema=REJECTED), len(bad) + len(good))


def test_every_row_is_staged_counted_and_numbered_across_files(tmp_path: Path) -> None:
    log = [rows("one", 1, ["a", ""], refused=1), rows("one", 4, ["b"]), rows("two", 2, ["c"], refused=2)]
    item = {"item_id": "i", "title": "I", "brand": "", "categories": [], "description": "", "source_line": 1}
    items = RowBatch("items", pa.Table.from_pylist([item], schema=UNCHECKED_ITEMS), REJECTED.empty_table(), 1)
    pairs = [{"attribute": "age", "value": "7"}, {"attribute": "city", "value": "Oslo"}]
    profiles = [
        {"user_id": "a", "attributes": pairs, "source_line": 1, "raw": "a 7 Oslo"},
        {"user_id": "", "attributes": pairs[:1], "source_line": 2, "raw": " 7"},
    ]
    users = RowBatch("users", pa.Table.from_pylist(profiles, schema=UNCHECKED_USERS), REJECTED.empty_table(), 2)
    staged = Staging(tmp_path)
    staged.read(Source("log", "test", None, iter(log), iter([items]), iter([users])))
    assert {file: (account.kind, account.order, account.read, account.accepted, account.rejected) for file, account in
            staged.progress.accounts.items()} == {
        "one": ("interactions", 0, 4, 2, Counter({"bad": 1, "empty user_id": 1})),
        "two": ("interactions", 1, 3, 1, Counter({"bad": 2})),
        "items": ("items", FIRST_ORDER["items"] + 2, 1, 1, Counter()),
        # rows of the file, not attributes
        "users": ("users", FIRST_ORDER["users"] + 3, 2, 1, Counter({"empty user_id": 1})),
    }  # fmt: skip
    interactions = pq.read_table(tmp_path / "interactions")
    columns = ("user_id", "sequence", "file_order", "source_line", "raw")
    assert list(zip(*(interactions[name].to_pylist() for name in columns), strict=True)) == [
        ("a", 2, 0, 2, "a"),
        ("b", 4, 0, 4, "b"),
        ("c", 8, 1, 4, "c"),  # line 4 of the second file, after the 4 lines of the first
    ]
    rejected = pq.read_table(tmp_path / "rejected")
    assert rejected["source_line"].to_pylist() == [1, 3, 2, 3, 2]
    assert pq.read_table(tmp_path / "items")["title"].to_pylist() == ["I"]
    assert pq.read_table(tmp_path / "users")["attributes"].to_pylist() == [pairs]


def test_a_fault_met_while_reading_goes_through(tmp_path: Path) -> None:
    def log() -> Iterator[RowBatch]:
        yield rows("one", 1, ["a"])
        raise InputError("one: at fault")

    with pytest.raises(InputError, match="one: at fault"):
        Staging(tmp_path).read(Source("log", "test", None, log(), iter(())))


def test_bytes_depend_on_the_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROW_GROUP", 100)
    table = pa.table({"name": [f"n{row % 7}" for row in range(1_050)], "number": range(1_050)}, schema=SCHEMA)
    for length in (1, 99, 100, 256, 2_000):
        batches = table.to_batches(max_chunksize=length)
        assert write_batches(batches, tmp_path / f"{length}.parquet", SCHEMA) == 1_050
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
    assert pq.read_table(tmp_path / "1.parquet").equals(table)
    assert pq.ParquetFile(tmp_path / "1.parquet").num_row_groups == 11


def test_bytes_of_lists_depend_on_the_rows_alone(tmp_path: Path) -> None:
    users = [f"u{row}" for row in range(30_000)]
    lists = [[f"i{row * place % 9973}" for place in range(row % 50)] for row in range(30_000)]
    table = pa.table({"user_id": users, "items": lists}, schema=HISTORIES)
    for length in (2_048, 5_000, 30_000):
        write_batches(table.to_batches(max_chunksize=length), tmp_path / f"{length}.parquet", HISTORIES)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_no_rows_and_rows_that_break_the_schema(tmp_path: Path) -> None:
    assert write_batches([], tmp_path / "none.parquet", SCHEMA) == 0
    assert pq.read_schema(tmp_path / "none.parquet").equals(SCHEMA)
    broken = pa.record_batch({"name": ["a", None], "number": [1, 2]})
    with pytest.raises(ValueError, match="null"):
        write_batches([broken], tmp_path / "broken.parquet", SCHEMA)
    assert not (tmp_path / "broken.parquet").exists()
