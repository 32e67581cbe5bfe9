"""Days added one by one give what all of them give at once."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import (
    ACCEPTED_FOLDER,
    ACCOUNTS_FILE,
    HISTORIES_FILE,
    INTERACTIONS_FILE,
    ITEM_TOPICS_FILE,
    ITEMS_FILE,
    QUERY_TOPICS_FILE,
    REJECTED_FILE,
    USERS_FILE,
    VALIDATION_FILE,
)
from components.contracts.tables import PROTOCOLS
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import configure, prepare
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.marketplace.log import MarketLog
from components.marketplace.truth import make_truth
from components.marketplace.world import MarketConfig
from components.recommenders.interaction_sequences import read_sequences

DAYS = 3
FILES = (INTERACTIONS_FILE, HISTORIES_FILE, ITEMS_FILE, REJECTED_FILE)
FILES += (USERS_FILE, ITEM_TOPICS_FILE, QUERY_TOPICS_FILE, VALIDATION_FILE)
ACCEPTED_FILES = tuple(f"{ACCEPTED_FOLDER}/{name}" for name in (INTERACTIONS_FILE, ITEMS_FILE))


def write_part(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders 0, 1, 2 with a day each, and `all` with the same files.

    A day repeats the last row of the day before, and has a row without a user. Items come with the first day and the
    last, which describes one anew: that is no duplicate, but what counts from then on.
    """
    folder = tmp_path_factory.mktemp("days")
    truth = make_truth(MarketConfig(users=150, items=60, sessions_per_day=2.0), 0)
    log = MarketLog(truth)
    items = log.items(30)
    renamed = items.set_column(1, items.schema.field("title"), pc.utf8_upper(items["title"]))
    profiles = pa.table({"user_id": truth.user_ids().slice(0, 40), "age": [str(age) for age in range(40)]})
    last = None
    for day in range(DAYS):
        table = log.day(day).drop_columns("sequence")
        nobody = table.slice(0, 1).set_column(0, table.schema.field(0), pa.array([""]))
        rows = pa.concat_tables([table.slice(0, 9), nobody, table.slice(9), *([last] if day else [])])
        last = table.slice(len(table) - 1)
        described = {0: items.slice(0, 30), DAYS - 1: renamed.slice(29)}.get(day)
        for root in (folder / str(day), folder / "all"):
            write_part(rows, root / "interactions" / f"day-{day}.parquet")
            if day < 2:
                write_part((profiles.slice(0, 20), profiles.slice(19))[day], root / "users" / f"day-{day}.parquet")
            if described is not None:
                write_part(described, root / "items" / f"day-{day}.parquet")
    return folder


def prepared(dataset: Path, output: Path, previous: str = "") -> dict[str, Any]:
    settings = Settings(home=output.parent, max_rejected=0.05)
    data = DataSection(str(dataset), minimum_interactions=3, splits=",".join(PROTOCOLS), previous=previous)
    config = configure(data, 0, settings)
    return prepare(config, output)["dataset"]


@pytest.mark.slow
def test_days_one_by_one_are_all_at_once(days: Path, tmp_path: Path) -> None:
    at_once = prepared(days / "all", tmp_path / "at once")
    previous = ""
    for day in range(DAYS):
        source = tmp_path / "all"  # the name of the data set is that of the first day
        shutil.copytree(days / str(day), source)
        report = prepared(source, tmp_path / f"day {day}", previous)
        shutil.rmtree(source)  # the logs of a day are gone when the next comes
        previous = str(tmp_path / f"day {day}")
        if day:
            shutil.rmtree(tmp_path / f"day {day - 1}")
    assert report == at_once and list(report["files"]) == list(at_once["files"])
    assert report["rejected_by_reason"] == {"duplicate": 2, "empty user_id": 3}
    assert report["files"]["items/day-2.parquet"]["rejected"] == report["files"]["users/day-1.parquet"]["rejected"] == 0
    for name in FILES + ACCEPTED_FILES:
        assert (tmp_path / "at once" / name).read_bytes() == (Path(previous) / name).read_bytes(), name
    # Files have other numbers. Of the user whom both files of profiles describe the later row is kept.
    profiles = [
        pq.read_table(folder / ACCEPTED_FOLDER / USERS_FILE, columns=["user_id", "attributes", "source_line"])
        for folder in (tmp_path / "at once", Path(previous))
    ]
    assert profiles[0].equals(profiles[1]) and len(profiles[0]) == 40
    # What filtering left out is accepted all the same, and comes back when there is enough of it.
    kept = [pq.read_metadata(Path(previous) / name).num_rows for name in (INTERACTIONS_FILE, ACCEPTED_FILES[0])]
    assert sum(kept) == report["accepted"] and min(kept) > 0
    # A log of funnels: more rows than visits are held out.
    assert report["splits"]["leave_one_out"]["test"] > report["after_k_core"]["users"]
    assert read_sequences(Path(previous)).n_users == report["after_k_core"]["users"]


@pytest.mark.slow
def test_a_file_of_a_name_that_was_read_before_gets_a_number(days: Path, tmp_path: Path) -> None:
    prepared(days / "0", tmp_path / "first")
    data = DataSection(str(days / "0"), minimum_interactions=3, previous=str(tmp_path / "first"))
    config = configure(data, 0, Settings(home=tmp_path, max_rejected=1.0))
    report = prepare(config, tmp_path / "again")["dataset"]
    first, again = (report["files"][f"interactions/day-0.parquet{suffix}"] for suffix in ("", " (2)"))
    assert again == {"read": first["read"], "accepted": 0, "rejected": first["read"]}
    assert (report["accepted"], first["rejected"]) == (first["accepted"], 1)
    rejected = pq.read_table(tmp_path / "again" / REJECTED_FILE)["file"].to_pylist()
    assert rejected.count("interactions/day-0.parquet (2)") == again["rejected"]


@pytest.mark.slow
def test_a_day_that_was_read_before_is_repeats_and_is_warned_of(
    days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = prepared(days / "0", tmp_path / "first")
    again = prepared(days / "0", tmp_path / "again", str(tmp_path / "first"))
    assert again["accepted"] == first["accepted"]
    assert again["repeated"] == again["rejected"] - 2 * first["rejected"]  # one row is at fault, each time
    assert "WARNING: interactions/day-0.parquet (2): no row is new, 346 repeat" in capsys.readouterr().out


def test_a_folder_that_cannot_be_gone_on_from(days: Path, tmp_path: Path) -> None:
    for previous in (tmp_path / "none", days / "0"):
        with pytest.raises(InputError, match=r"previous .*: expected a folder that `reland prepare` has written"):
            prepared(days / "1", tmp_path / "out", str(previous))
    prepared(days / "0", tmp_path / "first")
    accounts = tmp_path / "first" / ACCEPTED_FOLDER / ACCOUNTS_FILE
    accounts.write_text('{"format": 0}')
    with pytest.raises(InputError, match=r"accounts\.json: not the accounts of prepared data in format 1"):
        prepared(days / "1", tmp_path / "out", str(tmp_path / "first"))
    (tmp_path / "first" / REJECTED_FILE).unlink()
    accounts.write_text('{"format": 1, "name": "all", "rows": 0, "items": 0, "files": []}')
    with pytest.raises(InputError, match=r"rejected\.parquet: no such file"):
        prepared(days / "1", tmp_path / "out", str(tmp_path / "first"))
