"""What users did before the experiment: from interactions that a data set holds, or from the gateway's own logs.

Both are cut at the experiment's first midnight: what a candidate may have changed is no covariate.
"""

import datetime
import zoneinfo
from dataclasses import replace
from pathlib import Path

import duckdb

from components.contracts.artifacts import INTERACTIONS_FILE
from components.contracts.tables import check_table, interactions_schema, protocols_of
from components.foundation.files import replacing_file
from serving.experiment.join import JoinConfig, join_outcomes
from serving.experiment.tables import experiment_tables, text, view
from serving.experiment.user_days import ACTIVITY, USER_DAYS

# A search is no sign that an item pleased; every other behavior short of a purchase is as good as a click.
CONVERSIONS = ("purchase",)
NEITHER = ("search",)


def first_moment(user_days: Path, timezone: str) -> datetime.datetime | None:
    """Midnight of the first day; None where there is no user-day."""
    ((day,),) = duckdb.read_parquet(str(user_days)).aggregate("min(day)").fetchall()
    if day is None:
        return None
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
    """Write `ACTIVITY` of what the gateway's logs tell of the days before a moment; False where they tell nothing.

    Every arm counts: before the experiment they were not those of the experiment.

    Raises:
        InputError: as of `join_outcomes`.
    """
    with experiment_tables(config.memory) as tables:
        tables.read_parquet([str(path) for path in sorted(exposures.glob("*.parquet"))]).create_view("exposures")
        ((first,),) = tables.sql("SELECT epoch_us(min(time)) FROM exposures").fetchall()
    if first >= before.timestamp() * 1_000_000:
        return False
    earlier = replace(config, arms=(), states=None, since=before - datetime.timedelta(days=days), until=before)
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
    with replacing_file(output) as temporary:
        tables.execute(f"COPY ({query}) TO {text(str(temporary))} (FORMAT parquet, COMPRESSION zstd)")
