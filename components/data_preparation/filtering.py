"""Duplicates, k-core filtering and the leave-one-out split, as Ibis expressions.

Tables are far larger than memory may be: identifiers are replaced by numbers where all rows are looked at again and
again, and only what differs from row to row (who is left) is kept as a table of its own.
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from components.contracts.errors import InputError
from components.contracts.tables import INTERACTIONS

# One test and one validation interaction leave at least one to learn from.
SMALLEST_CORE = 3


def numbered(connection: ibis.BaseBackend, name: str, rows: ir.Table, column: str) -> ir.Table:
    """The distinct values of `column`, with `number`: their rank in ascending order; kept as the table `name`."""
    distinct = rows.select(column).distinct()
    return connection.create_table(name, distinct.mutate(number=ibis.row_number().over(order_by=column)), temp=True)


def numbered_pairs(
    connection: ibis.BaseBackend, name: str, interactions: ir.Table, users: ir.Table, items: ir.Table
) -> ir.Table:
    """(user, item, timestamp, sequence) of each row, by the numbers of its user and item; kept as the table `name`.

    Args:
        connection: of the engine.
        name: of the table.
        interactions: `RAW_INTERACTIONS`.
        users: (user_id, number), as `numbered` makes it.
        items: (item_id, number).
    """
    pairs = (
        interactions.select("user_id", "item_id", "timestamp", "sequence")
        .join(users.select("user_id", user=_.number.cast("int32")), "user_id")
        .join(items.select("item_id", item=_.number.cast("int32")), "item_id")
    )
    return connection.create_table(name, pairs.select("user", "item", "timestamp", "sequence"), temp=True)


def later_duplicates(interactions: ir.Table, pairs: ir.Table) -> ir.Table:
    """The rows that equal an earlier one (by `sequence`) in all columns of `RAW_INTERACTIONS` but `sequence`.

    Args:
        interactions: `RAW_INTERACTIONS`, and what else is to be kept of the rows.
        pairs: of them, as `numbered_pairs` makes it.
    """
    # Few rows share user, item and moment: only these are compared in full.
    keys = ["user", "item", "timestamp"]
    suspects = pairs.semi_join(pairs.group_by(keys).agg(rows=_.count()).filter(_.rows > 1), keys)
    columns = ["user_id", "item_id", "timestamp", "behavior", "value", "query", "scene"]
    equals = ibis.window(group_by=columns, order_by="sequence")
    rows = interactions.semi_join(suspects, "sequence").mutate(earlier=ibis.row_number().over(equals))
    return rows.filter(_.earlier > 0).drop("earlier")


def k_core(connection: ibis.BaseBackend, pairs: ir.Table, minimum: int) -> tuple[ir.Table, ir.Table]:
    """The users and items of the k-core: the largest set of rows in which each has at least `minimum` of them.

    Args:
        connection: of the engine.
        pairs: as `numbered_pairs` makes it.
        minimum: k, at least `SMALLEST_CORE`.

    Returns:
        The numbers of the users and of the items that are left, each as a table with one column `number`.

    Raises:
        InputError: none is.
    """
    rounds = 0

    def left(rows: ir.Table, column: str) -> tuple[ir.Table, int]:
        """Who has enough of `rows`, and how many they are."""
        enough = rows.group_by(column).agg(rows=_.count()).filter(_.rows >= minimum).select(column)
        kept = connection.create_table(f"core_{column}_{rounds}", enough, temp=True)
        return kept, kept.count().execute()

    users, found = left(pairs, "user")
    while True:
        rounds += 1
        items, _items = left(pairs.semi_join(users, "user"), "item")
        # Equally many users: dropping these items left every user with enough, and so the items as they are.
        before = found
        users, found = left(pairs.semi_join(users, "user").semi_join(items, "item"), "user")
        if found == before:
            break
    if found == 0:
        raise InputError(f"--minimum-interactions {minimum} leaves no interactions of {pairs.count().execute()}")
    return users.select(number="user"), items.select(number="item")


def leave_one_out(interactions: ir.Table, users: ir.Table, items: ir.Table) -> ir.Table:
    """The rows of these users and items with `split_leave_one_out`.

    In a user's order by (timestamp, sequence) the last row is "test", the one before it "valid", the rest are "train".

    Returns:
        `contracts.tables.INTERACTIONS`, sorted by (user_id, timestamp, sequence).
    """
    latest_first = ibis.window(group_by="number", order_by=[_.timestamp.desc(), _.sequence.desc()])
    return (
        interactions.semi_join(items, "item_id")
        .join(users, "user_id")
        .mutate(steps_from_end=ibis.row_number().over(latest_first))
        .mutate(
            split_leave_one_out=ibis.cases(
                (_.steps_from_end == 0, "test"),
                (_.steps_from_end == 1, "valid"),
                else_="train",
            )
        )
        .order_by(["number", "timestamp", "sequence"])
        .select(INTERACTIONS.names)
    )
