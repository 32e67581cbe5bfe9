"""The market's log of interactions, as a platform would have recorded it, written to Parquet day by day."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import ITEMS, interactions_schema, write_table
from components.foundation.files import replacing_file
from components.marketplace.catalogue import (
    BRANDS,
    KINDS_PER_CATEGORY,
    items_table,
    queries,
    query_index,
)
from components.marketplace.sessions import DAY_SECONDS, SECONDS_PER_SLOT, simulate_day
from components.marketplace.truth import Truth

# `sequence` is day * SEQUENCES_PER_DAY + row of the day (from 1), whatever came before the day.
LOG_SCHEMA = interactions_schema([])
SEQUENCES_PER_DAY = 1_000_000_000

BEHAVIORS = pa.array(["search", "click", "cart", "purchase"], pa.string())
SCENES = pa.array(["home", "search"], pa.string())
SEARCH, PURCHASE = 0, 3
# From the moment a user reaches a slot to the click, cart and purchase; a search is at the start of its session.
SECONDS_AFTER = (0, 5, 10)


class MarketLog:
    """Turns the days of a market into tables of `LOG_SCHEMA`."""

    def __init__(self, truth: Truth):
        self.truth = truth
        self._user_ids = truth.user_ids()
        self._item_ids = truth.item_ids()
        self._queries = queries()

    def day(self, day: int) -> pa.Table:
        """The interactions of `day` in order of time.

        Every click, cart and purchase is a row; a search is one if something was clicked out of it, and its `item_id`
        is the first item clicked. `value` is the price of a purchase. The table depends on the truth and `day` alone.
        """
        truth = self.truth
        sessions = simulate_day(truth, day)
        outcomes = sessions.outcomes
        clicked_out_of_search = np.flatnonzero(sessions.searching & outcomes.clicked.any(axis=1))
        first_slot = outcomes.clicked[clicked_out_of_search].argmax(axis=1)
        events = [(clicked_out_of_search, first_slot, sessions.start[clicked_out_of_search])]
        for seconds, happened in zip(
            SECONDS_AFTER, (outcomes.clicked, outcomes.carted, outcomes.purchased), strict=True
        ):
            sessions_of, slots = np.nonzero(happened)
            events.append((sessions_of, slots, sessions.start[sessions_of] + SECONDS_PER_SLOT * (slots + 1) + seconds))

        behavior = np.repeat(np.arange(len(BEHAVIORS)), [len(rows) for rows, _, _ in events])
        session, slot, moment = (np.concatenate(columns) for columns in zip(*events, strict=True))
        order = np.argsort(moment, kind="stable")
        behavior, session, slot, moment = behavior[order], session[order], slot[order], moment[order]
        user, item = sessions.user[session], sessions.lists[session, slot]

        return pa.table(
            [
                self._user_ids.take(pa.array(user)),
                self._item_ids.take(pa.array(item)),
                pa.array(truth.config.start + day * DAY_SECONDS + moment),
                BEHAVIORS.take(pa.array(behavior)),
                pa.array(truth.items.price[item], mask=behavior != PURCHASE),
                self._query_texts(user, sessions.names_brand[session], behavior == SEARCH, day),
                SCENES.take(pa.array(sessions.searching[session].astype(np.int8))),
                pa.array(day * SEQUENCES_PER_DAY + np.arange(1, len(order) + 1)),
            ],
            schema=LOG_SCHEMA,
        )

    def items(self, days: int) -> pa.Table:
        """`contracts.tables.ITEMS` of the items that are on sale by the last of the first `days` days."""
        rows = slice(self.truth.items_on(days - 1))
        items = self.truth.items
        return items_table(
            items.category[rows], items.kind[rows], items.brand[rows], items.style[rows], items.price_position[rows]
        )

    def _query_texts(self, user: np.ndarray, names_brand: np.ndarray, searched: np.ndarray, day: int) -> pa.Array:
        """Query texts: the category, or one of its kinds, and in half of them the brand that the user is after."""
        category, brand = self.truth.intent(user, day)
        # Users differ in what they call a category, and keep to it for the day.
        subject = (user + day) % (KINDS_PER_CATEGORY + 1)
        text = query_index(category, subject, np.where(names_brand, brand, len(BRANDS)))
        return self._queries.take(pa.array(text, mask=~searched))


def write_log(truth: Truth, folder: Path, days: Iterable[int] | None = None) -> int:
    """Write `interactions.parquet` (`LOG_SCHEMA`, one row group a day) and `items.parquet` into `folder`.

    One day is held in memory at a time. Equal truths give equal bytes, and a day's rows are the same whichever days are
    written with it, so a log can be continued day by day.

    Args:
        days: ascending; all days of the log if not given.

    Returns:
        The number of interactions.
    """
    written = list(range(truth.config.days) if days is None else days)
    log = MarketLog(truth)
    count = 0
    write_table(log.items(max(written) + 1), folder / ITEMS_FILE, ITEMS)
    with (
        replacing_file(folder / INTERACTIONS_FILE) as temporary,
        pq.ParquetWriter(temporary, LOG_SCHEMA, compression="zstd", compression_level=1) as writer,
    ):
        for day in written:
            table = log.day(day)
            writer.write_table(table, row_group_size=max(len(table), 1))
            count += len(table)
    return count
