import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.contracts.artifacts import (
    ACCEPTED_FOLDER,
    HISTORIES_FILE,
    INTERACTIONS_FILE,
    ITEM_TOPICS_FILE,
    ITEMS_FILE,
    QUERY_TOPICS_FILE,
    REJECTED_FILE,
    STATISTICS_FILE,
    STATISTICS_PAGE_FILE,
    USERS_FILE,
    VALIDATION_FILE,
    VALIDATION_PAGE_FILE,
)
from components.contracts.tables import (
    HISTORIES,
    INTERACTIONS,
    ITEM_TOPICS,
    ITEMS,
    QUERY_TOPICS,
    REJECTED,
    USERS,
    interactions_schema,
    read_table,
)
from components.data_preparation import source_files
from components.data_preparation.adapters.contract import UNCHECKED_INTERACTIONS, UNCHECKED_ITEMS, RowBatch, Source
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import PreparationConfig, configure, prepare, prepare_source
from components.data_preparation.splits import parse_splits
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.marketplace.log import write_log
from components.marketplace.truth import load_truth, make_truth
from components.marketplace.world import market_of_users
from components.recommenders.interaction_sequences import read_sequences

FILES = (
    INTERACTIONS_FILE,
    HISTORIES_FILE,
    ITEMS_FILE,
    USERS_FILE,
    ITEM_TOPICS_FILE,
    QUERY_TOPICS_FILE,
    REJECTED_FILE,
    STATISTICS_FILE,
    STATISTICS_PAGE_FILE,
    VALIDATION_FILE,
    VALIDATION_PAGE_FILE,
)


def movielens(folder: Path, extra: tuple[str, ...] = ()) -> PreparationConfig:
    """Five users who rate the same five movies, of which movies.dat describes four; then `extra` lines."""
    rows = [f"{user}::{movie}::3::{100 * user + movie}" for user in range(5) for movie in range(5)]
    (folder / "ratings.dat").write_text("\n".join([*rows, *extra]))
    (folder / "movies.dat").write_text("\n".join(f"{movie}::Title {movie}::Drama" for movie in (3, 2, 1, 0, 77)))
    return PreparationConfig("ml-1m", folder, seed=0, minimum_interactions=5, max_rejected=0.05)


def test_the_files_and_the_report(tmp_path: Path) -> None:
    report = prepare(movielens(tmp_path, extra=("9::0::5::86400", "1::2")), tmp_path / "out")
    assert report == {
        "dataset": {
            "name": "ml-1m",
            "format": "movielens-1m",
            "users": 6,
            "items": 5,
            "interactions": 26,
            "accepted": 26,
            "rejected": 1,
            "repeated": 0,
            "rejected_by_reason": {"too few fields, expected 4": 1},
            "files": {
                "ratings.dat": {"read": 27, "accepted": 26, "rejected": 1},
                "movies.dat": {"read": 5, "accepted": 5, "rejected": 0},
            },
            "references": {
                "items_without_metadata": 1,
                "interactions_with_them": 5,
                "items_without_interactions": 1,
                "users_without_profile": 6,
                "profiles_without_interactions": 0,
            },
            "span": {"first": "1970-01-01", "last": "1970-01-02"},
            "after_k_core": {"users": 5, "items": 5, "interactions": 25},
            "topics": {"vocabulary": 0, "items_with_topics": 0, "queries_with_topics": 0, "queries": 0},
            "splits": {"leave_one_out": {"train": 15, "valid": 5, "test": 5}},
        }
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, ACCEPTED_FOLDER])
    interactions = read_table(tmp_path / "out" / INTERACTIONS_FILE, INTERACTIONS)
    assert interactions["user_id"].to_pylist() == [str(user) for user in range(5) for _ in range(5)]
    histories = read_table(tmp_path / "out" / HISTORIES_FILE, HISTORIES).to_pylist()
    assert histories == [{"user_id": str(user), "items": list("01234")} for user in range(5)]
    items = read_table(tmp_path / "out" / ITEMS_FILE, ITEMS).to_pylist()
    # Movie 77 is nobody's, movie 4 has no metadata and is kept.
    assert [(item["item_id"], item["title"]) for item in items] == [
        ("0", "Title 0"),
        ("1", "Title 1"),
        ("2", "Title 2"),
        ("3", "Title 3"),
        ("4", ""),
    ]
    for file, schema in ((USERS_FILE, USERS), (ITEM_TOPICS_FILE, ITEM_TOPICS), (QUERY_TOPICS_FILE, QUERY_TOPICS)):
        assert len(read_table(tmp_path / "out" / file, schema)) == 0  # nothing is known, and the table is there
    (rejected,) = read_table(tmp_path / "out" / REJECTED_FILE, REJECTED).to_pylist()
    assert rejected == {
        "file": "ratings.dat",
        "source_line": 27,
        "reason": "too few fields, expected 4",
        "raw": "1::2",
    }
    statistics = json.loads((tmp_path / "out" / STATISTICS_FILE).read_text())
    assert statistics["items_without_metadata"] == 1
    (reason,) = statistics["rejected_reasons"]
    assert (reason["file"], reason["reason"], reason["rows"]) == ("ratings.dat", "too few fields, expected 4", 1)


