"""The figures of a data set, as in Table 1 of the RELAND paper, and what else one asks before training on it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import ibis.expr.types as ir
from ibis import _


def size(interactions: ir.Table) -> dict[str, int]:
    """Distinct users, distinct items and rows."""
    figures = interactions.agg(users=_.user_id.nunique(), items=_.item_id.nunique(), interactions=_.count())
    return {name: int(value) for name, value in figures.to_pyarrow().to_pylist()[0].items()}


def value_counts(column: ir.Column) -> dict[Any, int]:
    """Rows by value, sorted by value."""
    counts = column.as_table().group_by(column.get_name()).agg(rows=_.count()).to_pyarrow().to_pydict()
    return dict(sorted(zip(counts[column.get_name()], counts["rows"], strict=True)))


def span(interactions: ir.Table) -> dict[str, str]:
    """First and last day of a table that is not empty, as ISO dates in UTC."""
    seconds = interactions.agg(first=_.timestamp.min(), last=_.timestamp.max()).to_pyarrow().to_pylist()[0]
    return {name: datetime.fromtimestamp(value, UTC).date().isoformat() for name, value in seconds.items()}


def statistics(
    interactions: ir.Table, items_without_metadata: int, rejected: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """Statistics of prepared data.

    Args:
        interactions: after k-core filtering, not empty, `contracts.tables.INTERACTIONS`.
        items_without_metadata: items of the interactions that no metadata row describes.
        rejected: rejected rows by reason for each file.

    Returns:
        Sparsity is the share of user-item pairs without an interaction, in percent; times are seconds since 1970.
    """
    counts = size(interactions)
    pairs = interactions.select("user_id", "item_id").distinct().count().execute()
    seconds = interactions.agg(first=_.timestamp.min(), last=_.timestamp.max()).to_pyarrow().to_pylist()[0]
    return {
        **counts,
        "interactions_per_user": round(counts["interactions"] / counts["users"], 2),
        "sparsity_percent": round(100 * (1 - pairs / (counts["users"] * counts["items"])), 2),
        "interactions_by_behavior": value_counts(interactions.behavior),
        "first_timestamp": seconds["first"],
        "last_timestamp": seconds["last"],
        "items_without_metadata": items_without_metadata,
        "rejected_by_file_and_reason": {file: dict(sorted(reasons.items())) for file, reasons in rejected.items()},
    }
