"""Exposures and outcomes become user-days: what was shown to whom, and what came of it.

An outcome belongs to the list that its `request_id` names. Each event has one of the fates below, the first that fits,
and all of them are counted. Events of another behavior than `OUTCOMES` (`cart`, …) are no outcomes: they are passed
over before, and their number is told.

===============  =======================================================================================================
`unknown`        no list has its request id
`outside`        the list is of another arm, another rollout or another time than is analysed
`not_shown`      its item is not in the list
`early`          it happened before the list was served, by more than clocks may differ
`late`           it happened later than the attribution window allows, or not before `events_until`
`repeated`       the list's item has this outcome already
`attributed`     counts, on the day on which the list was served
===============  =======================================================================================================

A conversion counts as one whether or not a click on its item was logged: a lost click must not lose the purchase. So
CVR = conversions / clicks is a ratio of sums. A list that was logged twice counts once.

A list is *immature* while its attribution window has not passed: until then it may still get outcomes, conversions more
than clicks. The log's end is its latest list or event.
"""

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from components.contracts.serving import EXPOSURES, OUTCOME_EVENTS, OUTCOMES
from components.foundation.errors import InputError
from components.foundation.files import PRIVATE, replacing_file
from serving.experiment.tables import DEFAULT_MEMORY, experiment_tables, text, view
from serving.experiment.user_days import ITEM_VALUES, USER_DAYS

ROWS_A_BATCH = 2**17

FATES = ("unknown", "outside", "not_shown", "early", "late", "repeated", "attributed")


@dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """Which lists are analysed, and which events are theirs.

    Attributes:
        arms: names of the arms; empty: all of them.
        states: states of the arms' record; None: all of them.
        since, until: when a list was served, the first included and the last not; None: any time.
        events_until: the moment before which an event must have happened; None: any time.
        mature: whether immature lists are left out.
        values: a Parquet file of `ITEM_VALUES`; None: no conversion has a value.
        window: how long after its list an outcome counts.
        clock_difference: how long before its list an outcome counts. Events tell whole seconds, and those of devices
            their own time.
        timezone: whose midnight a day begins at.
        memory: of the join, as "2GiB"; the rest is done on disk.
    """

    arms: Sequence[str] = ()
    states: Sequence[int] | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    events_until: datetime.datetime | None = None
    mature: bool = False
    values: Path | None = None
    window: datetime.timedelta = datetime.timedelta(hours=24)
    clock_difference: datetime.timedelta = datetime.timedelta(minutes=1)
    timezone: str = "UTC"
    memory: str = DEFAULT_MEMORY


@dataclass(frozen=True, kw_only=True)
class JoinAccount:
    """What became of every row.

    Attributes:
        lists: lists logged, of all arms; each once.
        repeated_lists: rows beyond the first with a request id.
        analysed_lists: of `lists`, those of the arms, states and time that `JoinConfig` selects.
        immature_lists: of `lists`, those of the selected arms, states and time whose window has not passed; with
            `JoinConfig.mature` they are not among `analysed_lists`.
        immature_from: the first day of such a list; None without one.
        events: events of each fate, by outcome.
        other_events: events that are no outcomes, by behavior.
    """

    lists: int
    repeated_lists: int
    analysed_lists: int
    immature_lists: int
    immature_from: datetime.date | None
    events: dict[str, dict[str, int]]
    other_events: dict[str, int]

    def count(self, fate: str) -> int:
        """Events of a fate."""
        return sum(self.events[fate].values())