def test_of_exact_duplicates_the_first_in_order_of_input_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_files, "BLOCK_BYTES", 40)  # they are in different blocks
    config = movielens(tmp_path, extra=("0::1::3::1", "0::1::3::2", "1::2", "0::1::4::1", "0::1::3::1"))
    movies = (tmp_path / "movies.dat").read_text()
    (tmp_path / "movies.dat").write_text(movies + "\n3::Other::Drama")
    report = prepare(replace(config, max_rejected=0.5), tmp_path / "out")["dataset"]
    rejected = read_table(tmp_path / "out" / REJECTED_FILE, REJECTED).to_pylist()
    assert [tuple(row.values()) for row in rejected] == [
        ("ratings.dat", 26, "duplicate", "0::1::3::1"),
        ("ratings.dat", 28, "too few fields, expected 4", "1::2"),
        ("ratings.dat", 30, "duplicate", "0::1::3::1"),
        ("movies.dat", 6, "duplicate item", "3::Other::Drama"),
    ]
    assert report["rejected_by_reason"] == {"duplicate": 2, "too few fields, expected 4": 1}
    assert report["files"]["movies.dat"] == {"read": 6, "accepted": 5, "rejected": 1}
    interactions = read_table(tmp_path / "out" / INTERACTIONS_FILE, INTERACTIONS)
    assert {2, 27, 29} <= set(interactions["sequence"].to_pylist())
    assert not {26, 30} & set(interactions["sequence"].to_pylist())
    assert read_table(tmp_path / "out" / ITEMS_FILE, ITEMS)["title"].to_pylist()[3] == "Title 3"


def test_profiles_are_of_the_users_left_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    config = movielens(tmp_path, extra=("9::0::5::86400",))  # user 9 does not stay
    rows = ["4::F::25::7::X", "9::M::1::1::Y", "77::M::1::1::Y", "1::M:: ::::Z", "1::::18::::", "1::M::18::::", "2::F"]
    (tmp_path / "users.dat").write_text("\n".join(rows))
    report = prepare(replace(config, max_rejected=0.5), tmp_path / "out")["dataset"]
    assert report["files"]["users.dat"] == {"read": 7, "accepted": 5, "rejected": 2}
    assert report["references"]["users_without_profile"] == 3  # 0, 2 and 3
    assert report["references"]["profiles_without_interactions"] == 1  # 77
    assert report["rejected"] == 0  # of the interactions
    assert [tuple(row.values()) for row in read_table(tmp_path / "out" / REJECTED_FILE, REJECTED).to_pylist()] == [
        ("users.dat", 6, "duplicate user attribute", "1::M::18::::"),
        ("users.dat", 7, "too few fields, expected 5", "2::F"),
    ]
    assert [tuple(row.values()) for row in read_table(tmp_path / "out" / USERS_FILE, USERS).to_pylist()] == [
        *(("1", "age", "18"), ("1", "gender", "M"), ("1", "zip", "Z")),
        *(("4", "age", "25"), ("4", "gender", "F"), ("4", "occupation", "7"), ("4", "zip", "X")),
    ]


