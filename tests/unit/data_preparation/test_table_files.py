from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.data_preparation.adapters.registry import detect
from components.data_preparation.table_files import parquet_parts, partition_values

ROW = {"user_id": ["u"], "item_id": ["i"], "timestamp": [5]}


def write(path: Path, **columns: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(ROW | columns), path)
    return path


def test_parts_in_folders_are_parts_and_hidden_files_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "interactions"
    parts = [write(folder / name) for name in ("dt=2024-01-02/part-0.parquet", "part-0.parquet", "z/000000_0")]
    for name in ("_SUCCESS", "._part-0.parquet", ".part-0.parquet.crc"):
        (folder / name).write_bytes(b"x")
    assert parquet_parts(folder) == tuple(parts)
    adapter, layout = detect(tmp_path)
    assert layout.interactions == tuple(parts)
    assert sum(batch.rows_read for batch in adapter.interactions(layout)) == 3
    (folder / "part-1.csv").write_text("user_id,item_id,timestamp\n")
    assert parquet_parts(folder) == ()  # rather than all but one


def test_what_the_names_of_partitions_say_is_a_column(tmp_path: Path) -> None:
    for name in ("behavior=purchase", "behavior=add%20to%20cart"):
        write(tmp_path / "interactions" / name / "part-0.parquet")
    adapter, layout = detect(tmp_path)
    rows = [batch.table["behavior"].to_pylist() for batch in adapter.interactions(layout)]
    assert rows == [["cart"], ["purchase"]]
    path = tmp_path / "a=1" / "b=__HIVE_DEFAULT_PARTITION__" / "part"
    assert partition_values(tmp_path, path) == {"a": "1", "b": None}


def test_a_folder_of_parts_is_a_table_itself(tmp_path: Path) -> None:
    parts = tuple(write(tmp_path / f"part-0000{number}.parquet") for number in range(2))
    assert detect(tmp_path)[1].interactions == parts