def join_outcomes(exposures: Path, events: Path, output: Path, config: JoinConfig) -> JoinAccount:
    """Write `USER_DAYS` of a log of exposures and one of events, which are folders of Parquet files or single files.

    Raises:
        InputError: a file does not hold its schema, a setting is none, or memory or disk do not suffice.
    """
    if config.timezone not in zoneinfo.available_timezones():
        raise InputError(f"timezone {config.timezone!r}: not known, expected a name as Europe/Berlin")
    with experiment_tables(config.memory) as tables:
        view(tables, "exposures", exposures, EXPOSURES)
        # The gateway makes the folder of events with the first one.
        view(tables, "logged_events", events if events.exists() else OUTCOME_EVENTS.empty_table(), OUTCOME_EVENTS)
        is_outcome = f"outcome IN ({', '.join(map(text, OUTCOMES))})"
        tables.execute(f"CREATE TEMP VIEW events AS SELECT * FROM logged_events WHERE {is_outcome}")
        others = tables.sql(
            f"SELECT outcome, count(*) FROM logged_events WHERE NOT {is_outcome} GROUP BY 1 ORDER BY 1"
        ).fetchall()
        view(tables, "item_values", config.values or ITEM_VALUES.empty_table(), ITEM_VALUES)
        repeated = _make_lists(tables, config)
        ((immature, immature_from),) = tables.sql(
            "SELECT count(*), min(day) FROM lists WHERE chosen AND immature"
        ).fetchall()
        _make_outcomes(tables, config)
        _write_user_days(tables, output)
        ((rows,),) = tables.sql("SELECT count(*) FROM exposures").fetchall()
        view(tables, "user_days", output, USER_DAYS)
        ((analysed,),) = tables.sql("SELECT coalesce(sum(lists), 0)::BIGINT FROM user_days").fetchall()
        fates = tables.sql(
            "SELECT fate, outcome, sum(CASE fate WHEN 'attributed' THEN 1 ELSE copies END)::BIGINT FROM outcomes "
            "GROUP BY ALL UNION ALL "
            "SELECT 'repeated', outcome, sum(copies - 1)::BIGINT FROM outcomes WHERE fate = 'attributed' GROUP BY ALL"
        ).fetchall()
    counted = {fate: dict.fromkeys(OUTCOMES, 0) for fate in FATES}
    for fate, outcome, count in fates:
        counted[fate][outcome] = count
    return JoinAccount(
        lists=rows - repeated,
        repeated_lists=repeated,
        analysed_lists=analysed,
        immature_lists=immature,
        immature_from=immature_from,
        events=counted,
        other_events=dict(others),
    )


def _make_lists(tables: duckdb.DuckDBPyConnection, config: JoinConfig) -> int:
    """The view `lists`, each list once, and whether it is `analysed`; how many rows are left out as repeated."""
    tables.register("suspects", pa.table({"number": _repeated_numbers(tables)}))
    tables.execute(
        "CREATE TEMP TABLE repeated AS SELECT request_id, count(*) AS copies FROM exposures "
        "WHERE hash(request_id) IN (SELECT number FROM suspects) GROUP BY 1 HAVING count(*) > 1"
    )
    conditions = ["true"]
    if config.arms:
        conditions.append(f"arm IN ({', '.join(map(text, config.arms))})")
    if config.states is not None:
        conditions.append(
            f"state IN ({', '.join(str(int(state)) for state in config.states)})" if config.states else "false"
        )
    conditions += [
        f"time {sign} {text(moment.isoformat())}::TIMESTAMPTZ"
        for sign, moment in ((">=", config.since), ("<", config.until))
        if moment is not None
    ]
    ((end,),) = tables.sql(
        "SELECT greatest((SELECT epoch_us(max(time)) FROM exposures), (SELECT epoch_us(max(time)) FROM events))"
    ).fetchall()
    immature = f"epoch_us(time) > {(end or 0) - _microseconds(config.window)}"
    chosen = " AND ".join(conditions)
    columns = (
        "request_id, state, arm, user_id, time, items, cold_start, "
        f"timezone({text(config.timezone)}, time)::DATE AS day, "
        f"{chosen} AS chosen, {immature} AS immature, "
        f"{f'{chosen} AND NOT ({immature})' if config.mature else chosen} AS analysed"
    )
    tables.execute(
        f"CREATE TEMP VIEW lists AS SELECT {columns} FROM exposures ANTI JOIN repeated USING (request_id) UNION ALL "
        f"SELECT {columns} FROM (SELECT DISTINCT ON (request_id) exposures.* FROM exposures "
        "SEMI JOIN repeated USING (request_id) ORDER BY request_id, time)"
    )
    ((copies,),) = tables.sql("SELECT coalesce(sum(copies - 1), 0)::BIGINT FROM repeated").fetchall()
    return copies


