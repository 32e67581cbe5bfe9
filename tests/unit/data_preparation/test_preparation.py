import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pytest

from components.contracts.artifacts import (
    INTERACTIONS_FILE,
    ITEMS_FILE,
    REJECTED_FILE,
    STATISTICS_FILE,
    STATISTICS_PAGE_FILE,
)
from components.contracts.errors import InputError
from components.contracts.settings import Settings
from components.contracts.tables import INTERACTIONS, ITEMS, REJECTED, read_table
from components.data_preparation.preparation import PreparationConfig, configure, prepare

FILES = (INTERACTIONS_FILE, ITEMS_FILE, REJECTED_FILE, STATISTICS_FILE, STATISTICS_PAGE_FILE)


def movielens(folder: Path, extra: tuple[str, ...] = ()) -> PreparationConfig:
    """Five users who rate the same five movies, of which movies.dat describes four; then `extra` lines."""
    rows = [f"{user}::{movie}::3::{100 * user + movie}" for user in range(5) for movie in range(5)]
    (folder / "ratings.dat").write_text("\n".join([*rows, *extra]))
    (folder / "movies.dat").write_text("\n".join(f"{movie}::Title {movie}::Drama" for movie in (3, 2, 1, 0, 77)))
    return PreparationConfig("ml-1m", folder, seed=0, minimum_interactions=5, max_rejected=0.05)


def test_the_four_files_and_the_report(tmp_path: Path) -> None:
    report = prepare(movielens(tmp_path, extra=("9::0::5::5", "1::2")), tmp_path / "out")
    assert report == {
        "dataset": {
            "name": "ml-1m",
            "users": 6,
            "items": 5,
            "interactions": 26,
            "accepted": 26,
            "rejected": 1,
            "after_k_core": {"users": 5, "items": 5, "interactions": 25},
            "splits": {"leave_one_out": {"train": 15, "valid": 5, "test": 5}},
        }
    }
    interactions = read_table(tmp_path / "out" / INTERACTIONS_FILE, INTERACTIONS)
    assert interactions["user_id"].to_pylist() == [str(user) for user in range(5) for _ in range(5)]
    items = read_table(tmp_path / "out" / ITEMS_FILE, ITEMS).to_pylist()
    # Movie 77 is nobody's, movie 4 has no metadata and is kept.
    assert [(item["item_id"], item["title"]) for item in items] == [
        ("0", "Title 0"),
        ("1", "Title 1"),
        ("2", "Title 2"),
        ("3", "Title 3"),
        ("4", ""),
    ]
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


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    config = configure("simulator", "", seed=11, minimum_interactions=5, settings=Settings())
    reports = [prepare(config, tmp_path / name) for name in ("first", "second")]
    assert reports[0] == reports[1]
    for file in FILES:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_too_many_rejected_rows_end_the_run(tmp_path: Path) -> None:
    config = movielens(tmp_path, extra=("1::2", "1::2::3::-4"))
    expected = (
        r"ratings\.dat: 2 of 27 rows \(7\.4%\) are rejected, more than the setting RELAND_MAX_REJECTED=0\.05 allows; "
        r"the first is line 26: too few fields, expected 4"
    )
    with pytest.raises(InputError, match=expected):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    with pytest.raises(InputError, match="--minimum-interactions 6 leaves no interactions of 25"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_output(tmp_path: Path) -> None:
    config = movielens(tmp_path)
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out: cannot be made a folder"):
        prepare(config, tmp_path / "out")


def test_where_the_files_are_looked_for(tmp_path: Path) -> None:
    def folder(data_dir: str, setting: Path | None, dataset: str = "ml-1m") -> Path | None:
        return configure(dataset, data_dir, 0, 5, Settings(data_dir=setting)).folder

    assert folder("", tmp_path) == tmp_path
    (tmp_path / "ml-1m").mkdir()
    assert folder("", tmp_path) == tmp_path / "ml-1m"
    assert folder(str(tmp_path), None) == tmp_path  # as it is given
    assert folder("", None, dataset="simulator") is None


@pytest.mark.parametrize(
    ("dataset", "data_dir", "message"),
    [
        ("ml-1m", "", "pass --data-dir or set RELAND_DATA_DIR"),
        ("ml-1m", "absent", "absent: no such folder"),
        ("ml-1m", "a file", "a file: is a file, expected a folder"),
        ("ml-1m", "x" * 300, "not readable as a folder .*File name too long"),
        ("ml-10m", "", "unknown data set 'ml-10m', expected one of simulator, ml-1m, amazon-beauty"),
    ],
)
def test_settings_at_fault(tmp_path: Path, dataset: str, data_dir: str, message: str) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(InputError, match=message):
        configure(dataset, data_dir and str(tmp_path / data_dir), 0, 5, Settings(data_dir=None))


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


def test_the_folder_of_an_unknown_user() -> None:
    with pytest.raises(InputError, match="~nobody-of-this-name/data: not readable as a folder"):
        configure("ml-1m", "~nobody-of-this-name/data", 0, 5, Settings(data_dir=None))


def test_a_core_too_small_to_split() -> None:
    with pytest.raises(InputError, match="--minimum-interactions 2: leave-one-out needs at least 3"):
        PreparationConfig("simulator", None, seed=0, minimum_interactions=2, max_rejected=0.05)
