import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.data_preparation.report.figures import MOST_PERIODS, REASONS_LISTED, figures
from components.foundation.errors import InputError

DAY = 86_400

# Times in hours. User a has x twice; c is new on the last day (hours 30 to 54) and has no training row in split_time.
EVENTS = [
    ("a", "x", 0, "click", "train", "train"),
    ("a", "x", 2, "purchase", "train", "train"),
    ("a", "y", 25, "click", "valid", "train"),
    ("a", "z", 26, "cart", "test", "valid"),
    ("b", "x", 3, "click", "train", "train"),
    ("b", "y", 27, "click", "test", "test"),
    ("c", "x", 54, "click", "test", "test"),
]


@pytest.fixture
def market(prepared: Callable[..., Path]) -> Path:
    names = ("user_id", "item_id", "timestamp", "behavior", "split_leave_one_out", "split_time")
    rows = [dict(zip(names, event, strict=True)) for event in EVENTS]
    items = [{"item_id": "x", "title": "Tent", "categories": ["Camping"]}, {"item_id": "y", "brand": "Corvina"}]
    rejected = [
        {"file": "f", "source_line": 9, "reason": "late", "raw": "nine"},
        {"file": "f", "source_line": 7, "reason": "late", "raw": "seven"},
        {"file": "f", "source_line": 8, "reason": "early", "raw": "eight"},
        {"file": "g", "source_line": 1, "reason": "late", "raw": "one"},
    ]
    return prepared([{**row, "timestamp": row["timestamp"] * 3_600} for row in rows], items, rejected)


def test_table_one(market: Path) -> None:
    found = figures(market)
    # Six of nine pairs have an interaction.
    expected = {
        "users": 3,
        "items": 3,
        "interactions": 7,
        "interactions_per_user": 2.33,
        "interactions_per_item": 2.33,
        "sparsity_percent": 33.33,
        "first_timestamp": 0,
        "last_timestamp": 54 * 3_600,
        "dates_only": False,
    }
    assert {name: found[name] for name in expected} == expected
    assert json.loads(json.dumps(found)) == found


def test_hours_and_behaviors(market: Path) -> None:
    found = figures(market)
    assert list(found["interactions_by_behavior"].items()) == [("click", 5), ("cart", 1), ("purchase", 1)]
    hours = {
        behavior: {hour: count for hour, count in enumerate(counts) if count}
        for behavior, counts in found["interactions_by_hour"].items()
    }
    assert hours == {"click": {0: 1, 1: 1, 3: 2, 6: 1}, "cart": {2: 1}, "purchase": {2: 1}}
    over_time = found["interactions_over_time"]
    assert (over_time["start"], over_time["seconds"], len(over_time["interactions"])) == (0, 3_600, 55)
    assert {hour: count for hour, count in enumerate(over_time["interactions"]) if count} == {
        hour: 1 for hour in (0, 2, 3, 25, 26, 27, 54)
    }


def test_long_tails(market: Path) -> None:
    found = figures(market)
    assert found["user_activity"]["by_rank"] == [[1, 4], [2, 2], [3, 1]]
    assert found["item_popularity"]["by_rank"] == [[1, 4], [2, 2], [3, 1]]
    assert {key: found["user_activity"][key] for key in ("median", "fewest", "most")} == {
        "median": 2,
        "fewest": 1,
        "most": 4,
    }
    assert [item["item_id"] for item in found["popular_items"]] == ["x", "y", "z"]
    assert found["popular_items"][0] == {"item_id": "x", "title": "Tent", "interactions": 4}


def test_splits_and_cold_start(market: Path) -> None:
    found = figures(market)
    assert list(found["splits"]) == ["leave_one_out", "time"]
    assert {split: size["interactions"] for split, size in found["splits"]["leave_one_out"].items()} == {
        "train": 3,
        "valid": 1,
        "test": 3,
    }
    assert found["splits"]["time"]["train"] == {
        "interactions": 4,
        "users": 2,
        "items": 2,
        "first_timestamp": 0,
        "last_timestamp": 25 * 3_600,
    }
    cold = found["cold"]
    assert cold["users"] == {
        "new_on_last_day": 1,
        "splits": {
            "leave_one_out": {"in_test": 3, "without_training": 1, "few_training": 3},
            "time": {"in_test": 2, "without_training": 1, "few_training": 2},
        },
    }
    assert cold["items"] == {
        "new_on_last_day": 0,
        "splits": {
            "leave_one_out": {"in_test": 3, "without_training": 2, "few_training": 3},
            "time": {"in_test": 2, "without_training": 0, "few_training": 2},
        },
    }


