"""Visits, and the three ways of dividing them into training, validation and test rows, as Ibis expressions.

A *visit* is a run of a user's consecutive rows with one item, in the order of (timestamp, sequence), after filtering. A
platform logs a search, a click, a cart and a purchase of one item as four rows: held out one by one, the last would be
predicted from the others. So a visit is held out as a whole; where a row is all there is of a visit, it is that row.

==================  ==================================================================================================
`leave_one_out`     a user's last visit is "test", the one before it "valid", all others are "train"
`ratio`             a user's last tenth of visits is "test", the tenth before it "valid", all others are "train"; a
                    tenth is rounded down, but at least one visit: as RecBole does with the settings
                    `split: {RS: [0.8, 0.1, 0.1]}`, `order: TO`, `group_by: user`
`time`              for all users alike: rows before T1 are "train", from T1 on "valid", from T2 on "test"
==================  ==================================================================================================
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir
from ibis import _

from components.contracts.ranking_signature import HISTORY_LENGTH
from components.contracts.tables import (
    HISTORIES,
    LEAVE_ONE_OUT,
    PROTOCOLS,
    RATIO,
    SPLIT_PREFIX,
    TIME,
    interactions_schema,
)
from components.foundation.errors import InputError


@dataclass(frozen=True)
class SplitConfig:
    """By which protocols the interactions are split.

    Attributes:
        protocols: of `contracts.tables.PROTOCOLS`, in their order there.
        validate_from: T1 of the protocol `time`, seconds since 1970; None: the moment before which 80% of the rows are.
        test_from: T2, likewise; None: 90%.
    """

    protocols: tuple[str, ...] = (LEAVE_ONE_OUT,)
    validate_from: int | None = None
    test_from: int | None = None


DEFAULT_SPLITS = SplitConfig()


def parse_splits(splits: str, validate_from: str, test_from: str) -> SplitConfig:
    """Read the texts of `splits`, `validate_from` and `test_from`.

    Args:
        splits: protocols, separated by commas.
        validate_from: ISO date or datetime, in UTC where it names no zone; empty: none is given.
        test_from: likewise.

    Raises:
        InputError: one of them is at fault.
    """
    names = [name.strip() for name in splits.split(",")]
    for name in names:
        if name not in PROTOCOLS:
            raise InputError(f"splits {splits!r}: {name!r} is none of {', '.join(PROTOCOLS)}")
    if (validate_from or test_from) and TIME not in names:
        name = "validate_from" if validate_from else "test_from"
        raise InputError(f"{name} is read where splits names {TIME}, not with splits {splits}")
    first, second = _seconds("validate_from", validate_from), _seconds("test_from", test_from)
    if first is not None and second is not None and first >= second:
        raise InputError(f"test_from {test_from}: expected a moment after validate_from {validate_from}")
    return SplitConfig(tuple(protocol for protocol in PROTOCOLS if protocol in names), first, second)


def moment(seconds: int) -> str:
    """Seconds since 1970 as `parse_splits` reads them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def numbered_visits(connection: ibis.BaseBackend, name: str, pairs: ir.Table) -> ir.Table:
    """The visits of all users: (user, item, timestamp, sequence, from_end), kept as the table `name`.

    `timestamp` and `sequence` are of the visit's first row; `from_end` is 0 for a user's last visit, 1 for the one
    before it, and so on.

    Args:
        connection: of the engine.
        name: of the table.
        pairs: as `filtering.numbered_pairs` makes it, of the rows that are left by filtering.
    """
    in_time = ibis.window(group_by="user", order_by=["timestamp", "sequence"])
    begun = pairs.mutate(before=_.item.lag().over(in_time)).filter(_.before.isnull() | (_.before != _.item))
    latest_first = ibis.window(group_by="user", order_by=[_.timestamp.desc(), _.sequence.desc()])
    visits = begun.drop("before").mutate(from_end=ibis.row_number().over(latest_first))
    return connection.create_table(name, visits, temp=True)


