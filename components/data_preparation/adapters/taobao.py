"""Taobao's `UserBehavior.csv` (Tianchi data set 649): user, item, category, behavior, seconds; line 1 is data.

The behavior is pv (a look at the item's page: click), cart, fav (favourite) or buy (purchase). The category of an item
comes from the log alone and becomes its metadata, "category 149192". There are no profiles, titles or queries.
"""

from collections.abc import Iterator
from pathlib import Path

from components.data_preparation.adapters.behaviors import behaviors
from components.data_preparation.adapters.contract import UNCHECKED_INTERACTIONS, Adapter, Layout, RowBatch, row_batch
from components.data_preparation.adapters.described_items import described_items
from components.data_preparation.delimited import split_rows
from components.data_preparation.source_files import files_in, most_match, peek, read_blocks
from components.data_preparation.timestamps import seconds

FIELDS = ["user_id", "item_id", "category", "behavior", "timestamp"]
MEANING = {"pv": "click", "cart": "cart", "fav": "favourite", "buy": "purchase"}
ROW = rf'[^,]+,[^,]+,[^,]*,"?({"|".join(MEANING)})"?,[^,]+'


class Taobao(Adapter):
    """Taobao's log of behaviors; items are described by its category column, users not at all."""

    name = "taobao"
    description = "lines user,item,category,behavior,seconds with the behavior pv, cart, fav or buy"

    def recognise(self, source: Path) -> Layout | None:
        """The one file in the folder whose first lines are of this form."""
        logs = [path for path in files_in(source) if most_match(peek(path), ROW)]
        return Layout(logs[0].parent, (logs[0],)) if len(logs) == 1 else None

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read views, carts, favourites and purchases, and the category of each item along the way."""
        for path in layout.interactions:
            for rows in read_blocks(path, "utf-8"):
                refusals, fields = split_rows(rows, ",", FIELDS, quoted=True)
                columns = {
                    "user_id": fields["user_id"],
                    "item_id": fields["item_id"],
                    "timestamp": seconds(fields["timestamp"]),
                    "behavior": behaviors(fields["behavior"], MEANING),
                }
                described = described_items(fields["item_id"], fields["category"])
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS, described)
