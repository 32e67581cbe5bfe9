from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.errors import InputError
from components.contracts.tables import INTERACTIONS
from components.data_preparation.filtering import k_core_split

Make = Callable[[list[tuple[str, str, int]]], pa.Table]


def test_the_core_is_a_fixed_point(raw_interactions: Make) -> None:
    # a, b, c with x, y, z: all nine pairs, a 3-core. d has three items, but w has only d and e, so d falls to two and
    # goes, and v with it: what one round leaves is not yet the core.
    rows = [(user, item, 1) for user in "abc" for item in "xyz"]
    rows += [("d", "x", 1), ("d", "w", 1), ("d", "v", 1), ("e", "w", 1)]
    rows += [("a", "v", 1), ("b", "v", 1)]
    core = k_core_split(raw_interactions(rows), 3)
    assert sorted(zip(core["user_id"].to_pylist(), core["item_id"].to_pylist(), strict=True)) == [
        (user, item) for user in "abc" for item in "xyz"
    ]


def test_the_core_equals_dropping_one_by_one(raw_interactions: Make) -> None:
    generator = np.random.default_rng(3)
    pairs = {
        (f"u{u}", f"i{i}") for u, i in zip(generator.zipf(1.5, 900) % 60, generator.zipf(1.4, 900) % 50, strict=True)
    }
    rows = [(user, item, 1) for user, item in sorted(pairs)]
    left = set(pairs)
    while True:
        users, items = Counter(user for user, _ in left), Counter(item for _, item in left)
        drop = next((pair for pair in sorted(left) if users[pair[0]] < 4 or items[pair[1]] < 4), None)
        if drop is None:
            break
        left.remove(drop)
    assert 0 < len(left) < len(pairs)
    core = k_core_split(raw_interactions(rows), 4)
    assert set(zip(core["user_id"].to_pylist(), core["item_id"].to_pylist(), strict=True)) == left


def test_leave_one_out_breaks_ties_by_the_order_of_lines(raw_interactions: Make) -> None:
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
    table = raw_interactions(rows).take(np.random.default_rng(0).permutation(len(rows)))
    split = k_core_split(table, 3)
    assert split.schema.equals(INTERACTIONS)
    columns = [split[name].to_pylist() for name in ("user_id", "sequence", "split_leave_one_out")]
    assert list(zip(*columns, strict=True)) == [
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


def test_users_are_sorted_as_text(raw_interactions: Make) -> None:
    rows = [(user, item, 1) for user in ("9", "10", "é", "Z", "a") for item in "xyz"]
    users = k_core_split(raw_interactions(rows), 3)["user_id"].to_pylist()
    assert users[::3] == ["10", "9", "Z", "a", "é"]


def test_an_empty_core_names_the_setting(raw_interactions: Make) -> None:
    with pytest.raises(InputError, match="--minimum-interactions 5 leaves no interactions of 9"):
        k_core_split(raw_interactions([(user, item, 1) for user in "abc" for item in "xyz"]), 5)
