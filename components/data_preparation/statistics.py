"""Counts that the summary of a run reports; the statistics report is in `report`."""

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
