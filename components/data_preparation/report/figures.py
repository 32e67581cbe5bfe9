"""Every number of the statistics report, computed by DuckDB from a prepared folder without loading its tables.

What leaves the table engine is small whatever the size of the data: counts by hour, by split, by number of
interactions. Intermediate results that do not fit into memory go to a temporary folder. On a cluster too this is
DuckDB's: one process reads what Spark has written into one folder.
"""

import tempfile
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
from ibis import _

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, REJECTED_FILE
from components.contracts.tables import BEHAVIORS, ITEMS, REJECTED, SPLIT_PREFIX, SPLITS, check_table, protocols_of
from components.data_preparation.engines import EngineConfig, read, table_engine
from components.data_preparation.report.counts import CountDistribution, doubling_bins, rank_curve, share_curve
from components.foundation.errors import InputError

MEMORY = "2GB"  # unless a setting says otherwise
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
# A user (or item) is cold in a split if it is evaluated with fewer training interactions than this, the k of the paper.
COLD_INTERACTIONS = 5
RANKS_SHOWN = 120
TOP_PERCENTS = [0.1, 0.5, *map(float, range(1, 101))]
POPULAR_ITEMS = 10
MOST_PERIODS = 80
PERIODS = (HOUR, 6 * HOUR, DAY, WEEK, 4 * WEEK, 13 * WEEK, 52 * WEEK)
# Files have reasons of their own, and a log may have thousands of files; the most frequent pairs are listed.
REASONS_LISTED = 100


def figures(prepared: Path, memory: str = "") -> dict[str, Any]:
    """Describe a prepared folder.

    Args:
        prepared: folder with `interactions.parquet` (any number of `split_<protocol>` columns), `items.parquet` and
            `rejected.parquet`; what does not fit into memory is in a hidden folder in it meanwhile.
        memory: that DuckDB may use; empty: `MEMORY`.

    Returns:
        Plain JSON values, equal for equal tables. Times are seconds since 1970, hours are UTC, sparsity is the share of
        user-item pairs without an interaction. A user is "new on the last day" if its first interaction lies in the
        24 hours that end with the last interaction of all.

    Raises:
        InputError: a table is missing, unreadable or of another schema, or there is no interaction.
    """
    protocols = protocols_of(prepared / INTERACTIONS_FILE)
    check_table(prepared / ITEMS_FILE, ITEMS)
    check_table(prepared / REJECTED_FILE, REJECTED)
    with (
        tempfile.TemporaryDirectory(dir=prepared, prefix=".statistics-") as spilled,
        table_engine(Path(spilled), EngineConfig(memory=memory or MEMORY)) as connection,
    ):
        return _describe(connection, prepared, protocols)


def _describe(connection: ibis.BaseBackend, prepared: Path, protocols: list[str]) -> dict[str, Any]:
    interactions = read(connection, prepared / INTERACTIONS_FILE, "interactions")
    items = read(connection, prepared / ITEMS_FILE, "items")
    whole = _row(
        interactions.agg(rows=_.count(), first=_.timestamp.min(), last=_.timestamp.max(), timed=_not_at_midnight())
    )
    if whole["rows"] == 0:
        raise InputError(f"{prepared / INTERACTIONS_FILE}: there is no interaction to describe")
    by_user = connection.create_table("by_user", _by(interactions, "user_id", protocols), temp=True)
    by_item = connection.create_table("by_item", _by(interactions, "item_id", protocols), temp=True)
    users, products = _distribution(by_user), _distribution(by_item)
    pairs = interactions.select("user_id", "item_id").distinct().count().to_pyarrow().as_py()
    by_hour = _by_hour(interactions)
    last_day = whole["last"] - DAY
    return {
        "users": users.total,
        "items": products.total,
        "interactions": whole["rows"],
        "interactions_per_user": round(whole["rows"] / users.total, 2),
        "interactions_per_item": round(whole["rows"] / products.total, 2),
        "sparsity_percent": round(100 * (1 - pairs / (users.total * products.total)), 2),
        "first_timestamp": whole["first"],
        "last_timestamp": whole["last"],
        "dates_only": whole["timed"] == 0,
        "interactions_by_behavior": {behavior: sum(hours) for behavior, hours in by_hour.items()},
        "interactions_by_hour": by_hour,
        "interactions_over_time": _over_time(interactions, whole["first"], whole["last"]),
        "user_activity": _long_tail(users),
        "item_popularity": _long_tail(products),
        "popular_items": _popular(by_item, items),
        "splits": {protocol: _split_sizes(interactions, by_user, by_item, protocol) for protocol in protocols},
        "cold": {
            "fewer_than": COLD_INTERACTIONS,
            "users": _cold(by_user, protocols, last_day),
            "items": _cold(by_item, protocols, last_day),
        },
        **_metadata(items),
        **_rejected(read(connection, prepared / REJECTED_FILE, "rejected")),
    }


