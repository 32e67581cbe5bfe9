from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pytest

from components.contracts.ranking_signature import HISTORY_LENGTH
from components.contracts.tables import HISTORIES, interactions_schema
from components.data_preparation.filtering import numbered, numbered_pairs
from components.data_preparation.splits import (
    SplitConfig,
    latest_visits,
    numbered_visits,
    parse_splits,
    split_rows,
    time_bounds,
)
from components.foundation.errors import InputError

Make = Callable[[list[tuple[str, str, int]]], ir.Table]
# Rows to the tables of interactions, split by these protocols with these T1 and T2, and histories.
Split = Callable[..., tuple[pa.Table, pa.Table]]


@pytest.fixture
def split(connection: ibis.BaseBackend) -> Split:
    def divide(
        interactions: ir.Table, *protocols: str, bounds: tuple[int, int] | None = None
    ) -> tuple[pa.Table, pa.Table]:
        users = numbered(connection, "users", interactions, "user_id")
        items = numbered(connection, "items", interactions, "item_id")
        pairs = numbered_pairs(connection, "pairs", interactions, users, items)
        visits = numbered_visits(connection, "visits", pairs)
        rows = split_rows(interactions, users, items, visits, protocols, bounds).to_pyarrow()
        return rows, latest_visits(visits, users, items).to_pyarrow()

    return divide


def columns(table: pa.Table, *names: str) -> list[tuple]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def test_ties_are_broken_by_the_order_of_lines(raw_interactions: Make, split: Split) -> None:
    rows = [
        ("a", "w", 9),  # line 1: the latest of a's rows by time
        ("a", "x", 5),  # 2, 3, 4 at one moment: their lines decide
        ("a", "y", 5),
        ("a", "z", 5),
        ("b", "z", 7),  # all at one moment
        ("b", "y", 7),
        ("b", "x", 7),
        ("b", "w", 7),
        ("c", "w", 1),
        ("c", "x", 2),
        ("c", "y", 3),
        ("c", "z", 4),
    ]
    table, histories = split(raw_interactions(rows).order_by(ibis.random()), "leave_one_out")
    assert table.column_names == interactions_schema(["leave_one_out"]).names
    assert columns(table, "user_id", "sequence", "split_leave_one_out") == [
        ("a", 2, "train"),
        ("a", 3, "train"),
        ("a", 4, "valid"),
        ("a", 1, "test"),
        ("b", 5, "train"),
        ("b", 6, "train"),
        ("b", 7, "valid"),
        ("b", 8, "test"),
        ("c", 9, "train"),
        ("c", 10, "train"),
        ("c", 11, "valid"),
        ("c", 12, "test"),
    ]
    assert histories.column_names == HISTORIES.names
    assert columns(histories, "user_id", "items") == [("a", list("xyzw")), ("b", list("zyxw")), ("c", list("wxyz"))]


def test_a_visit_is_held_out_as_a_whole(raw_interactions: Make, split: Split) -> None:
    # Of a: x, y, x again, then z in three rows, of which the first is at the moment of the last x.
    rows = [("a", item, time) for item, time in zip("xxyxzzz", (1, 2, 3, 4, 4, 5, 9), strict=True)]
    rows += [("b", item, 1) for item in "zyxx"]
    table, histories = split(raw_interactions(rows), "leave_one_out", "ratio")
    expected = ["train"] * 3 + ["valid"] + ["test"] * 3 + ["train", "valid", "test", "test"]
    assert table["split_leave_one_out"].to_pylist() == expected
    assert table["split_ratio"].to_pylist() == expected  # of four and three visits one is the tenth
    assert columns(histories, "user_id", "items") == [("a", list("xyxz")), ("b", list("zyx"))]


def recbole_sizes(count: int, ratios: tuple[float, ...] = (0.8, 0.1, 0.1)) -> list[int]:
    """RecBole 1.2.1, `Dataset._calcu_split_ids`, in its own words but for the last line."""
    cnt = [int(ratios[i] * count) for i in range(len(ratios))]
    cnt[0] = count - sum(cnt[1:])
    for i in range(1, len(ratios)):
        if cnt[0] <= 1:
            break
        if 0 < ratios[-i] * count < 1:
            cnt[-i] += 1
            cnt[0] -= 1
    return cnt