def time_bounds(pairs: ir.Table, splits: SplitConfig) -> tuple[int, int]:
    """T1 and T2 of the protocol `time`, as given or, of what is not, the default.

    The default T1 is the timestamp of row number floor(0.8 n), counted from 0 in the order of time, and T2 that of row
    number floor(0.9 n): where timestamps differ, exactly so many rows come before.

    Args:
        pairs: the n rows that are left by filtering, at least one.
        splits: with T1 and T2, where they are given.

    Raises:
        InputError: they leave a split without a row.
    """
    up_to = ibis.window(order_by="timestamp", preceding=None, following=0)
    moments = pairs.group_by("timestamp").agg(rows=_.count()).mutate(rows_up_to=_.rows.sum().over(up_to))
    count = int(pairs.count().execute())
    (default,) = (
        moments.agg(
            first=_.timestamp.min(where=_.rows_up_to > count * 8 // 10),
            second=_.timestamp.min(where=_.rows_up_to > count * 9 // 10),
        )
        .to_pyarrow()
        .to_pylist()
    )
    first = int(default["first"]) if splits.validate_from is None else splits.validate_from
    second = int(default["second"]) if splits.test_from is None else splits.test_from
    for split, row in (
        ("train", _.timestamp < first),
        ("valid", (_.timestamp >= first) & (_.timestamp < second)),
        ("test", _.timestamp >= second),
    ):
        if not pairs.filter(row).count().execute():
            raise InputError(
                f"splits {TIME}: no row is for {split} with validate_from {moment(first)} and test_from "
                f"{moment(second)}" + _where_bounds_are_from(splits)
            )
    return first, second


def _where_bounds_are_from(splits: SplitConfig) -> str:
    """What to add where a bound is not of the user's choosing."""
    if splits.validate_from is not None and splits.test_from is not None:
        return ""
    return ", which lie after 80% and 90% of the rows unless they are given: give others"


def split_rows(
    interactions: ir.Table,
    users: ir.Table,
    items: ir.Table,
    visits: ir.Table,
    protocols: tuple[str, ...],
    bounds: tuple[int, int] | None,
) -> ir.Table:
    """The rows of these users and items with their split by each protocol.

    Args:
        interactions: `RAW_INTERACTIONS`, without duplicates.
        users: (user_id, number) of the users that are left.
        items: (item_id, number), likewise.
        visits: as `numbered_visits` makes it.
        protocols: of `contracts.tables.PROTOCOLS`.
        bounds: T1 and T2; given where `time` is among the protocols.

    Returns:
        `contracts.tables.interactions_schema(protocols)`, sorted by (user_id, timestamp, sequence).
    """
    by_visit = [protocol for protocol in protocols if protocol != TIME]
    columns = {SPLIT_PREFIX + protocol: _split_by_visits(protocol) for protocol in by_visit}
    if by_visit:
        held_out = _held_out(visits, by_visit)
        users = users.join(held_out, users.number == held_out.user).drop("user")
    if bounds is not None:
        columns[SPLIT_PREFIX + TIME] = ibis.cases(
            (_.timestamp >= bounds[1], "test"), (_.timestamp >= bounds[0], "valid"), else_="train"
        )
    return (
        interactions.semi_join(items, "item_id")
        .join(users, "user_id")
        .mutate(**columns)
        .order_by(["number", "timestamp", "sequence"])
        .select(interactions_schema(protocols).names)
    )


def latest_visits(visits: ir.Table, users: ir.Table, items: ir.Table) -> ir.Table:
    """`contracts.tables.HISTORIES`; arguments as of `split_rows`."""
    recent = visits.filter(_.from_end < HISTORY_LENGTH)
    recent = recent.join(items.select("item_id", item="number"), "item").mutate(place=-_.from_end)
    # An ordered aggregation is not to be had on every engine; a sorted list of (place, item) is.
    lists = recent.group_by("user").agg(visits=ibis.struct({"place": _.place, "item_id": _.item_id}).collect())
    lists = lists.mutate(items=_.visits.sort().map(lambda visit: visit.item_id))
    return users.join(lists, users.number == lists.user).order_by("number").select(HISTORIES.names)


def _held_out(visits: ir.Table, protocols: Iterable[str]) -> ir.Table:
    """For each user, and by each protocol, the first row of the visits to test, and of those to validate with.

    (user, and test_<protocol>_timestamp, test_<protocol>_sequence and so on: rows from there on are held out.)
    """
    counts = visits.group_by("user").agg(visits=(_.from_end.max() + 1))
    tenth = ibis.greatest((counts.visits // 10).cast("int64"), 1)
    held_out = {LEAVE_ONE_OUT: ibis.literal(1, "int64"), RATIO: tenth}
    counts = counts.mutate(**{f"held_out_{protocol}": held_out[protocol] for protocol in protocols})
    bounds = {}
    for protocol in protocols:
        length = _[f"held_out_{protocol}"]
        for split, visit in (("test", length - 1), ("valid", 2 * length - 1)):
            for column in ("timestamp", "sequence"):
                bounds[f"{split}_{protocol}_{column}"] = _[column].max(where=_.from_end == visit)
    return visits.join(counts, "user").group_by("user").agg(**bounds)


def _split_by_visits(protocol: str) -> ir.Value:
    def has_come(split: str) -> ir.Value:
        timestamp, sequence = _[f"{split}_{protocol}_timestamp"], _[f"{split}_{protocol}_sequence"]
        return (_.timestamp > timestamp) | ((_.timestamp == timestamp) & (_.sequence >= sequence))

    return ibis.cases((has_come("test"), "test"), (has_come("valid"), "valid"), else_="train")


def _seconds(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise InputError(f"{name} {text!r}: expected an ISO date or datetime, as 2024-05-31T12:00") from None
