import math

import pyarrow as pa

from components.data_preparation.validation import LATEST_TIMESTAMP, RAW_INTERACTIONS, Quarantine, check_interactions


def test_the_first_reason_counts() -> None:
    quarantine = Quarantine("file", ["a", "b", "c"])
    quarantine.refuse([2], "first")
    quarantine.refuse([3, 2], "second")
    assert quarantine.accepted_lines.tolist() == [1]
    assert quarantine.rejected().to_pylist() == [
        {"file": "file", "source_line": 2, "reason": "first", "raw": "b"},
        {"file": "file", "source_line": 3, "reason": "second", "raw": "c"},
    ]


def test_duplicates_are_rows_equal_in_all_but_their_line() -> None:
    rows = [
        ("u", "i", 5, "click", None, None),
        ("u", "i", 5, "click", None, None),  # the one duplicate
        ("u", "i", 5, "purchase", None, None),
        ("u", "i", 5, "click", 1.0, None),
        ("u", "i", 5, "click", None, "words"),
        ("u", "i", 6, "click", None, None),
        ("u", "j", 5, "click", None, None),
        ("v", "i", 5, "click", None, None),
    ]
    names = ("user_id", "item_id", "timestamp", "behavior", "value", "query")
    table = pa.Table.from_pylist(
        [{**dict(zip(names, row, strict=True)), "sequence": line} for line, row in enumerate(rows, start=1)],
        schema=RAW_INTERACTIONS,
    )
    quarantine = Quarantine("file", [""] * len(rows))
    assert check_interactions(table, quarantine)["sequence"].to_pylist() == [1, 3, 4, 5, 6, 7, 8]
    assert quarantine.rejected()["reason"].to_pylist() == ["duplicate"]


def test_a_bad_row_does_not_make_a_good_one_a_duplicate() -> None:
    # Line 1 was refused for its bytes before it became a row of the table; line 2 and 3 are equal.
    table = pa.Table.from_pylist(
        [
            {"user_id": "u", "item_id": "i", "timestamp": 0, "behavior": "click", "value": value, "sequence": line}
            for line, value in [(2, 1.0), (3, 1.0), (4, math.nan), (5, math.nan)]
        ],
        schema=RAW_INTERACTIONS,
    )
    quarantine = Quarantine("file", [""] * 5)
    quarantine.refuse([1], "damaged")
    assert check_interactions(table, quarantine)["sequence"].to_pylist() == [2]
    not_finite = "value is not a finite number"
    assert quarantine.rejected()["reason"].to_pylist() == ["damaged", "duplicate", not_finite, not_finite]


def test_the_range_of_timestamps() -> None:
    times = [-1, 0, LATEST_TIMESTAMP, LATEST_TIMESTAMP + 1]
    table = pa.Table.from_pylist(
        [
            {"user_id": "u", "item_id": "i", "timestamp": time, "behavior": "click", "sequence": line}
            for line, time in enumerate(times, start=1)
        ],
        schema=RAW_INTERACTIONS,
    )
    assert check_interactions(table, Quarantine("file", [""] * 4))["timestamp"].to_pylist() == [0, LATEST_TIMESTAMP]


def test_no_rows() -> None:
    assert len(check_interactions(RAW_INTERACTIONS.empty_table(), Quarantine("file", []))) == 0
