"""What users did before the experiment: from interactions that a data set holds, or from the gateway's own logs.

Both are cut at the midnight before the rollout began, whatever days of it are analysed: what a candidate may have
changed is no covariate. An event after that midnight is of no list before it either.
"""

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from components.contracts.artifacts import INTERACTIONS_FILE
from components.contracts.tables import check_table, interactions_schema, protocols_of
from components.foundation.files import PRIVATE, replacing_file
from serving.experiment.join import JoinConfig, join_outcomes
from serving.experiment.tables import experiment_tables, text, view
from serving.experiment.user_days import ACTIVITY, USER_DAYS

# A search is no sign that an item pleased; every other behavior short of a purchase is as good as a click.
CONVERSIONS = ("purchase",)
NEITHER = ("search",)


def beginning(
    exposures: Path, arms: Sequence[str], states: Sequence[int] | None, started: datetime.datetime | None, timezone: str
) -> datetime.datetime | None:
    """The midnight before an experiment began: before its first list in the whole log or, if earlier, `started`.

    Args:
        states: those of the rollout; None: every list of the arms is the experiment's.
        started: when the rollout's history says that it began; None where there is none.

    Returns:
        None where no list was served and no start is recorded.
    """
    paths = [str(path) for path in sorted(exposures.glob("*.parquet"))]
    moments = [] if started is None else [started]
    if paths:
        chosen = f"arm IN ({', '.join(map(text, arms))})"
        if states is not None:
            chosen += f" AND state IN ({', '.join(str(int(state)) for state in states) or 'NULL'})"
        ((first,),) = duckdb.read_parquet(paths).filter(chosen).aggregate("epoch_us(min(time))").fetchall()
        if first is not None:
            moments.append(datetime.datetime.fromtimestamp(first / 1e6, datetime.UTC))
    if not moments:
        return None
    day = min(moments).astimezone(zoneinfo.ZoneInfo(timezone)).date()
    return datetime.datetime.combine(day, datetime.time(), zoneinfo.ZoneInfo(timezone))


def activity_of_interactions(prepared: Path, before: datetime.datetime, output: Path, memory: str) -> None:
    """Write `ACTIVITY` of the interactions before a moment; of a folder of prepared data, or of the file itself.

    Raises:
        InputError: there are no interactions, or they do not hold their schema.
    """
    path = prepared / INTERACTIONS_FILE if prepared.is_dir() else prepared
    schema = interactions_schema(protocols_of(path))
    with experiment_tables(memory) as tables:
        view(tables, "interactions", path, schema)
        purchases, searches = (", ".join(map(text, names)) for names in (CONVERSIONS, NEITHER))
        _write(
            tables,
            f"""
            SELECT user_id, 0::BIGINT AS impressions,
                   count(*) FILTER (behavior NOT IN ({purchases}, {searches})) AS clicks,
                   count(*) FILTER (behavior IN ({purchases})) AS conversions
            FROM interactions WHERE timestamp < {int(before.timestamp())} GROUP BY user_id
            """,
            output,
        )
    check_table(output, ACTIVITY)


def activity_of_logs(
    exposures: Path, events: Path, before: datetime.datetime, days: int, output: Path, config: JoinConfig
) -> bool:
    """Write `ACTIVITY` from the gateway's logs of the days before a moment; False where they hold none.

    Every arm counts: before the experiment they were not those of the experiment.

    Raises:
        InputError: as of `join_outcomes`.
    """
    with experiment_tables(config.memory) as tables:
        tables.read_parquet([str(path) for path in sorted(exposures.glob("*.parquet"))]).create_view("exposures")
        ((first,),) = tables.sql("SELECT epoch_us(min(time)) FROM exposures").fetchall()
    if first >= before.timestamp() * 1_000_000:
        return False
    earlier = replace(
        config,
        arms=(),
        states=None,
        since=before - datetime.timedelta(days=days),
        until=before,
        events_until=before,
        mature=False,
        values=None,
    )
    user_days = output.with_suffix(".user_days.parquet")
    join_outcomes(exposures, events, user_days, earlier)
    with experiment_tables(config.memory) as tables:
        view(tables, "user_days", user_days, USER_DAYS)
        counts = ("impressions", "clicks", "conversions")
        sums = ", ".join(f"sum({count})::BIGINT AS {count}" for count in counts)
        _write(tables, f"SELECT user_id, {sums} FROM user_days GROUP BY user_id", output)
    user_days.unlink()
    return True


def _write(tables: duckdb.DuckDBPyConnection, query: str, output: Path) -> None:
    with replacing_file(output, PRIVATE) as temporary:
        tables.execute(f"COPY ({query}) TO {text(str(temporary))} (FORMAT parquet, COMPRESSION zstd)")
