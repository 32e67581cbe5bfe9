from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data_preparation.adapters import platform_parquet
from components.data_preparation.adapters.platform_parquet import PlatformParquet
from components.foundation.errors import InputError

ROW: dict[str, list[Any]] = {"user_id": ["u"], "item_id": ["i"], "timestamp": [5], "behavior": ["click"]}


def write(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**ROW, **columns}), path)


def read(source: Path) -> pa.Table:
    layout = PlatformParquet().recognise(source)
    assert layout is not None
    return pa.concat_tables([batch.table for batch in PlatformParquet().interactions(layout)])


@pytest.mark.parametrize(
    "moments",
    [
        pa.array([1_704_067_200], pa.int32()),
        pa.array([1_704_067_200_000]),
        pa.array([1_704_067_200.9]),
        pa.array([datetime(2024, 1, 1)], pa.timestamp("ns")),
        pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Asia/Shanghai")),
        pa.array([date(2024, 1, 1)]),
        pa.array(["2024-01-01 08:00:00+08:00"]),
        pa.array(["1704067200"], pa.large_string()).dictionary_encode(),
    ],
)
def test_times_of_many_types(tmp_path: Path, moments: pa.Array) -> None:
    write(tmp_path / "interactions.parquet", timestamp=moments)
    assert read(tmp_path)["timestamp"].to_pylist() == [1_704_067_200]


def test_ids_may_be_numbers_and_behaviors_go_by_common_names(tmp_path: Path) -> None:
    behavior = pa.array(["pv"]).dictionary_encode()
    write(tmp_path / "interactions.parquet", user_id=[7], item_id=pa.array([2**63], pa.uint64()), behavior=behavior)
    (row,) = read(tmp_path).to_pylist()
    assert (row["user_id"], row["item_id"], row["behavior"]) == ("7", str(2**63), "click")
    assert row["raw"] == f"7\t{2**63}\t5\tpv"


@pytest.mark.parametrize("folder", ["interactions", "interactions.parquet"])
def test_parts_in_a_folder_are_read_in_order_of_their_names(tmp_path: Path, folder: str) -> None:
    for number in (2, 0, 1):
        write(tmp_path / folder / f"part-{number}.parquet", user_id=[f"u{number}"])
    write(tmp_path / folder / "part-3.parquet", **{name: pa.array([], pa.string()) for name in ROW})  # Spark's habit
    (tmp_path / folder / "_SUCCESS").touch()
    layout = PlatformParquet().recognise(tmp_path)
    assert layout is not None
    batches = list(PlatformParquet().interactions(layout))
    assert [(batch.file, batch.table["user_id"].to_pylist()) for batch in batches] == [
        (f"{folder}/part-{number}.parquet", [f"u{number}"]) for number in range(3)
    ]


def test_rows_are_counted_through_all_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [f"u{number}" for number in range(10)]
    write(tmp_path / "interactions.parquet", **{name: values * 10 for name, values in ROW.items()} | {"user_id": users})
    monkeypatch.setattr(platform_parquet, "ROWS_A_BATCH", 3)
    table = read(tmp_path)
    assert table["source_line"].to_pylist() == list(range(1, 11))
    assert table["user_id"].to_pylist() == users


def test_what_is_no_text_costs_one_row(tmp_path: Path) -> None:
    users = pa.array([b"u1", b"u\xff", b"u\x00", None, "ü".encode()], pa.binary())
    write(tmp_path / "interactions.parquet", **{name: values * 5 for name, values in ROW.items()} | {"user_id": users})
    layout = PlatformParquet().recognise(tmp_path)
    assert layout is not None
    (batch,) = PlatformParquet().interactions(layout)
    assert batch.table["user_id"].to_pylist() == ["u1", None, "ü"]
    assert [(row["source_line"], row["reason"]) for row in batch.refused.to_pylist()] == [
        (2, "not utf-8 text"),
        (3, "not utf-8 text"),
    ]
    assert batch.refused["raw"].to_pylist()[0] == "u\\xff\ti\t5\tclick"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [1.5]}, "column user_id is of the type double, expected text or whole numbers"),
        ({"timestamp": [True]}, "column timestamp is of the type bool, expected numbers, text, dates or timestamps"),
        ({"value": ["5"]}, "column value is of the type string, expected numbers"),
        ({"query": [["red", "shoes"]]}, "column query is of the type list<.*>, expected text"),
    ],
)
def test_tables_that_do_not_serve(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    write(tmp_path / "interactions.parquet", **columns)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "interactions.parquet"))