def test_the_ratio_rounds_as_recbole_does(raw_interactions: Make, split: Split) -> None:
    lengths = range(3, 62)
    rows = [(f"u{length:02}", f"i{time}", time) for length in lengths for time in range(length)]
    table, _ = split(raw_interactions(rows), "ratio")
    for length in lengths:
        own = table.filter(pa.compute.equal(table["user_id"], f"u{length:02}"))["split_ratio"].to_pylist()
        train, valid, test = recbole_sizes(length)
        assert own == ["train"] * train + ["valid"] * valid + ["test"] * test, length


def test_time_divides_all_users_alike(raw_interactions: Make, split: Split) -> None:
    rows = [("a", "x", 1), ("a", "y", 5), ("b", "x", 4), ("b", "x", 7), ("b", "y", 6)]
    table, _ = split(raw_interactions(rows), "time", bounds=(5, 7))
    assert table.column_names[-1] == "split_time"
    assert columns(table, "timestamp", "split_time") == [
        (1, "train"),
        (5, "valid"),
        (4, "train"),
        (6, "valid"),
        (7, "test"),
    ]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (range(10), (8, 9)),  # eight rows before T1, one after that before T2
        (range(11), (8, 9)),  # floor(8.8) and floor(9.9) rows
        ([0] * 7 + [3, 3, 3, 4, 5, 6], (4, 5)),  # row 10 is the first 4, row 11 the 5
        ([7] * 8 + [9, 11], (9, 11)),
    ],
)
def test_the_default_moments(raw_interactions: Make, times: list[int], expected: tuple[int, int]) -> None:
    shuffled = np.random.default_rng(0).permutation(list(times)).tolist()
    rows = raw_interactions([("a", f"i{place}", time) for place, time in enumerate(shuffled)])
    assert time_bounds(rows, SplitConfig(("time",))) == expected
    assert time_bounds(rows, SplitConfig(("time",), expected[0] - 1)) == (expected[0] - 1, expected[1])


def test_moments_that_leave_a_split_without_rows(raw_interactions: Make) -> None:
    rows = raw_interactions([("a", "x", time) for time in (10, 20, 30)])
    for bounds, split in (((0, 20), "train"), ((15, 18), "valid"), ((15, 31), "test")):
        with pytest.raises(InputError, match=f"splits time: no row is for {split} with validate_from 1970"):
            time_bounds(rows, SplitConfig(("time",), *bounds))
    with pytest.raises(InputError, match="no row is for train"):
        time_bounds(raw_interactions([("a", "x", 5), ("a", "y", 5)]), SplitConfig(("time",)))


def test_histories_are_capped(raw_interactions: Make, split: Split) -> None:
    rows = [("a", f"i{time}", time) for time in range(HISTORY_LENGTH + 7)] + [("b", "i1", 1)]
    _, histories = split(raw_interactions(rows), "leave_one_out")
    assert columns(histories, "user_id", "items") == [
        ("a", [f"i{time}" for time in range(7, HISTORY_LENGTH + 7)]),
        ("b", ["i1"]),
    ]


def test_users_are_sorted_as_text(raw_interactions: Make, split: Split) -> None:
    # By code point, not by UTF-16 unit: U+FFEE comes before U+1F600.
    users = ["\U0001f600", "￮", "9", "10", "é", "Z", "a"]
    table, histories = split(raw_interactions([(user, item, 1) for user in users for item in "xyz"]), "leave_one_out")
    assert table["user_id"].to_pylist()[::3] == ["10", "9", "Z", "a", "é", "￮", "\U0001f600"]
    assert histories["user_id"].to_pylist() == ["10", "9", "Z", "a", "é", "￮", "\U0001f600"]


def test_options_are_read() -> None:
    assert parse_splits("leave_one_out", "", "") == SplitConfig()
    assert parse_splits("time, ratio", "1970-01-02", "1970-01-02T00:00:01+00:00") == SplitConfig(
        ("ratio", "time"), 86_400, 86_401
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("", "", ""), "splits '': '' is none of leave_one_out, ratio, time"),
        (("ratio,half", "", ""), "'half' is none of"),
        (("ratio", "2024-01-01", ""), "validate_from is read where splits names time"),
        (("ratio", "", "2024-01-01"), "test_from is read where splits names time"),
        (("time", "yesterday", ""), "validate_from 'yesterday': expected an ISO date"),
        (("time", "2024-01-02", "2024-01-02"), "test_from 2024-01-02: expected a moment after validate_from"),
    ],
)
def test_options_at_fault(options: tuple[str, str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_splits(*options)
