import math
from typing import Any

import pyarrow as pa

from components.contracts.tables import REJECTED
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    RowBatch,
)
from components.data_preparation.validation import (
    INTERACTION_SCHEMA,
    ITEM_SCHEMA,
    LATEST_TIMESTAMP,
    USER_SCHEMA,
    validate,
)

GOOD = {"user_id": "u", "item_id": "i", "timestamp": 5, "behavior": "click"}


def batch(*changes: dict[str, Any]) -> RowBatch:
    """Good rows but for these changes, one each, on lines from 11."""
    rows = [
        GOOD | change | {"source_line": line, "raw": f"line {line}"} for line, change in enumerate(changes, start=11)
    ]
    return RowBatch("f", pa.Table.from_pylist(rows, schema=UNCHECKED_INTERACTIONS), REJECTED.empty_table(), len(rows))


def test_ids_that_resemble_a_missing_value_are_ids() -> None:
    accepted, rejected = validate(
        batch(*({"user_id": name} for name in ("Nancy", "nulls", "0", "N", "na"))), INTERACTION_SCHEMA
    )
    assert (len(accepted), len(rejected)) == (5, 0)


def test_every_check_has_its_reason() -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"user_id": None}, "empty user_id"),
        ({"user_id": " \t"}, "empty user_id"),
        ({"item_id": ""}, "empty item_id"),
        ({"item_id": "\u2003"}, "empty item_id"),
        ({"user_id": "NULL"}, "user_id stands for a missing value"),
        ({"user_id": "nan"}, "user_id stands for a missing value"),
        ({"user_id": " <NA> "}, "user_id stands for a missing value"),
        ({"item_id": "None"}, "item_id stands for a missing value"),
        ({"item_id": "\\N"}, "item_id stands for a missing value"),
        ({"timestamp": None}, "timestamp is not a time"),
        ({"timestamp": -1}, "negative timestamp"),
        ({"timestamp": LATEST_TIMESTAMP + 1}, "timestamp beyond the year 2100"),
        ({"behavior": "stare"}, "unknown behavior"),
        ({"behavior": None}, "unknown behavior"),
        ({"value": math.nan}, "value is not a finite number"),
        ({"value": math.inf}, "value is not a finite number"),
    ]
    accepted, rejected = validate(batch(*(change for change, _ in faults)), INTERACTION_SCHEMA)
    assert len(accepted) == 0
    assert rejected.schema.equals(REJECTED)
    assert rejected["reason"].to_pylist() == [reason for _, reason in faults]
    assert rejected["source_line"].to_pylist() == list(range(11, 11 + len(faults)))
    assert rejected["raw"].to_pylist()[0] == "line 11"


def test_good_rows_are_accepted_as_they_are() -> None:
    rows = batch(
        {"timestamp": 0},
        {"timestamp": LATEST_TIMESTAMP},
        {"value": 1e308},
        {"user_id": "x" * 512, "item_id": " i "},
        {"query": "words", "scene": "home"},
        {"user_id": ""},
    )
    accepted, rejected = validate(rows, INTERACTION_SCHEMA)
    assert accepted.equals(rows.table.slice(0, 5))
    assert len(rejected) == 1
    accepted, rejected = validate(batch({}), INTERACTION_SCHEMA)
    assert (len(accepted), len(rejected)) == (1, 0)


def test_the_first_reason_counts() -> None:
    _, rejected = validate(batch({"user_id": "", "timestamp": -1, "value": math.nan}), INTERACTION_SCHEMA)
    assert rejected["reason"].to_pylist() == ["empty user_id"]


def test_no_rows() -> None:
    assert [len(table) for table in validate(batch(), INTERACTION_SCHEMA)] == [0, 0]


def test_items_need_an_id() -> None:
    rows = pa.Table.from_pylist([{"item_id": "a", "source_line": 1}, {"source_line": 2, "raw": "x"}], UNCHECKED_ITEMS)
    accepted, rejected = validate(RowBatch("f", rows, REJECTED.empty_table(), 2), ITEM_SCHEMA)
    assert accepted["item_id"].to_pylist() == ["a"]
    assert rejected["reason"].to_pylist() == ["empty item_id"]


def test_profiles_need_a_user_and_names_of_attributes() -> None:
    pairs = [("age", "1"), ("city", "Oslo"), (" ", "1"), (None, "1")]
    rows = [
        {"user_id": user, "attributes": [{"attribute": name, "value": value} for name, value in pairs[start:end]]}
        for user, start, end in [("u", 0, 2), ("u", 0, 0), ("u", 1, 3), ("u", 3, 4), ("", 0, 1), ("", 3, 4)]
    ]
    table = pa.Table.from_pylist([row | {"source_line": 1, "raw": ""} for row in rows], UNCHECKED_USERS)
    accepted, rejected = validate(RowBatch("f", table, REJECTED.empty_table(), len(rows)), USER_SCHEMA)
    assert accepted.equals(table.slice(0, 2))
    assert rejected["reason"].to_pylist() == ["empty attribute", "empty attribute", "empty user_id", "empty user_id"]
