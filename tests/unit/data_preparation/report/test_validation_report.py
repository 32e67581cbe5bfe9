import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandera.polars as pandera
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import VALIDATION_FILE, VALIDATION_PAGE_FILE
from components.contracts.tables import REJECTED
from components.data_preparation.engines import table_engine
from components.data_preparation.report.validation_report import (
    EXAMPLES,
    LONGEST_EXAMPLE,
    REASONS_LISTED,
    SCHEMAS,
    rules,
    validation,
    write_validation,
)
from components.data_preparation.staging import FileAccount

DAY = 86_400
Rejected = tuple[str, int, str, str]  # file, line, reason, raw


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The report of a log and a catalogue from their rejected rows and the times of the accepted interactions."""

    def describe(rejected: list[Rejected], times: list[int], max_rejected: float = 0.05) -> dict[str, Any]:
        accounts = {}
        for order, (file, kind) in enumerate((("log", "interactions"), ("catalogue", "items"))):
            reasons = Counter(reason for of_file, _, reason, _ in rejected if of_file == file)
            accounts[file] = FileAccount(order, kind, read=reasons.total() + 10, rejected=reasons)
        rows = [dict(zip(("file", "source_line", "reason", "raw"), row, strict=True)) for row in rejected]
        pq.write_table(pa.Table.from_pylist(rows, REJECTED), tmp_path / "rejected.parquet")
        pq.write_table(pa.table({"timestamp": pa.array(times, pa.int64())}), tmp_path / "log.parquet")
        with table_engine(tmp_path) as connection:
            tables = [connection.read_parquet(tmp_path / name) for name in ("rejected.parquet", "log.parquet")]
            references = {"items_without_metadata": 3}
            return validation("shop", "test", accounts, *tables, references, max_rejected)

    return describe


def test_files_reasons_and_their_first_rows(judged: Callable[..., dict[str, Any]]) -> None:
    rejected = [
        ("log", 7, "duplicate", "g"),
        ("log", 5, "negative timestamp", "e"),
        ("log", 9, "negative timestamp", "i"),
        ("log", 2, "negative timestamp", "b"),
        ("log", 4, "negative timestamp", "d" * 1_000),
        ("catalogue", 1, "duplicate item", "z"),
    ]
    found = judged(rejected, [0], max_rejected=0.1)
    log, catalogue = found["files"]
    counts = ("read", "accepted", "rejected", "too_many", "reasons_in_all")
    assert [log[name] for name in counts] == [15, 10, 5, True, 2]
    assert [catalogue[name] for name in counts] == [11, 10, 1, False, 1]  # 1 of 11 is less than a tenth
    assert log["reasons"] == [
        {
            "reason": "negative timestamp",
            "rows": 4,
            "examples": [
                {"source_line": 2, "raw": "b"},
                {"source_line": 4, "raw": "d" * LONGEST_EXAMPLE + "…"},
                {"source_line": 5, "raw": "e"},
            ],
        },
        {"reason": "duplicate", "rows": 1, "examples": [{"source_line": 7, "raw": "g"}]},
    ]
    assert found["duplicates"] == {"duplicate": 1, "duplicate item": 1, "duplicate user attribute": 0}
    assert found["references"] == {"items_without_metadata": 3}
    assert found["stopped"] is None


def test_of_many_reasons_the_most_frequent_are_listed(judged: Callable[..., dict[str, Any]]) -> None:
    rejected = [("log", line, f"reason {line % 50:02}", "x") for line in range(1, 121)]  # 1 to 20 are there 3 times
    (log, _) = judged(rejected, [0])["files"]
    assert log["reasons_in_all"] == 50
    assert [group["reason"] for group in log["reasons"]] == [f"reason {number:02}" for number in range(1, 21)]
    assert len(log["reasons"]) == REASONS_LISTED
    assert all(len(group["examples"]) == EXAMPLES == group["rows"] for group in log["reasons"])


def test_times(judged: Callable[..., dict[str, Any]]) -> None:
    # 198 rows on the days 1,000 and 1,001, one of no time, one that was in another unit, 38,000 days later.
    found = judged([], [0] + [1_000 * DAY + second for second in range(99)] + [1_001 * DAY + 1] * 99 + [39_001 * DAY])
    assert found["time"] == {
        "first_timestamp": 0,
        "last_timestamp": 39_001 * DAY,
        "interactions": 200,
        "days": 39_002,
        "days_without_interactions": 39_002 - 4,
        "longest_gap_days": 37_999,
        "middle_98_percent": {"first_day": 1_000 * DAY, "last_day": 1_001 * DAY},
        "on_the_first_day_of_1970": 1,
        "at_midnight": 3,
    }
    assert judged([], [])["time"] is None
    one = judged([], [5])["time"]
    assert (one["days"], one["days_without_interactions"], one["longest_gap_days"]) == (1, 0, 0)


def test_rules_are_those_of_the_schemas() -> None:
    def check(error: str) -> pandera.Check:
        return pandera.Check(lambda data: data.lazyframe, error=error)

    columns = {"a": pandera.Column(pl.Int64, [check("one"), check("two")]), "b": pandera.Column(pl.String)}
    schema = pandera.DataFrameSchema(columns)
    assert rules(schema) == [
        {"column": "a", "type": "Int64", "rejected_for": ["one", "two"]},
        {"column": "b", "type": "String", "rejected_for": []},
    ]
    for declared in SCHEMAS.values():
        assert all(rule["rejected_for"] for rule in rules(declared))


def test_equal_rows_in_any_order_give_equal_bytes(judged: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    rejected = [("log", line, f"reason {line % 7}", f"row {line}") for line in range(1, 200)]
    times = list(range(0, 10 * DAY, 3_600))
    written = []
    for name in ("there", "back"):
        content = judged(rejected, times)
        write_validation(content, tmp_path / name)
        assert json.loads((tmp_path / name / VALIDATION_FILE).read_text()) == content
        written.append([(tmp_path / name / file).read_bytes() for file in (VALIDATION_FILE, VALIDATION_PAGE_FILE)])
        rejected.reverse()
        times.reverse()
    assert written[0] == written[1]
