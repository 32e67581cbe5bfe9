from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, interactions_schema, read_table, write_table
from components.foundation.errors import InputError
from components.recommenders.interaction_sequences import InteractionSequences, gather_windows, read_sequences


@pytest.fixture
def prepared(write_prepared: Callable[..., Path]) -> Path:
    return write_prepared({"ann": ["c", "a", "b", "d"], "bob": ["b", "d", "a"]}, ["a", "b", "c", "d"])


@pytest.fixture
def sequences(prepared: Path) -> InteractionSequences:
    return read_sequences(prepared)


def rewrite(prepared: Path, change: Callable[[list[dict]], list[dict]]) -> None:
    path = prepared / INTERACTIONS_FILE
    rows = change(read_table(path, INTERACTIONS).to_pylist())
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), path, INTERACTIONS)


def test_reads_a_prepared_folder(sequences: InteractionSequences) -> None:
    assert sequences.user_ids == ["ann", "bob"]
    assert sequences.item_ids == ["a", "b", "c", "d"]
    assert (sequences.n_users, sequences.n_items) == (2, 4)
    assert sequences.items.tolist() == [3, 1, 2, 4, 2, 4, 1]
    assert sequences.offsets.tolist() == [0, 4, 7]
    assert sequences.train_lengths.tolist() == [2, 1]


def test_reads_a_split_by_shares(write_prepared: Callable[..., Path]) -> None:
    prepared = write_prepared({"ann": list("abcdef"), "bob": list("bdae")}, list("abcdef"))
    path = prepared / INTERACTIONS_FILE
    rows = read_table(path, INTERACTIONS).to_pylist()
    splits = ["train"] * 2 + ["valid"] + ["test"] * 3 + ["train", "valid", "valid", "test"]
    schema = interactions_schema(["leave_one_out", "ratio"])

    def write(splits: list[str]) -> None:
        table = [row | {"split_ratio": split} for row, split in zip(rows, splits, strict=True)]
        write_table(pa.Table.from_pylist(table, schema=schema), path, schema)

    write(splits)
    sequences = read_sequences(prepared, "ratio")
    assert sequences.train_lengths.tolist() == [2, 1] and sequences.valid_lengths.tolist() == [1, 2]
    assert [part.tolist() for part in sequences.held_out("valid")] == [[2, 7], [1, 2]]
    assert [part.tolist() for part in sequences.held_out("test")] == [[3, 9], [3, 1]]
    of_one_out = read_sequences(prepared)
    assert of_one_out.valid_lengths is None and of_one_out.train_lengths.tolist() == [4, 2]
    assert [part.tolist() for part in of_one_out.held_out("valid")] == [[4, 8], [1, 1]]
    assert [part.tolist() for part in of_one_out.held_out("test")] == [[5, 9], [1, 1]]
    write([*splits[:-1], "valid"])
    with pytest.raises(InputError, match="split_ratio leaves a user without a visit to validate or to test with"):
        read_sequences(prepared, "ratio")
    write([splits[2], *splits[:2], *splits[3:]])
    with pytest.raises(InputError, match="split_ratio is not, in each user's order, train, then valid, then test"):
        read_sequences(prepared, "ratio")


def test_training_pairs_are_the_training_interactions(sequences: InteractionSequences) -> None:
    users, items = sequences.training_pairs()
    assert users.tolist() == [0, 0, 1]
    assert items.tolist() == [3, 1, 2]


def test_recent_items_are_padded_at_the_end(sequences: InteractionSequences) -> None:
    assert sequences.recent_items(np.arange(2), np.array([2, 1]), 3).tolist() == [[3, 1, 0], [2, 0, 0]]
    assert sequences.recent_items(np.arange(2), np.array([4, 0]), 3).tolist() == [[1, 2, 4], [0, 0, 0]]


def test_gather_windows_by_hand() -> None:
    windows = gather_windows(np.array([10, 20, 30, 40]), np.array([1, 3, 0]), np.array([2, 1, 0]), width=3)
    assert windows.tolist() == [[20, 30, 0], [40, 0, 0], [0, 0, 0]]


