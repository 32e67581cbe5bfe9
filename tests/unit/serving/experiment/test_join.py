import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.serving import EXPOSURES, OUTCOME_EVENTS
from components.contracts.tables import read_table
from components.foundation.errors import InputError
from serving.experiment.join import FATES, JoinAccount, JoinConfig, join_outcomes
from serving.experiment.user_days import USER_DAYS

NOON = datetime.datetime(2024, 1, 14, 12, tzinfo=datetime.UTC)
ARMS = JoinConfig(arms=("candidate", "control"))


def shown(request_id: str, **changes: Any) -> dict[str, Any]:
    """One exposure: a list of three items, served to ada by the candidate at noon of 14 January 2024."""
    row = {
        "request_id": request_id,
        "user_id": "ada",
        "endpoint": "recommend",
        "arm": "candidate",
        "state": 3,
        "model": "reland_ranker",
        "model_version": 2,
        "generation": "g",
        "items": ["a", "b", "c"],
        "ladder_step": "fresh",
        "cold_start": False,
        "seconds_total": 0.01,
        "time": NOON,
    } | changes
    return row | {"positions": list(range(1, len(row["items"]) + 1)), "scores": [0.0] * len(row["items"])}


def happened(request_id: str, item_id: str, outcome: str, minutes: float) -> dict[str, Any]:
    """One event, so many minutes after noon."""
    time = NOON + datetime.timedelta(minutes=minutes)
    return {"request_id": request_id, "item_id": item_id, "outcome": outcome, "time": time}


