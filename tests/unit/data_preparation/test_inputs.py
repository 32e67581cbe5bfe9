"""Inputs as teams have them, prepared from the file to the tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import ITEMS_FILE
from components.data_preparation.adapters.registry import detect
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import configure, prepare
from components.foundation.errors import InputError
from components.foundation.settings import Settings

USERS, ITEMS = 4, 5


@pytest.fixture
def prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[dict[str, Any], str]]:
    """Prepare the folder "source", and give the report and what was said."""

    def run() -> tuple[dict[str, Any], str]:
        config = configure(DataSection(str(tmp_path / "source"), minimum_interactions=2), 0, Settings(home=tmp_path))
        report = prepare(config, tmp_path / "out")["dataset"]
        assert report["accepted"] + report["rejected"] == sum(
            file["read"] for name, file in report["files"].items() if "items" not in name and "movies" not in name
        )
        return report, capsys.readouterr().out

    (tmp_path / "source").mkdir()
    return run


def log(separator: str = ",", header: str = "userId,movieId,rating,timestamp", row: str = "{u},{i},3,{t}") -> str:
    """A row for each of the users and items, an hour apart."""
    pairs = [(user, item) for user in range(1, USERS + 1) for item in range(1, ITEMS + 1)]
    rows = [row.format(u=user, i=item, t=1_400_000_000 + 3_600 * (10 * user + item)) for user, item in pairs]
    return "\n".join([header, *rows]).replace(",", separator) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        log(header="userId, movieId, rating, timestamp", row="{u}, {i}, 3, {t}"),
        log(row="{u}.0,{i}.0,3,{t}.0"),
        log(row='"{u}","{i}","3","{t}"'),
        log(";", row="{u},{i},3.5,{t}").replace("3.5", "3,5"),
        log("\t"),
        log("|"),
        log(header="USERID,MOVIEID,RATING,TIMESTAMP"),
    ],
    ids=["spaces", "floats", "quotes", "semicolons", "tabs", "bars", "capitals"],
)
def test_ids_that_differ_in_form_alone_are_read_alike(tmp_path: Path, content: str) -> None:
    (tmp_path / "ratings.csv").write_text(content)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,Film 1,Drama\n2,Film 2,Drama\n")
    adapter, layout = detect(tmp_path)
    assert adapter.name == "movielens-latest"
    (batch,) = adapter.interactions(layout)
    first = batch.table.slice(0, 2).select(["user_id", "item_id", "timestamp"]).to_pylist()
    assert [tuple(row.values()) for row in first] == [("1", "1", 1_400_039_600), ("1", "2", 1_400_043_200)]
    assert set(batch.table["value"].to_pylist()) <= {3.0, 3.5}
    assert len(batch.refused) == 0


def test_what_is_joined_and_what_is_not_read(tmp_path: Path, prepared: Callable) -> None:
    (tmp_path / "source" / "ratings.csv").write_text(log(row="{u}.0, {i}.0,3,{t}.0"))
    (tmp_path / "source" / "movies.csv").write_text("movieId,title,genres\n1,Film 1,Drama\n2,Film 2,Drama\n")
    (tmp_path / "source" / "tags.csv").write_text("userId,movieId,tag,timestamp\n")
    report, said = prepared()
    assert report["references"]["items_without_metadata"] == ITEMS - 2
    assert "not read, no part of movielens-latest: tags.csv" in said and "described" not in said
    assert pq.read_table(tmp_path / "out" / ITEMS_FILE)["title"].to_pylist()[:3] == ["Film 1", "Film 2", ""]


def test_ids_that_match_nothing_are_warned_of(tmp_path: Path, prepared: Callable) -> None:
    (tmp_path / "source" / "log.csv").write_text(log(header="user_id,item_id,value,timestamp", row="{u},0000{i},3,{t}"))
    (tmp_path / "source" / "items.csv").write_text("item_id,title\n1,Thing\n")
    _, said = prepared()
    assert "WARNING: of the 5 items of the log 0 are described: their ids look written in two ways, '00001'" in said
    assert "no topics: no item has a title, and no interaction a query" in said


def test_repeated_events_are_counted_and_are_no_faults(tmp_path: Path, prepared: Callable) -> None:
    content = log(header="user_id,item_id,value,timestamp")
    (tmp_path / "source" / "log.csv").write_text(content + "".join(content.splitlines(keepends=True)[1:]))
    report, said = prepared()
    assert (report["accepted"], report["rejected"], report["repeated"]) == (20, 20, 20)
    assert "20 repeat an earlier row, of exact duplicates the first is kept" in said
    (tmp_path / "source" / "log.csv").write_text(content + content + "broken\n" * 4)
    with pytest.raises(InputError, match=r"5 of 45 rows \(11.1%\) are rejected.*line 22: .*timestamp'"):
        prepared()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "span"),
    [
        ([20240228, 20240229, 20240301, 20241231, 20250101], ("2024-02-28", "2025-01-01")),
        ([2024022823, 2024022900, 2024030101, 2024123102, 2025010103], ("2024-02-28", "2025-01-01")),
        ([1400000000 * 10**9 + number for number in range(5)], ("2014-05-13", "2014-05-13")),
        # The thirtieth of February is no day, so these are seconds.
        ([20240228, 20240230, 20240301, 20241231, 20250101], ("1970-08-23", "1970-08-23")),
    ],
)
def test_days_hours_and_nanoseconds(tmp_path: Path, prepared: Callable, times: list[int], span: tuple) -> None:
    pairs = [(str(user), str(item)) for user in range(USERS) for item in range(ITEMS)]
    columns = {"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]}
    table = pa.table(
        columns | {"timestamp": times * USERS, "behavior": ["page_view", "add_to_cart", "like", "BUY", "pv"] * 4}
    )
    pq.write_table(table, tmp_path / "source" / "interactions.parquet")
    report, said = prepared()
    assert (report["span"]["first"], report["span"]["last"]) == span
    assert ("WARNING: every interaction is of 1970" in said) == (span[0] < "1971")


def test_items_in_parquet_of_other_types(tmp_path: Path) -> None:
    log_columns = {"USER_ID": [], "ITEM_ID": [], "TIMESTAMP": []}
    for number in range(USERS * ITEMS):
        for name, value in zip(
            log_columns, (float(number // ITEMS), number % ITEMS, 1_400_000_000 + number), strict=True
        ):
            log_columns[name].append(value)
    pq.write_table(pa.table(log_columns), tmp_path / "interactions.parquet")
    expected: dict[str, tuple[pa.Array, list[list[str]]]] = {
        "null": (pa.nulls(2), [[], []]),
        "list of null": (pa.array([[], [None]], pa.list_(pa.null())), [[], []]),
        "text": (pa.array(["A|B", None]), [["A", "B"], []]),
        "lists": (pa.array([["A"], None], pa.large_list(pa.string())), [["A"], []]),
    }
    for column, categories in expected.values():
        items = pa.table({"item_id": pa.array([0, 1], pa.int32()), "title": ["Zero", "One"], "categories": column})
        pq.write_table(items, tmp_path / "items.parquet")
        adapter, layout = detect(tmp_path)
        (batch,) = adapter.items(layout)
        assert batch.table["categories"].to_pylist() == categories
        (batch,) = adapter.interactions(layout)
        assert batch.table["user_id"].to_pylist()[:6] == ["0"] * 5 + ["1"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{u},{i},impression,{t}", "unknown behavior, '1,1,impression,.*name others with behaviors, as in 2=purchase"),
        ("{u},{i},click,08/12/2014", "timestamp is not a time, '1,1,click,08/12/2014' .*which may be of two months"),
    ],
)
def test_the_value_at_fault_and_the_forms_that_are_read(
    tmp_path: Path, prepared: Callable, row: str, message: str
) -> None:
    (tmp_path / "source" / "log.csv").write_text(log(header="user_id,item_id,behavior,timestamp", row=row))
    with pytest.raises(InputError, match=message):
        prepared()


def test_titles_are_as_written_whichever_of_two_encodings_a_release_is_in(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text(log(row="{u}::{i}::3::{t}").split("\n", 1)[1])
    titles = ["Misérables, Les", "Café", "Plain"]
    rows = [f"{number}::{title}::Drama" for number, title in enumerate(titles, 1)]
    content = rows[0].encode() + b"\n" + rows[1].encode("iso-8859-1") + b"\n" + rows[2].encode()
    (tmp_path / "movies.dat").write_bytes(content)
    adapter, layout = detect(tmp_path)
    (batch,) = adapter.items(layout)
    assert batch.table["title"].to_pylist() == titles
