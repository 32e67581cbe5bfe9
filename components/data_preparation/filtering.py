"""Duplicates and k-core filtering, as Ibis expressions.

Tables are far larger than memory may be: identifiers are replaced by numbers where all rows are looked at again and
again, and only what differs from row to row (who is left) is kept as a table of its own.
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from components.data_preparation.engines import drop
from components.foundation.errors import InputError

# Of a user, whatever k is: one visit (see `splits`) to test and one to validate leave at least one to learn from.
LEAST_OF_A_USER = 3


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


def later_items(metadata: ir.Table) -> ir.Table:
    """The rows of a file that describe an item which an earlier row of the same file describes.

    Args:
        metadata: `staging.STAGED_ITEMS`.
    """
    earlier = ibis.row_number().over(group_by=["item_id", "file_order"], order_by="position")
    return metadata.filter(~_.described).mutate(earlier=earlier).filter(_.earlier > 0).drop("earlier")


def counting_items(metadata: ir.Table) -> ir.Table:
    """The `position` of the row that counts for each item: of the latest file that describes it, the first row.

    So a team may hand over its whole catalogue with every day of logs. A file goes before what interactions say along
    the way, of which the first counts.

    Args:
        metadata: `staging.STAGED_ITEMS`.
    """
    latest_file = ibis.ifelse(_.described, 0, -_.file_order.fill_null(-1))
    order = ibis.window(group_by="item_id", order_by=["described", latest_file, "position"])
    ranks = metadata.mutate(rank=ibis.row_number().over(order))
    return ranks.filter(_.rank == 0).select("position")


def k_core(connection: ibis.BaseBackend, pairs: ir.Table, minimum: int) -> tuple[ir.Table, ir.Table]:
    """The users and items of the k-core: the largest set of rows in which each of them has at least `minimum` rows.

    Besides, each user has at least `LEAST_OF_A_USER` different items: one visit each to train, validate and test.

    Args:
        connection: of the engine.
        pairs: as `numbered_pairs` makes it.
        minimum: k, at least 1.

    Returns:
        The numbers of the users and of the items that are left, as the tables (user) and (item).

    Raises:
        InputError: none is.
    """
    rounds = 0
    counted = pairs.group_by(["user", "item"]).agg(rows=_.count())
    counted = connection.create_table("counted_pairs", counted, temp=True)

    def left(counted: ir.Table, column: str, different: int) -> tuple[ir.Table, int]:
        """Who has enough rows of enough different others, and how many they are."""
        totals = counted.group_by(column).agg(rows=_.rows.sum(), others=_.count())
        enough = totals.filter((_.rows >= minimum) & (_.others >= different)).select(column)
        kept = connection.create_table(f"core_{column}_{rounds}", enough, temp=True)
        return kept, kept.count().execute()

    users, n_users = left(counted, "user", LEAST_OF_A_USER)
    while True:
        rounds += 1
        items, _items = left(counted.semi_join(users, "user"), "item", 1)
        # Equally many users: dropping these items left every user with enough, and so the items as they are.
        before = n_users
        users, n_users = left(counted.semi_join(users, "user").semi_join(items, "item"), "user", LEAST_OF_A_USER)
        if n_users == before:
            break
    if n_users == 0:
        expected = "a smaller number" if minimum > 1 else "more interactions"
        raise InputError(
            f"minimum_interactions {minimum} leaves no interactions of {pairs.count().execute():,}: each user and "
            f"item needs {minimum} of them, and each user {LEAST_OF_A_USER} different items, expected {expected}"
        )
    drop(connection, "counted_pairs")
    return users.select("user"), items.select("item")