def write_log(folder: Path, schema: pa.Schema, *files: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    for number, rows in enumerate(files):
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{number}.parquet")
    return folder


def joined(
    folder: Path, exposures: list[dict[str, Any]], events: list[dict[str, Any]], config: JoinConfig = ARMS
) -> tuple[JoinAccount, list[dict[str, Any]]]:
    """The account and the user-days, sorted; logs are of two files, as they rotate."""
    half = len(exposures) // 2
    shown_log = write_log(folder / "exposures", EXPOSURES, exposures[:half], exposures[half:])
    event_log = write_log(folder / "events", OUTCOME_EVENTS, events)
    account = join_outcomes(shown_log, event_log, folder / "user_days.parquet", config)
    rows = read_table(folder / "user_days.parquet", USER_DAYS).to_pylist()
    return account, sorted(rows, key=lambda row: (row["state"], row["arm"], row["user_id"], row["day"]))


def row(state: int, arm: str, user: str, day: int, *counts: int) -> dict[str, Any]:
    names = ("lists", "impressions", "clicks", "conversions")
    return (
        {"state": state, "arm": arm, "user_id": user, "day": datetime.date(2024, 1, day)}
        | dict(zip(names, counts, strict=True))
        | {"ranked_lists": counts[0], "value": 0.0}
    )


def test_lists_and_outcomes_are_counted_by_state_arm_user_and_day(tmp_path: Path) -> None:
    account, rows = joined(
        tmp_path,
        [
            shown("1"),
            shown("2"),
            shown("3", items=["d"], time=NOON + datetime.timedelta(days=1)),
            shown("4", state=4),
            shown("5", arm="control", user_id="bob", items=[]),
        ],
        [
            happened("1", "a", "click", 1),
            happened("1", "a", "conversion", 2),
            happened("1", "b", "click", 3),
            happened("2", "a", "click", 4),  # another list: another click
            happened("3", "d", "conversion", 24 * 60 + 1),  # without a click that was logged
        ],
    )
    assert rows == [
        row(3, "candidate", "ada", 14, 2, 6, 3, 1),
        row(3, "candidate", "ada", 15, 1, 1, 0, 1),
        row(3, "control", "bob", 14, 1, 0, 0, 0),
        row(4, "candidate", "ada", 14, 1, 3, 0, 0),
    ]
    assert account.count("attributed") == 5
    assert (account.lists, account.repeated_lists, account.analysed_lists) == (5, 0, 5)


def test_an_outcome_counts_on_the_day_of_its_list(tmp_path: Path) -> None:
    midnight = shown("1", time=NOON + datetime.timedelta(hours=11, minutes=59))
    _, rows = joined(tmp_path, [midnight], [happened("1", "a", "click", 12 * 60 + 30)])
    assert rows == [row(3, "candidate", "ada", 14, 1, 3, 1, 0)]


def test_days_begin_at_midnight_of_the_timezone(tmp_path: Path) -> None:
    config = JoinConfig(timezone="Asia/Shanghai")
    _, rows = joined(tmp_path, [shown("1", time=NOON + datetime.timedelta(hours=5))], [], config)
    assert rows == [row(3, "candidate", "ada", 15, 1, 3, 0, 0)]


def test_every_event_has_one_fate(tmp_path: Path) -> None:
    day = 24 * 60
    account, rows = joined(
        tmp_path,
        [shown("1"), shown("held out", arm="hold_out"), shown("allowed", arm="allowed")],
        [
            happened("nobody's", "a", "click", 1),
            happened("held out", "a", "click", 1),
            happened("allowed", "a", "conversion", 1),
            happened("1", "z", "click", 1),
            happened("1", "a", "click", -1.5),
            happened("1", "a", "click", day + 1),
            happened("1", "a", "click", -1),  # as far as clocks may differ
            happened("1", "b", "click", day),  # the window's last moment
            happened("1", "b", "click", 5),
            happened("1", "b", "click", 5),
        ],
    )
    assert account.events == {
        "unknown": {"click": 1, "conversion": 0},
        "outside": {"click": 1, "conversion": 1},
        "not_shown": {"click": 1, "conversion": 0},
        "early": {"click": 1, "conversion": 0},
        "late": {"click": 1, "conversion": 0},
        "repeated": {"click": 2, "conversion": 0},
        "attributed": {"click": 2, "conversion": 0},
    }
    assert rows == [row(3, "candidate", "ada", 14, 1, 3, 2, 0)]
    assert (account.lists, account.analysed_lists) == (3, 1)


def test_events_of_other_behaviors_are_counted_and_passed_over(tmp_path: Path) -> None:
    events = [happened("1", item, outcome, 1) for item, outcome in (("a", "cart"), ("b", "cart"), ("a", "click"))]
    account, rows = joined(tmp_path, [shown("1")], [*events, happened("1", "a", "rating", 1)])
    assert account.other_events == {"cart": 2, "rating": 1}
    assert sum(map(account.count, FATES)) == account.count("attributed") == 1
    assert rows == [row(3, "candidate", "ada", 14, 1, 3, 1, 0)]


def test_a_list_that_was_logged_twice_counts_once(tmp_path: Path) -> None:
    later = shown("1", time=NOON + datetime.timedelta(days=1))
    account, rows = joined(tmp_path, [later, shown("1"), shown("1"), shown("2")], [happened("1", "a", "click", 1)])
    assert rows == [row(3, "candidate", "ada", 14, 2, 6, 1, 0)]
    assert (account.lists, account.repeated_lists) == (2, 2)


@pytest.mark.parametrize(
    ("config", "lists"),
    [
        (JoinConfig(states=[4]), 1),
        (JoinConfig(states=[]), 0),
        (JoinConfig(since=NOON), 2),
        (JoinConfig(until=NOON), 0),
        (JoinConfig(since=NOON, until=NOON + datetime.timedelta(seconds=1)), 1),
        (JoinConfig(arms=["it's"]), 0),
    ],
)
def test_what_is_not_asked_for_is_outside(tmp_path: Path, config: JoinConfig, lists: int) -> None:
    exposures = [shown("1"), shown("2", state=4, time=NOON + datetime.timedelta(seconds=1))]
    account, rows = joined(tmp_path, exposures, [happened("1", "a", "click", 0)], config)
    assert account.analysed_lists == sum(row["lists"] for row in rows) == lists
    assert account.count("attributed") + account.count("outside") == 1


def test_empty_logs_have_no_user_days(tmp_path: Path) -> None:
    (tmp_path / "exposures").mkdir()
    account = join_outcomes(tmp_path / "exposures", tmp_path / "events", tmp_path / "user_days.parquet", ARMS)
    assert read_table(tmp_path / "user_days.parquet", USER_DAYS).num_rows == account.lists == 0


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "exposures"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([shown("1")], EXPOSURES).drop_columns("arm"), folder / "1.parquet")
    with pytest.raises(InputError, match=r"1\.parquet: has the columns"):
        join_outcomes(folder, tmp_path / "events", tmp_path / "user_days.parquet", ARMS)
    with pytest.raises(InputError, match="none: no such file"):
        join_outcomes(tmp_path / "none", tmp_path, tmp_path / "user_days.parquet", ARMS)
    with pytest.raises(InputError, match="timezone 'Mars'"):
        join_outcomes(tmp_path, tmp_path, tmp_path / "user_days.parquet", JoinConfig(timezone="Mars"))
    assert not (tmp_path / "user_days.parquet").exists()
