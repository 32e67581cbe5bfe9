"""The figures of a data set, as in Table 1 of the RELAND paper, and what else one asks before training on it."""

from typing import Any

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


def statistics(interactions: pa.Table, items_without_metadata: int, rejected: pa.Table) -> dict[str, Any]:
    """Statistics of prepared data.

    Args:
        interactions: after k-core filtering, not empty, `contracts.tables.INTERACTIONS`.
        items_without_metadata: items of the interactions that no metadata row describes.
        rejected: `contracts.tables.REJECTED`.

    Returns:
        Sparsity is the share of user-item pairs without an interaction, in percent; times are seconds since 1970.
    """
    counts = size(interactions)
    pairs = len(interactions.group_by(["user_id", "item_id"]).aggregate([]))
    span = pc.min_max(interactions["timestamp"]).as_py()
    return {
        **counts,
        "interactions_per_user": round(counts["interactions"] / counts["users"], 2),
        "sparsity_percent": round(100 * (1 - pairs / (counts["users"] * counts["items"])), 2),
        "interactions_by_behavior": value_counts(interactions["behavior"]),
        "first_timestamp": span["min"],
        "last_timestamp": span["max"],
        "items_without_metadata": items_without_metadata,
        "rejected_by_file_and_reason": {
            file: value_counts(rejected.filter(pc.equal(rejected["file"], file))["reason"])
            for file in value_counts(rejected["file"])
        },
    }