def _repeated_numbers(tables: duckdb.DuckDBPyConnection) -> np.ndarray:
    """The hashes, uint64, that two rows of exposures or more have in common.

    They are sorted here, in 16 bytes a list: to group as many in DuckDB takes six times as long.
    """
    hashes = tables.sql("SELECT hash(request_id) AS number FROM exposures").to_arrow_reader(ROWS_A_BATCH)
    numbers = np.concatenate([np.empty(0, np.uint64), *(batch.column(0).to_numpy() for batch in hashes)])
    numbers.sort()
    return np.unique(numbers[1:][numbers[1:] == numbers[:-1]])


def _make_outcomes(tables: duckdb.DuckDBPyConnection, config: JoinConfig) -> None:
    """The table `outcomes`: each outcome of an item of a list once, with its fate and how many events report it."""
    early, late = (
        f"INTERVAL '{_microseconds(length)} microseconds'" for length in (config.clock_difference, config.window)
    )
    after = "false"
    if config.events_until is not None:
        after = f"events.time >= {text(config.events_until.isoformat())}::TIMESTAMPTZ"
    tables.execute(
        f"""
        CREATE TEMP TABLE outcomes AS
        SELECT fate, outcome, any_value(state) AS state, any_value(arm) AS arm, any_value(user_id) AS user_id,
               any_value(day) AS day, count(*) AS copies, coalesce(any_value(value), 0.0) AS value
        FROM (
            SELECT events.request_id, item_id, outcome, state, arm, user_id, day, value, CASE
                WHEN lists.request_id IS NULL THEN 'unknown'
                WHEN NOT analysed THEN 'outside'
                WHEN NOT list_contains(items, item_id) THEN 'not_shown'
                WHEN events.time < lists.time - {early} THEN 'early'
                WHEN events.time > lists.time + {late} OR {after} THEN 'late'
                ELSE 'attributed' END AS fate
            FROM events LEFT JOIN lists ON events.request_id = lists.request_id
            LEFT JOIN (SELECT item_id, any_value(value) AS value FROM item_values GROUP BY 1) USING (item_id)
        )
        GROUP BY fate, outcome, request_id, item_id
        """
    )


def _microseconds(length: datetime.timedelta) -> int:
    return int(length.total_seconds() * 1_000_000)


def _write_user_days(tables: duckdb.DuckDBPyConnection, output: Path) -> None:
    counts = ("lists", "impressions", "clicks", "conversions", "ranked_lists")
    with replacing_file(output, PRIVATE) as temporary:
        tables.execute(
            f"""
            COPY (
                SELECT state, arm, user_id, day, {", ".join(f"sum({count})::BIGINT AS {count}" for count in counts)},
                       sum(value)::DOUBLE AS value
                FROM (
                    SELECT state, arm, user_id, day, count(*) AS lists, sum(len(items)) AS impressions, 0 AS clicks,
                           0 AS conversions, count(*) FILTER (NOT cold_start) AS ranked_lists, 0.0 AS value
                    FROM lists WHERE analysed GROUP BY ALL
                    UNION ALL
                    SELECT state, arm, user_id, day, 0, 0, count(*) FILTER (outcome = 'click'),
                           count(*) FILTER (outcome = 'conversion'), 0, sum(value) FILTER (outcome = 'conversion')
                    FROM outcomes WHERE fate = 'attributed' GROUP BY ALL
                )
                GROUP BY state, arm, user_id, day
            ) TO {text(str(temporary))} (FORMAT parquet, COMPRESSION zstd)
            """
        )