def test_metadata_and_rejected_rows(market: Path) -> None:
    found = figures(market)
    assert found["items_without_metadata"] == 1
    assert found["items_with_attribute"] == {"title": 1, "brand": 1, "categories": 1, "description": 0}
    assert found["rejected"] == 4
    assert found["rejected_reasons_in_all"] == 3
    assert found["rejected_reasons"] == [
        {"file": "f", "reason": "late", "rows": 2, "source_line": 7, "raw": "seven"},
        {"file": "f", "reason": "early", "rows": 1, "source_line": 8, "raw": "eight"},
        {"file": "g", "reason": "late", "rows": 1, "source_line": 1, "raw": "one"},
    ]


def test_an_item_is_cold_with_fewer_than_five_training_interactions(prepared: Callable[..., Path]) -> None:
    rows = [{"user_id": str(user), "item_id": item} for item, count in (("x", 4), ("y", 5)) for user in range(count)]
    tested = [{"user_id": "9", "item_id": item, "split_leave_one_out": "test"} for item in "xy"]
    cold = figures(prepared(rows + tested))["cold"]["items"]["splits"]["leave_one_out"]
    assert cold == {"in_test": 2, "without_training": 0, "few_training": 1}


def test_only_the_most_frequent_reasons_are_listed(prepared: Callable[..., Path]) -> None:
    reasons = [f"reason {number:03}" for number in range(REASONS_LISTED + 5)]
    rejected = [{"file": "f", "source_line": 1, "reason": reason, "raw": ""} for reason in [*reasons, reasons[-1]]]
    found = figures(prepared([{"user_id": "a", "item_id": "x"}], rejected=rejected))
    assert found["rejected"] == REASONS_LISTED + 6
    assert found["rejected_reasons_in_all"] == REASONS_LISTED + 5
    assert [group["reason"] for group in found["rejected_reasons"]] == [reasons[-1], *reasons[: REASONS_LISTED - 1]]


@pytest.mark.parametrize(
    ("timestamps", "seconds"),
    [
        ([0, 3_600], 3_600),
        ([0, 10 * DAY], 6 * 3_600),
        ([5, 40 * DAY], DAY),
        ([0, 3_000 * DAY], 13 * 7 * DAY),
        ([0, 800 * 365 * DAY], 16 * 52 * 7 * DAY),
        ([0, 60_000 * 365 * DAY], 1024 * 52 * 7 * DAY),
    ],
)
def test_periods_are_few_and_cover_all(prepared: Callable[..., Path], timestamps: list[int], seconds: int) -> None:
    rows = [{"user_id": "a", "item_id": "x", "timestamp": time} for time in timestamps]
    found = figures(prepared(rows))["interactions_over_time"]
    assert found["seconds"] == seconds
    assert len(found["interactions"]) <= MOST_PERIODS
    assert sum(found["interactions"]) == 2
    assert found["interactions"][0] == 1
    assert found["interactions"][-1] == 1
    assert timestamps[0] - min(seconds, DAY) < found["start"] <= timestamps[0]


def test_dates_without_times_are_noticed(prepared: Callable[..., Path]) -> None:
    rows = [{"user_id": "a", "item_id": "x", "timestamp": day * DAY} for day in (3, 0, 17_000)]
    assert figures(prepared(rows))["dates_only"] is True


def test_a_table_at_fault_is_named(prepared: Callable[..., Path]) -> None:
    folder = prepared([{"user_id": "a", "item_id": "x"}])
    pq.write_table(pa.table({"item_id": ["x"]}), folder / ITEMS_FILE)
    with pytest.raises(InputError, match=r"items\.parquet: has the columns \['item_id'\], expected"):
        figures(folder)
    (folder / ITEMS_FILE).write_text("no parquet")
    with pytest.raises(InputError, match=r"items\.parquet: not readable as Parquet"):
        figures(folder)
    (folder / ITEMS_FILE).unlink()
    with pytest.raises(InputError, match=r"items\.parquet: no such file"):
        figures(folder)


def test_nothing_to_describe(prepared: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=INTERACTIONS_FILE + ": there is no interaction"):
        figures(prepared([]))
