from collections import Counter
from collections.abc import Callable
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data_preparation.filtering import (
    counting_items,
    k_core,
    later_duplicates,
    later_items,
    numbered,
    numbered_pairs,
)
from components.data_preparation.staging import STAGED_ITEMS
from components.data_preparation.validation import RAW_INTERACTIONS
from components.foundation.errors import InputError

Make = Callable[[list[tuple[str, str, int]]], ir.Table]
Core = Callable[[ir.Table, int], set[tuple[str, str]]]


@pytest.fixture
def core_of(connection: ibis.BaseBackend) -> Core:
    """The (user, item) of the k-core of rows, by their ids."""

    def find(interactions: ir.Table, minimum: int) -> set[tuple[str, str]]:
        users = numbered(connection, "users", interactions, "user_id")
        items = numbered(connection, "items", interactions, "item_id")
        pairs = numbered_pairs(connection, "pairs", interactions, users, items)
        users_left, items_left = k_core(connection, pairs, minimum)
        left = pairs.semi_join(users_left, "user").semi_join(items_left, "item")
        kept = left.join(users.rename(user="number"), "user").join(items.rename(item="number"), "item")
        found = kept.select("user_id", "item_id").to_pyarrow().to_pydict()
        return set(zip(found["user_id"], found["item_id"], strict=True))

    return find


def test_duplicates_are_rows_equal_in_all_but_their_line(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    rows = [
        ("u", "i", 5, "click", None, None, None),
        ("u", "i", 5, "click", None, None, None),  # a duplicate
        ("u", "i", 5, "purchase", None, None, None),
        ("u", "i", 5, "click", 1.0, None, None),
        ("u", "i", 5, "click", None, "words", None),
        ("u", "i", 5, "click", None, None, "home"),
        ("u", "i", 6, "click", None, None, None),
        ("u", "j", 5, "click", None, None, None),
        ("v", "i", 5, "click", None, None, None),
        ("u", "i", 5, "click", 1.0, None, None),  # and one of line 4
        ("u", "i", 5, "click", None, None, None),  # and another of line 1
    ]
    names = [name for name in RAW_INTERACTIONS.names if name != "sequence"]
    table = pa.Table.from_pylist(
        [{**dict(zip(names, row, strict=True)), "sequence": line} for line, row in enumerate(rows, start=1)],
        schema=RAW_INTERACTIONS,
    )
    pq.write_table(table.take([10, 3, 1, 0, 9, 2, 4, 5, 6, 7, 8]), tmp_path / "raw.parquet")
    raw = connection.read_parquet(tmp_path / "raw.parquet")
    users = numbered(connection, "users", raw, "user_id")
    pairs = numbered_pairs(connection, "pairs", raw, users, numbered(connection, "items", raw, "item_id"))
    assert sorted(later_duplicates(raw, pairs).sequence.to_pyarrow().to_pylist()) == [2, 10, 11]


def test_a_later_file_describes_items_anew(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    rows: list[tuple[str, int | None, bool]] = [  # item, file (None: of a run before), described along the way
        ("a", None, False),
        ("b", None, False),
        ("a", 4, False),  # counts
        ("a", 4, False),  # again in its file
        ("a", 3, False),
        ("b", 4, True),
        ("c", 4, True),  # counts
        ("c", 5, True),
    ]
    texts = {"title": "", "brand": "", "categories": [], "description": ""}
    table = pa.Table.from_pylist(
        [
            {**texts, "item_id": item, "file_order": file, "described": described, "position": position}
            for position, (item, file, described) in enumerate(rows)
        ],
        schema=STAGED_ITEMS,
    )
    pq.write_table(table, tmp_path / "items.parquet")
    metadata = connection.read_parquet(tmp_path / "items.parquet")
    assert later_items(metadata).position.to_pyarrow().to_pylist() == [3]
    assert sorted(counting_items(metadata).position.to_pyarrow().to_pylist()) == [1, 2, 6]


def test_the_core_is_a_fixed_point(raw_interactions: Make, core_of: Core) -> None:
    # a, b, c with x, y, z: all nine pairs, a 3-core. d has three items, but w has only d and e, so d falls to two and
    # goes, and v with it: what one round leaves is not yet the core.
    rows = [(user, item, 1) for user in "abc" for item in "xyz"]
    rows += [("d", "x", 1), ("d", "w", 1), ("d", "v", 1), ("e", "w", 1)]
    rows += [("a", "v", 1), ("b", "v", 1)]
    assert core_of(raw_interactions(rows), 3) == {(user, item) for user in "abc" for item in "xyz"}


def test_repeated_rows_count_but_a_user_of_one_item_has_nothing_to_hold_out(
    raw_interactions: Make, core_of: Core
) -> None:
    rows = [(user, item, 1) for user in "abc" for item in "xyz"]
    rows += [("a", "v", time) for time in range(3)] + [("d", "x", time) for time in range(5)]
    assert core_of(raw_interactions(rows), 3) == {(user, item) for user in "abc" for item in "xyz"} | {("a", "v")}


def test_a_user_has_three_items_whatever_k_is(raw_interactions: Make, core_of: Core) -> None:
    rows = [("a", item, 1) for item in "xyz"] + [("b", "x", 1), ("b", "w", 1), ("b", "w", 2)]
    assert core_of(raw_interactions(rows), 1) == {("a", item) for item in "xyz"}


def test_an_empty_core_of_two_says_what_users_and_items_need(raw_interactions: Make, core_of: Core) -> None:
    rows = [(user, item, 1) for user in "ab" for item in "xy"]
    with pytest.raises(
        InputError,
        match="leaves no interactions of 4: each user and item needs 2 of them, and each user 3 different items",
    ):
        core_of(raw_interactions(rows), 2)


def test_the_core_equals_dropping_one_by_one(raw_interactions: Make, core_of: Core) -> None:
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
    assert core_of(raw_interactions(rows), 4) == left


def test_an_empty_core_names_the_setting(raw_interactions: Make, core_of: Core) -> None:
    with pytest.raises(InputError, match="minimum_interactions 5 leaves no interactions of 9"):
        core_of(raw_interactions([(user, item, 1) for user in "abc" for item in "xyz"]), 5)
