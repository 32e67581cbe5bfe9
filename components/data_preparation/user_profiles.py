"""Profiles of users, from the rows of their files to one row for each attribute, as Ibis expressions."""

import ibis
import ibis.expr.types as ir
from ibis import _

from components.contracts.tables import USERS

ROW = ["file_order", "source_line"]


def later_profiles(profiles: ir.Table) -> ir.Table:
    """The rows of a file that name an attribute which an earlier row there names of the same user.

    A row is one of the file, however many attributes it holds: it counts as a whole, or not at all.

    Args:
        profiles: `staging.STAGED_USERS`.
    """
    # Few users have more than one row: only their attributes are compared.
    suspects = profiles.semi_join(profiles.group_by("user_id").agg(rows=_.count()).filter(_.rows > 1), "user_id")
    earlier = ibis.row_number().over(group_by=["user_id", "attribute", "file_order"], order_by="source_line")
    again = _attributes(suspects).mutate(earlier=earlier).filter(_.earlier > 0)
    return profiles.semi_join(again, ROW)


def counting_profiles(profiles: ir.Table) -> ir.Table:
    """The rows that still tell something: what the latest file says of an attribute counts.

    So a team may hand over all profiles with every day of logs, and what is kept of them does not grow with the days.

    Args:
        profiles: `staging.STAGED_USERS` without its `later_profiles`.
    """
    return profiles.semi_join(_latest(_attributes(profiles, keep_empty=True)), ROW)


def profiles_of(users: ir.Table, profiles: ir.Table) -> ir.Table:
    """`contracts.tables.USERS` of these users alone, sorted by (user_id, attribute).

    Args:
        users: with a column `user_id`.
        profiles: `counting_profiles`.
    """
    latest = _latest(_attributes(profiles.semi_join(users, "user_id")))
    return latest.order_by(["user_id", "attribute"]).select(USERS.names)


def profile_references(users: ir.Table, profiles: ir.Table) -> dict[str, int]:
    """Counts of users without a profile and of profiles without interactions; arguments as of `profiles_of`."""
    profiled = profiles.select("user_id").distinct()
    return {
        "users_without_profile": int(users.anti_join(profiled, "user_id").count().execute()),
        "profiles_without_interactions": int(profiled.anti_join(users, "user_id").count().execute()),
    }


def _latest(attributes: ir.Table) -> ir.Table:
    """Of each attribute of a user what the latest file says."""
    later = ibis.row_number().over(group_by=["user_id", "attribute"], order_by=[_.file_order.desc(), "source_line"])
    return attributes.mutate(later=later).filter(_.later == 0)


def _attributes(profiles: ir.Table, keep_empty: bool = False) -> ir.Table:
    """One row for each attribute: user_id, attribute, value and the `ROW` that names it.

    A row that names none is left out or, with `keep_empty`, is there with nulls.
    """
    pairs = profiles.select("user_id", *ROW, pair=_.attributes).unnest("pair", keep_empty=keep_empty)
    return pairs.select("user_id", *ROW, attribute=_.pair["attribute"], value=_.pair["value"])