@pytest.mark.slow
def test_no_part_of_a_path_is_a_pattern_or_a_column(tmp_path: Path) -> None:
    plain, strange = tmp_path / "plain", tmp_path / "day=1 [2] *?{a} %20#"
    config = movielens(tmp_path, extra=("1::2",))
    expected = prepare(config, plain / "first")
    assert prepare(config, strange / "first") == expected
    for folder in (plain, strange):
        again = replace(config, previous=folder / "first", max_rejected=1.0)
        assert prepare(again, folder / "again")["dataset"]["accepted"] == 25
    for name in (*FILES, f"{ACCEPTED_FOLDER}/{INTERACTIONS_FILE}"):
        for run in ("first", "again"):
            assert (plain / run / name).read_bytes() == (strange / run / name).read_bytes(), name


def batch(file: str, lines: range, user: str, described: pa.Table | None = None) -> RowBatch:
    rows = [
        {"user_id": user, "item_id": f"i{line % 3}", "timestamp": line, "behavior": "click", "source_line": line}
        for line in lines
    ]
    table = pa.Table.from_pylist([{**row, "raw": str(row["item_id"])} for row in rows], schema=UNCHECKED_INTERACTIONS)
    return RowBatch(file, table, REJECTED.empty_table(), len(rows), described)


def test_rows_of_many_files_are_one_sequence(tmp_path: Path) -> None:
    days = [batch("day 1", range(first, first + 3), user) for first, user in ((1, "a"), (4, "b"), (7, "c"))]
    log = iter([*days, batch("day 2", range(2, 8), "a")])
    source = Source("log", "test", None, log, iter(()))
    report = prepare_source(source, 3, 1.0, tmp_path / "out")["dataset"]
    # Lines 2 and 3 of the second day are those of the first.
    assert report["rejected_by_reason"] == {"duplicate": 2}
    assert report["files"]["day 2"] == {"read": 6, "accepted": 4, "rejected": 2}
    interactions = read_table(tmp_path / "out" / INTERACTIONS_FILE, INTERACTIONS)
    found = zip(*(interactions[name].to_pylist() for name in ("user_id", "timestamp", "sequence")), strict=True)
    assert list(found) == [
        *(("a", line, line) for line in (1, 2, 3)),
        *(("a", line, 9 + line) for line in (4, 5, 6, 7)),
        *(("b", line, line) for line in (4, 5, 6)),
        *(("c", line, line) for line in (7, 8, 9)),
    ]


def test_items_described_along_the_way_give_way_to_those_of_a_file(tmp_path: Path) -> None:
    def described(*rows: tuple[str, str]) -> pa.Table:
        return pa.Table.from_pylist(
            [
                {"item_id": item, "title": title, "brand": "", "categories": [], "description": ""}
                for item, title in rows
            ],
            schema=UNCHECKED_ITEMS,
        )

    log = iter(
        [
            batch("log", range(3, 9), "a", described(("i0", "first"), ("", "nameless"), ("i1", "first"))),
            batch("log", range(9, 15), "b", described(("i0", "second"), ("i2", "second"))),
            batch("log", range(15, 18), "c"),
        ]
    )
    of_file = RowBatch("items", described(("i1", "of file")), REJECTED.empty_table(), 1)
    report = prepare_source(Source("log", "test", None, log, iter([of_file])), 3, 0.0, tmp_path / "out")["dataset"]
    assert report["rejected"] == 0
    assert report["references"]["items_without_metadata"] == 0
    items = read_table(tmp_path / "out" / ITEMS_FILE, ITEMS)
    assert items["title"].to_pylist() == ["first", "of file", "second"]


