"""Tables are checked on write and on read; vectors come back as they went in."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import EMBEDDINGS_FILE, INTERACTIONS_FILE
from components.contracts.tables import (
    ITEM_INDEX,
    ITEMS,
    interactions_schema,
    read_interactions,
    read_table,
    read_training_interactions,
    read_vectors,
    vector_dimension,
    write_table,
    write_vectors,
)
from components.foundation.errors import InputError

GOOD = pa.table({"item_id": ["a", "b"], "index": pa.array([1, 2], pa.int64())})


def test_a_table_comes_back_and_a_column_of_it_too(tmp_path):
    path = tmp_path / "new" / "items.parquet"
    write_table(GOOD, path, ITEM_INDEX)
    assert read_table(path, ITEM_INDEX).to_pydict() == GOOD.to_pydict()
    assert read_table(path, ITEM_INDEX, ["index"]).to_pydict() == {"index": [1, 2]}
    assert [entry.name for entry in path.parent.iterdir()] == ["items.parquet"]


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"item_id": ["a"]}),
        GOOD.select(["index", "item_id"]),
        pa.table({"item_id": ["a"], "index": pa.array([1], pa.int32())}),
        pa.table({"item_id": ["a", None], "index": pa.array([1, 2], pa.int64())}),
    ],
    ids=["a column missing", "another order", "another type", "a null"],
)
def test_a_table_of_another_schema_is_neither_written_nor_read(tmp_path, table):
    path = tmp_path / "items.parquet"
    with pytest.raises(ValueError, match=r"items\.parquet"):
        write_table(table, path, ITEM_INDEX)
    assert not path.exists()
    pq.write_table(table, path)
    with pytest.raises(InputError, match=r"items\.parquet"):
        read_table(path, ITEM_INDEX)


def test_a_file_at_fault_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        read_table(tmp_path / "none.parquet", ITEMS)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match=r"text\.parquet: not readable as Parquet"):
        read_table(tmp_path / "text.parquet", ITEMS)


def test_interactions_may_be_split_in_several_ways(tmp_path):
    schema = interactions_schema(["ratio", "leave_one_out"])
    row = {"user_id": "u", "item_id": "i", "timestamp": 1, "behavior": "click", "sequence": 1}
    rows = [row | {"split_ratio": "train", "split_leave_one_out": split} for split in ("train", "valid")]
    write_table(pa.Table.from_pylist(rows, schema), tmp_path / INTERACTIONS_FILE, schema)
    assert read_interactions(tmp_path, ["user_id", "split_ratio"], "ratio").num_rows == 2
    assert read_training_interactions(tmp_path, ["user_id"]).to_pydict() == {"user_id": ["u"]}
    with pytest.raises(InputError, match=r"interactions\.parquet: has no column split_time, expected it among"):
        read_interactions(tmp_path, ["user_id"], "time")
    pq.write_table(pa.table({"split_time": ["train"]}), tmp_path / INTERACTIONS_FILE)
    with pytest.raises(InputError, match=r"interactions\.parquet: has the columns \['split_time'\], expected"):
        read_interactions(tmp_path, ["user_id"], "time")


def test_vectors_come_back_sorted_by_key_from_all_shards(tmp_path):
    write_vectors(tmp_path, "user_id", ["c", "a"], np.array([[3, 3.5], [1, 1.5]], np.float64))
    write_vectors(tmp_path / "other", "user_id", ["b"], np.array([[2, 2.5]], np.float32))
    (tmp_path / "other" / EMBEDDINGS_FILE).rename(tmp_path / "part-00001.parquet")
    keys, matrix = read_vectors(tmp_path, "user_id")
    assert keys == ["a", "b", "c"] and matrix.dtype == np.float32
    assert matrix.tolist() == [[1, 1.5], [2, 2.5], [3, 3.5]]
    assert vector_dimension(tmp_path / EMBEDDINGS_FILE) == 2


def test_vectors_at_fault(tmp_path):
    with pytest.raises(InputError, match="no embeddings"):
        read_vectors(tmp_path, "user_id")
    write_vectors(tmp_path, "user_id", ["a"], np.array([[np.nan]], np.float32))
    with pytest.raises(InputError, match="not finite"):
        read_vectors(tmp_path, "user_id")
    write_vectors(tmp_path, "user_id", ["a"], np.ones((1, 2), np.float32))
    with pytest.raises(InputError, match="item_id"):
        read_vectors(tmp_path, "item_id")
    (tmp_path / EMBEDDINGS_FILE).rename(tmp_path / "part-00001.parquet")
    write_vectors(tmp_path, "user_id", ["a"], np.ones((1, 2), np.float32))
    with pytest.raises(InputError, match="'a' is there twice"):
        read_vectors(tmp_path, "user_id")
    for keys, shape in ((["a"], (2, 2)), (["a", "a"], (2, 2)), (["a"], (1,))):
        with pytest.raises(ValueError, match=r"keys|twice"):
            write_vectors(tmp_path, "user_id", keys, np.ones(shape, np.float32))