def test_an_empty_file_of_items_or_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path / "interactions.parquet")
    pq.write_table(pa.table({"title": ["a"]}), tmp_path / "items.parquet")
    layout = PlatformParquet().recognise(tmp_path)
    assert layout is not None
    with pytest.raises(InputError, match=r"items.parquet: has no column item_id"):
        list(PlatformParquet().items(layout))


def test_columns_of_nothing_and_numbers_no_float_holds(tmp_path: Path) -> None:
    write(tmp_path / "interactions.parquet", value=[2**62], query=pa.nulls(1), scene=pa.nulls(1))
    pq.write_table(pa.table({"item_id": ["i"], "title": pa.nulls(1)}), tmp_path / "items.parquet")
    (row,) = read(tmp_path).to_pylist()
    assert (row["value"], row["query"], row["scene"]) == (float(2**62), None, None)
    layout = PlatformParquet().recognise(tmp_path)
    assert layout is not None
    (batch,) = PlatformParquet().items(layout)
    assert batch.table["title"].to_pylist() == [""]


def profiles(folder: Path, **columns: Any) -> list[tuple[str, list[tuple]]]:
    write(folder / "interactions.parquet")
    pq.write_table(pa.table(columns), folder / "users.parquet")
    layout = PlatformParquet().recognise(folder)
    assert layout is not None
    rows = [row for batch in PlatformParquet().users(layout) for row in batch.table.to_pylist()]
    return [(row["user_id"], [tuple(pair.values()) for pair in row["attributes"]]) for row in rows]


def test_profiles_in_the_long_form(tmp_path: Path) -> None:
    found = profiles(tmp_path, value=[7, 8, None], user_id=[1, 1, 2], attribute=["age", "since", "age"], more=[[1]] * 3)
    assert found == [("1", [("age", "7")]), ("1", [("since", "8")]), ("2", [])]


def test_attributes_may_be_called_anything_and_be_of_any_flat_type(tmp_path: Path) -> None:
    columns = {
        "timestamp": ["soon"],
        "categories": [1.5],
        "item_id": [True],
        "a.b": pa.array(["x"]).dictionary_encode(),
        "none": pa.nulls(1),
        "since": pa.array([0], pa.timestamp("s")),
        "user_id": ["u"],
    }
    expected = ["soon", "1.5", "true", "x", "1970-01-01 00:00:00.000"]
    names = [name for name in columns if name not in ("none", "user_id")]
    assert profiles(tmp_path, **columns) == [("u", list(zip(names, expected, strict=True)))]
    with pytest.raises(
        InputError, match=r"column tags is of the type list<.*>, expected text, numbers, booleans, dates"
    ):
        profiles(tmp_path, user_id=["u"], tags=[["a"]])
    with pytest.raises(InputError, match=r"users\.parquet: has no column user_id"):
        profiles(tmp_path, age=[1])


def test_a_channel_is_a_scene_where_there_is_no_scene(tmp_path: Path) -> None:
    write(tmp_path / "interactions.parquet", channel=["app"])
    assert read(tmp_path)["scene"].to_pylist() == ["app"]
    write(tmp_path / "interactions.parquet", channel=[5], scene=["home"])
    assert read(tmp_path)["scene"].to_pylist() == ["home"]