@pytest.mark.slow
def test_a_path_stands_for_itself_and_its_format_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    movielens(source)
    monkeypatch.chdir(tmp_path)
    for dataset in (str(source), "source", "source/ratings.dat"):
        config = configure(DataSection(dataset), 0, Settings(data_dir=None))
        assert Path(config.dataset).is_absolute() and config.folder is None
        report = prepare(config, tmp_path / f"out of {dataset.replace('/', ' ')}")["dataset"]
        assert (report["format"], report["accepted"]) == ("movielens-1m", 25)
        assert report["name"] == Path(dataset).name
    assert report["references"]["items_without_metadata"] == 5  # of the one file


@pytest.mark.slow
def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    config = configure(DataSection("simulator:100"), seed=11, settings=Settings())
    reports = [prepare(config, tmp_path / name, tmp_path / name / "truth") for name in ("first", "second")]
    assert reports[0] == reports[1]
    for file in (*FILES, "truth/users.parquet", "truth/items.parquet", "truth/config.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@pytest.mark.slow
def test_the_simulator_is_the_marketplace_read_as_a_log_of_files(tmp_path: Path) -> None:
    config = configure(DataSection("simulator:100"), seed=11, settings=Settings())
    report = prepare(config, tmp_path / "out", tmp_path / "truth")["dataset"]
    truth = make_truth(market_of_users(100), 11)
    assert report["accepted"] == write_log(truth, tmp_path / "log")
    assert (report["name"], report["format"], report["rejected"]) == ("simulator", "platform-parquet", 0)
    # The log is not kept.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, ACCEPTED_FOLDER])
    assert np.array_equal(load_truth(tmp_path / "truth").users.brand_taste, truth.users.brand_taste)

    of_log = prepare(configure(DataSection(str(tmp_path / "log")), 0, Settings()), tmp_path / "of log")["dataset"]
    assert of_log == {**report, "name": "log"}
    for file in (INTERACTIONS_FILE, ITEMS_FILE):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "of log" / file).read_bytes()


