from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.behavior_encoder.histories import item_histories, read_histories, stream_histories
from components.behavior_encoder.identifiers import Identifiers
from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import INTERACTIONS, write_table
from components.foundation.errors import InputError

WritePrepared = Callable[[str, dict[str, list[str]]], Path]
# The last two are held out; ann's i01 twice in a row is one visit; of bob nothing is left.
HISTORIES = {"ann": ["i03", "i01", "i01", "i03", "i08", "i09"], "bob": ["i08", "i09"], "cat": ["i07", "i08", "i09"]}


@pytest.fixture
def prepared(write_prepared: WritePrepared) -> Path:
    return write_prepared("data", HISTORIES)


def test_training_visits_alone(prepared: Path) -> None:
    found = read_histories(prepared)
    assert found.user_ids == ["ann", "bob", "cat"] and len(found.item_ids) == 20
    assert found.items.tolist() == [4, 2, 4, 8]
    assert found.offsets.tolist() == [0, 3, 3, 4] and found.train_lengths.tolist() == [3, 0, 1]


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 7, 100])
def test_stretches_of_users_are_the_whole(prepared: Path, rows_at_once: int) -> None:
    whole, stretches = read_histories(prepared), list(stream_histories(prepared, rows_at_once))
    assert [user for stretch in stretches for user in stretch.user_ids] == whole.user_ids
    assert np.array_equal(np.concatenate([stretch.items for stretch in stretches]), whole.items)
    assert np.array_equal(np.concatenate([stretch.train_lengths for stretch in stretches]), whole.train_lengths)
    assert rows_at_once > 1 or len(stretches) == 3


def test_histories_from_item_ids() -> None:
    found = item_histories(Identifiers(["a", "b", "c"]), [["c", "x", "c", "a"], [], ["x"], ["b"]])
    assert found.items.tolist() == [3, 1, 2] and found.train_lengths.tolist() == [2, 0, 0, 1]


def test_rows_out_of_order(prepared: Path) -> None:
    table = pq.read_table(prepared / INTERACTIONS_FILE)
    write_table(table.take(list(range(len(table)))[::-1]), prepared / INTERACTIONS_FILE, INTERACTIONS)
    for rows_at_once in (2, 100):
        with pytest.raises(InputError, match=r"interactions.parquet: rows are not sorted by user_id"):
            list(stream_histories(prepared, rows_at_once))
    with pytest.raises(InputError, match=r"interactions.parquet: rows are not sorted by user_id"):
        read_histories(prepared)


def test_no_table_and_another_table(prepared: Path) -> None:
    (prepared / ITEMS_FILE).rename(prepared / INTERACTIONS_FILE)
    with pytest.raises(InputError, match=r"interactions.parquet: has no column user_id of strings"):
        read_histories(prepared)
    (prepared / INTERACTIONS_FILE).write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"interactions.parquet: not readable as Parquet"):
        read_histories(prepared)
    (prepared / INTERACTIONS_FILE).unlink()
    with pytest.raises(InputError, match=r"interactions.parquet: no such file"):
        read_histories(prepared)
