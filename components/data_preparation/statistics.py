"""Counts that the summary of a run reports; the statistics report is in `report`."""

import pyarrow as pa
import pyarrow.compute as pc


def size(interactions: pa.Table) -> dict[str, int]:
    """Distinct users, distinct items and rows."""
    return {
        "users": pc.count_distinct(interactions["user_id"]).as_py(),
        "items": pc.count_distinct(interactions["item_id"]).as_py(),
        "interactions": len(interactions),
    }


def value_counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows by value, sorted by value."""
    return dict(sorted((entry["values"], entry["counts"]) for entry in pc.value_counts(column).to_pylist()))
