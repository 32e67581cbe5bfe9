"""k-core filtering and the leave-one-out split, as Ibis expressions on DuckDB."""

import ibis
import pyarrow as pa
from ibis import _

from components.contracts.errors import InputError
from components.contracts.tables import INTERACTIONS

# One test and one validation interaction leave at least one to learn from.
SMALLEST_CORE = 3


def k_core_split(interactions: pa.Table, minimum_interactions: int) -> pa.Table:
    """The k-core of `interactions`, split by leave-one-out.

    The k-core is the largest subset in which every user and every item has at least `minimum_interactions` rows. In a
    user's order by (timestamp, sequence) the last row is "test", the one before it "valid", the rest are "train".

    Args:
        interactions: `validation.RAW_INTERACTIONS`; `sequence` is unique.
        minimum_interactions: at least `SMALLEST_CORE`.

    Returns:
        `contracts.tables.INTERACTIONS`, sorted by (user_id, timestamp, sequence).

    Raises:
        InputError: the core is empty.
    """
    connection = ibis.duckdb.connect()
    try:
        # Registered as a view of the Arrow table: Ibis's own in-memory tables end in a DROP that sqlglot 30 misspells.
        connection.con.register("accepted", interactions)
        core = _k_core(connection, connection.table("accepted"), minimum_interactions)
        return _leave_one_out(core).to_pyarrow().select(INTERACTIONS.names).cast(INTERACTIONS)
    finally:
        connection.disconnect()


def _k_core(connection: ibis.BaseBackend, rows: ibis.Table, minimum: int) -> ibis.Table:
    """Drop users and items with too few rows until none is left to drop. Each round is kept as a table of its own."""
    before = rows.count().execute()
    found = before
    for round_number in range(1, before + 2):
        users = rows.group_by("user_id").agg(count=_.count()).filter(_["count"] >= minimum)
        items = rows.group_by("item_id").agg(count=_.count()).filter(_["count"] >= minimum)
        kept = rows.semi_join(users, "user_id").semi_join(items, "item_id")
        rows = connection.create_table(f"core_{round_number}", kept, temp=True)
        left = rows.count().execute()
        if left == 0:
            raise InputError(f"--minimum-interactions {minimum} leaves no interactions of {before}")
        if left == found:
            break
        found = left
    return rows


def _leave_one_out(rows: ibis.Table) -> ibis.Table:
    latest_first = ibis.window(group_by="user_id", order_by=[_.timestamp.desc(), _.sequence.desc()])
    return (
        rows.mutate(steps_from_end=ibis.row_number().over(latest_first))
        .mutate(
            split_leave_one_out=ibis.cases(
                (_.steps_from_end == 0, "test"),
                (_.steps_from_end == 1, "valid"),
                else_="train",
            )
        )
        .order_by(["user_id", "timestamp", "sequence"])
    )