def test_a_market_too_small_for_the_core_leaves_nothing(tmp_path: Path) -> None:
    config = configure(DataSection("simulator:1", minimum_interactions=50), seed=0, settings=Settings())
    with pytest.raises(InputError, match="minimum_interactions 50 leaves no interactions"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_all_splits_at_once(tmp_path: Path) -> None:
    # Moments are 0 to 4, 100 to 104 and so on: the 80% of rows before T1 are those of the first four users.
    config = movielens(tmp_path)
    report = prepare(replace(config, splits=parse_splits("time,ratio,leave_one_out", "", "")), tmp_path / "out")
    assert report["dataset"]["splits"] == {
        "leave_one_out": {"train": 15, "valid": 5, "test": 5},
        "ratio": {"train": 15, "valid": 5, "test": 5},
        "time": {"train": 20, "valid": 2, "test": 3},
    }
    moments = {"validate_from": "1970-01-01T00:06:40+00:00", "test_from": "1970-01-01T00:06:42+00:00"}
    assert report["dataset"]["split_moments"] == moments
    schema = interactions_schema(["leave_one_out", "ratio", "time"])
    interactions = read_table(tmp_path / "out" / INTERACTIONS_FILE, schema)
    assert interactions["split_time"].to_pylist() == ["train"] * 20 + ["valid"] * 2 + ["test"] * 3
    statistics = json.loads((tmp_path / "out" / STATISTICS_FILE).read_text())
    assert statistics["splits"]["time"]["train"]["interactions"] == 20

    # What the summary tells is what the options take.
    splits = parse_splits("time", *moments.values())
    assert prepare(replace(config, splits=splits), tmp_path / "again")["dataset"]["split_moments"] == moments
    late = replace(config, splits=parse_splits("time", "", "2001-01-01"))
    with pytest.raises(InputError, match=r"splits time: no row is for test with .* test_from 2001-01-01T00:00:00"):
        prepare(late, tmp_path / "late")
    assert not (tmp_path / "late").exists()


def test_too_many_rejected_rows_end_the_run(tmp_path: Path) -> None:
    config = movielens(tmp_path, extra=("1::2", "1::2::3::-4"))
    expected = (
        r"ratings\.dat: 2 of 27 rows \(7\.4%\) are rejected, more than the setting RELAND_MAX_REJECTED=0\.05 allows; "
        r"the first is line 26: too few fields, expected 4"
    )
    with pytest.raises(InputError, match=expected):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stopped_run_keeps_its_validation_report_and_says_where(tmp_path: Path) -> None:
    config = replace(movielens(tmp_path, extra=("1::2", "1::2::3::-4")), stopped=tmp_path / "stopped")
    with pytest.raises(InputError, match=r"line 26: .*; every reason with examples: .*stopped/validation\.html$"):
        prepare(config, tmp_path / "out")
    kept = json.loads((tmp_path / "stopped" / VALIDATION_FILE).read_text())
    assert "ratings.dat: 2 of 27 rows" in kept["stopped"]
    assert [reason["reason"] for reason in kept["files"][0]["reasons"]] == [
        "negative timestamp",
        "too few fields, expected 4",
    ]
    assert "2 of 27 rows" in (tmp_path / "stopped" / VALIDATION_PAGE_FILE).read_text()
    (tmp_path / "a file").touch()
    with pytest.raises(InputError, match=r"line 26: .*no report: .*a file cannot be written"):
        prepare(replace(config, stopped=tmp_path / "a file"), tmp_path / "out")


def test_too_many_rejected_items_end_the_run(tmp_path: Path) -> None:
    config = movielens(tmp_path)
    (tmp_path / "movies.dat").write_text("1::Title::Drama\nnothing\n")
    with pytest.raises(InputError, match=r"movies\.dat: 1 of 2 rows \(50\.0%\)"):
        prepare(config, tmp_path / "out")


def test_nothing_left_after_validation(tmp_path: Path) -> None:
    movielens(tmp_path)
    (tmp_path / "ratings.dat").write_text("1::2::3::-4\n")
    config = PreparationConfig("ml-1m", tmp_path, seed=0, minimum_interactions=5, max_rejected=1.0)
    with pytest.raises(InputError, match=r"ratings\.dat: no row is left after validation"):
        prepare(config, tmp_path / "out")


def test_emptied_by_the_core(tmp_path: Path) -> None:
    movielens(tmp_path)
    config = PreparationConfig("ml-1m", tmp_path, seed=0, minimum_interactions=6, max_rejected=0.05)
    with pytest.raises(InputError, match="minimum_interactions 6 leaves no interactions of 25"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_output(tmp_path: Path) -> None:
    config = movielens(tmp_path)
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out: cannot be made a folder"):
        prepare(config, tmp_path / "out")


def test_where_the_files_are_looked_for(tmp_path: Path) -> None:
    def folder(data_dir: str, setting: Path | None, dataset: str = "ml-1m") -> Path | None:
        return configure(DataSection(dataset, data_dir), 0, Settings(data_dir=setting)).folder

    assert folder("", tmp_path) == tmp_path
    (tmp_path / "ml-1m").mkdir()
    assert folder("", tmp_path) == tmp_path / "ml-1m"
    assert folder(str(tmp_path), None) == tmp_path  # as it is given
    assert folder("", None, dataset="simulator") is None
    assert folder("", None, dataset="simulator:10") is None


@pytest.mark.parametrize(
    ("dataset", "data_dir", "message"),
    [
        ("ml-1m", "", "give data_dir or set RELAND_DATA_DIR"),
        ("ml-1m", "absent", "absent: no such folder"),
        ("ml-1m", "a file", "a file: is a file, expected a folder"),
        ("ml-1m", "x" * 300, "not readable as a folder .*File name too long"),
        ("simulator:", "", "dataset simulator:: expected simulator:USERS with 1 to 10,000,000 users"),
        ("simulator:0", "", "dataset simulator:0: expected"),
        ("simulator:1.5", "", "dataset simulator:1.5: expected"),
        ("simulator:10000001", "", "dataset simulator:10000001: expected"),
        ("simulator:١٢", "", "expected simulator:USERS"),
        ("ml-10m", "", "unknown data set 'ml-10m', expected one of simulator, ml-1m, amazon-beauty or the path"),
        ("./ml-10m", "", "ml-10m: no such file or folder"),
        ("./" + "x" * 5_000, "", "xxx: no such file or folder"),
        ("a\0b/c", "", "no such file or folder"),
        (".", "", "no known format: a file is empty"),
        (".", "a file", "is a path and data_dir .* is given"),
    ],
)
def test_settings_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, data_dir: str, message: str
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        configure(DataSection(dataset, data_dir and str(tmp_path / data_dir)), 0, Settings(data_dir=None))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "accepted", "core"),
    [
        ("ml-1m", (6_040, 3_706, 1_000_209), (6_040, 3_416, 999_611)),
        ("amazon-beauty", (22_363, 12_101, 198_502), (22_363, 12_101, 198_502)),
    ],
)
def test_real_data_have_the_known_counts(
    tmp_path: Path,
    real_data: Callable[[str], Path],
    dataset: str,
    accepted: tuple[int, int, int],
    core: tuple[int, int, int],
) -> None:
    config = PreparationConfig(dataset, real_data(dataset), seed=0, minimum_interactions=5, max_rejected=0.0)
    found = prepare(config, tmp_path)["dataset"]
    names = ("users", "items", "interactions")
    assert tuple(found[name] for name in names) == accepted
    assert (found["accepted"], found["rejected"]) == (accepted[2], 0)
    assert tuple(found["after_k_core"][name] for name in names) == core
    assert found["splits"]["leave_one_out"] == {"train": core[2] - 2 * core[0], "valid": core[0], "test": core[0]}

    interactions = read_table(tmp_path / INTERACTIONS_FILE, INTERACTIONS)
    items = read_table(tmp_path / ITEMS_FILE, ITEMS)
    assert items["item_id"].to_pylist() == sorted(pc.unique(interactions["item_id"]).to_pylist())
    order = interactions.select(["user_id", "timestamp", "sequence"])
    assert order.equals(
        order.sort_by([("user_id", "ascending"), ("timestamp", "ascending"), ("sequence", "ascending")])
    )


def test_no_core_at_all() -> None:
    with pytest.raises(InputError, match="minimum_interactions 0: expected at least 1"):
        DataSection(minimum_interactions=0)


@pytest.mark.parametrize(("minimum", "left"), [(5, (8, 35, 249)), (1, (43, 3_276, 4_321))])
def test_the_taobao_sample(
    tmp_path: Path, real_data: Callable[[str], Path], minimum: int, left: tuple[int, int, int]
) -> None:
    config = configure(
        DataSection(str(real_data("taobao-sample")), minimum_interactions=minimum), 0, Settings(max_rejected=0.0)
    )
    found = prepare(config, tmp_path / "out")["dataset"]
    assert (found["users"], found["items"], found["accepted"], found["rejected"]) == (43, 3_276, 4_321, 0)
    assert tuple(found["after_k_core"].values()) == left
    sequences = read_sequences(tmp_path / "out")
    assert sequences.n_users == left[0] and sequences.train_lengths.min() > 0