@given(st.data())
def test_gather_windows_are_slices(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    starts = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=5))
    lengths = [data.draw(st.integers(0, len(values) - start)) for start in starts]
    width = max(1, *lengths)
    found = gather_windows(np.array(values), np.array(starts), np.array(lengths), width)
    for row, start, length in zip(found.tolist(), starts, lengths, strict=True):
        assert row == values[start : start + length] + [0] * (width - length)


def test_a_run_of_rows_with_one_item_is_one_entry(write_prepared: Callable[..., Path]) -> None:
    funnels = {"ann": list("cccabbdd"), "bob": list("bbab")}
    prepared = write_prepared(funnels, ["a", "b", "c", "d"])
    splits = [*["train"] * 4, *["valid"] * 2, *["test"] * 2, *["train"] * 2, "valid", "test"]
    rewrite(
        prepared, lambda rows: [row | {"split_leave_one_out": split} for row, split in zip(rows, splits, strict=True)]
    )
    sequences = read_sequences(prepared)
    assert sequences.items.tolist() == [3, 1, 2, 4, 2, 1, 2]
    assert sequences.offsets.tolist() == [0, 4, 7]
    assert sequences.train_lengths.tolist() == [2, 1]


def test_a_visit_that_is_partly_held_out(prepared: Path) -> None:
    rewrite(prepared, lambda rows: [*rows[:2], rows[2] | {"item_id": "a"}, *rows[3:]])  # train a, valid a
    with pytest.raises(InputError, match=r"interactions\.parquet: split_leave_one_out tears a visit"):
        read_sequences(prepared)


def test_further_splits_do_not_matter(prepared: Path, sequences: InteractionSequences) -> None:
    path = prepared / INTERACTIONS_FILE
    table = read_table(path, INTERACTIONS)
    table = table.append_column("split_time", pa.repeat(pa.scalar("train"), len(table)))
    schema = interactions_schema(["leave_one_out", "time"])
    write_table(table, path, schema)
    assert read_sequences(prepared).items.tolist() == sequences.items.tolist()
    write_table(table.drop_columns("split_leave_one_out"), path, interactions_schema(["time"]))
    with pytest.raises(InputError, match=r"has no column split_leave_one_out, expected it among the splits"):
        read_sequences(prepared)


def test_rows_that_are_not_sorted_by_user(prepared: Path) -> None:
    rewrite(prepared, lambda rows: rows[::-1])
    with pytest.raises(InputError, match=r"interactions\.parquet: rows are not sorted by user_id"):
        read_sequences(prepared)


def test_users_in_two_pieces(prepared: Path) -> None:
    rewrite(prepared, lambda rows: rows[:2] + rows[4:] + rows[2:4])
    with pytest.raises(InputError, match=r"interactions\.parquet: rows are not sorted by user_id"):
        read_sequences(prepared)


def test_a_user_with_one_held_out_interaction(prepared: Path) -> None:
    rewrite(prepared, lambda rows: rows[:-1])
    with pytest.raises(InputError, match="does not leave exactly two visits out for every user"):
        read_sequences(prepared)


def test_held_out_rows_that_do_not_come_last(prepared: Path) -> None:
    # The arrays know how many rows are for training, not which: a test row before a training row would be trained on.
    rewrite(prepared, lambda rows: [rows[3], *rows[:3], *rows[4:]])
    with pytest.raises(InputError, match=r"interactions\.parquet"):
        read_sequences(prepared)


def test_an_item_that_the_catalogue_does_not_hold(prepared: Path) -> None:
    items = read_table(prepared / ITEMS_FILE, ITEMS)
    write_table(items.slice(0, 3), prepared / ITEMS_FILE, ITEMS)
    with pytest.raises(InputError, match=r"interactions\.parquet: 2 interactions with items that items\.parquet"):
        read_sequences(prepared)


@pytest.mark.parametrize("name", [INTERACTIONS_FILE, ITEMS_FILE])
def test_a_missing_table(prepared: Path, name: str) -> None:
    (prepared / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_sequences(prepared)