def _row(expression: ir.Table) -> dict[str, Any]:
    return expression.to_pyarrow().to_pylist()[0]


def _second_of_day() -> Any:
    return _.timestamp % DAY


def _not_at_midnight() -> Any:
    return (_second_of_day() != 0).sum()


def _by(interactions: ir.Table, key: str, protocols: list[str]) -> ir.Table:
    """One row for each user or item: its interactions, when the first was, and its rows in each split."""
    counted = {
        f"{split}_{protocol}": (_[SPLIT_PREFIX + protocol] == split).sum().fill_null(0)
        for protocol in protocols
        for split in SPLITS
    }
    return interactions.group_by(key).agg(interactions=_.count(), first=_.timestamp.min(), **counted)


def _distribution(holders: ir.Table) -> CountDistribution:
    table = holders.group_by("interactions").agg(holders=_.count()).order_by(_.interactions.desc()).to_pyarrow()
    return CountDistribution(*(table[name].to_numpy().astype(np.int64) for name in ("interactions", "holders")))


def _long_tail(distribution: CountDistribution) -> dict[str, Any]:
    ranks = np.array([(distribution.total + 1) // 2, distribution.total, 1])
    median, fewest, most = distribution.count_at(ranks).tolist()
    return {
        "median": median,
        "fewest": fewest,
        "most": most,
        "by_rank": rank_curve(distribution, RANKS_SHOWN),
        "share_of_top_percent": share_curve(distribution, TOP_PERCENTS),
        "holders_by_interactions": [
            {"from": low, "to": high, "holders": holders} for low, high, holders in doubling_bins(distribution)
        ],
    }


def _by_hour(interactions: ir.Table) -> dict[str, list[int]]:
    """24 counts for each behaviour, in the order of `contracts.tables.BEHAVIORS`, others after them by name."""
    hour = (_second_of_day() // HOUR).cast("int64")
    rows = interactions.group_by("behavior", hour=hour).agg(rows=_.count()).to_pyarrow().to_pylist()
    present = {row["behavior"] for row in rows}
    ordered = [name for name in BEHAVIORS if name in present] + sorted(present - set(BEHAVIORS))
    counts = {behavior: [0] * 24 for behavior in ordered}
    for row in rows:
        counts[row["behavior"]][row["hour"]] = row["rows"]
    return counts


def _over_time(interactions: ir.Table, first: int, last: int) -> dict[str, Any]:
    """Counts of equal periods; period i covers [start + i * seconds, start + (i + 1) * seconds)."""
    seconds = next((period for period in PERIODS if (last - first) // period + 2 <= MOST_PERIODS), PERIODS[-1])
    while (last - first) // seconds + 2 > MOST_PERIODS:
        seconds *= 2
    start = first // min(seconds, DAY) * min(seconds, DAY)
    period = ((_.timestamp - start) // seconds).cast("int64")
    counts = [0] * ((last - start) // seconds + 1)
    for row in interactions.group_by(period=period).agg(rows=_.count()).to_pyarrow().to_pylist():
        counts[row["period"]] = row["rows"]
    return {"start": start, "seconds": seconds, "interactions": counts}


def _popular(by_item: ir.Table, items: ir.Table) -> list[dict[str, Any]]:
    top = by_item.order_by([_.interactions.desc(), _.item_id]).limit(POPULAR_ITEMS)
    titled = top.left_join(items.select("item_id", "title"), "item_id").order_by([_.interactions.desc(), _.item_id])
    return titled.select("item_id", "title", "interactions").to_pyarrow().to_pylist()


def _split_sizes(
    interactions: ir.Table, by_user: ir.Table, by_item: ir.Table, protocol: str
) -> dict[str, dict[str, int]]:
    """By split, in the order train, valid, test."""
    rows = (
        interactions.group_by(split=_[SPLIT_PREFIX + protocol])
        .agg(interactions=_.count(), first_timestamp=_.timestamp.min(), last_timestamp=_.timestamp.max())
        .to_pyarrow()
        .to_pylist()
    )
    sizes = {row.pop("split"): row for row in rows}
    users, items = _holders(by_user, protocol), _holders(by_item, protocol)
    return {split: {**sizes[split], "users": users[split], "items": items[split]} for split in SPLITS if split in sizes}


def _holders(holders: ir.Table, protocol: str) -> dict[str, int]:
    """How many users (or items) have a row in each split."""
    return _row(holders.agg(**{split: (_[f"{split}_{protocol}"] > 0).sum() for split in SPLITS}))


def _cold(holders: ir.Table, protocols: list[str], last_day: int) -> dict[str, Any]:
    """How many are new on the last day, and how many of those in each test set are cold."""
    wanted = {"new_on_last_day": (_["first"] > last_day).sum()}
    for protocol in protocols:
        tested, training = _[f"test_{protocol}"] > 0, _[f"train_{protocol}"]
        wanted[f"tested_{protocol}"] = tested.sum()
        wanted[f"untrained_{protocol}"] = (tested & (training == 0)).sum()
        wanted[f"cold_{protocol}"] = (tested & (training < COLD_INTERACTIONS)).sum()
    counted = _row(holders.agg(**wanted))
    return {
        "new_on_last_day": counted["new_on_last_day"],
        "splits": {
            protocol: {
                "in_test": counted[f"tested_{protocol}"],
                "without_training": counted[f"untrained_{protocol}"],
                "few_training": counted[f"cold_{protocol}"],
            }
            for protocol in protocols
        },
    }


def _metadata(items: ir.Table) -> dict[str, Any]:
    """Items that have each attribute, and those that have none: an item without metadata has only empty ones."""
    filled = {
        name: (_[name].length() > 0).fill_null(False)
        for name, kind in items.schema().items()
        if name != "item_id" and (kind.is_string() or kind.is_array())
    }
    nothing = ~ibis.or_(*filled.values())
    counts = {name: present.sum().fill_null(0) for name, present in filled.items()}
    counted = _row(items.agg(items_without_metadata=nothing.sum().fill_null(0), **counts))
    return {"items_without_metadata": counted.pop("items_without_metadata"), "items_with_attribute": counted}


def _rejected(rejected: ir.Table) -> dict[str, Any]:
    """Rejected rows by file and reason, the most frequent first, each with its first row as an example."""
    # A struct compares by its fields in turn, so the smallest one is the row of the smallest line.
    first = ibis.struct({"source_line": _.source_line, "raw": _.raw}).min()
    groups = (
        rejected.group_by("file", "reason")
        .agg(rows=_.count(), example=first)
        .order_by([_.rows.desc(), _.file, _.reason])
    )
    total = _row(groups.agg(rows=_.rows.sum().fill_null(0), groups=_.count()))
    listed = [
        {**{name: row[name] for name in ("file", "reason", "rows")}, **row["example"]}
        for row in groups.limit(REASONS_LISTED).to_pyarrow().to_pylist()
    ]
    return {
        "rejected": total["rows"],
        "rejected_reasons_in_all": total["groups"],
        "rejected_reasons": listed,
    }
