"""Amazon reviews of 2023 (Hou et al.): `<Category>.jsonl.gz` and `meta_<Category>.jsonl.gz`, one object a line.

A review (user_id, parent_asin, timestamp in milliseconds) is behavior "rating" with `rating` as its value; the item is
the `parent_asin`, under which the metadata are listed: title, store (as brand), categories, description. Not read: the
`asin` of the variant, the texts, votes and images of reviews, whether a purchase is verified; features, details and
prices.
"""

from collections.abc import Iterator
from pathlib import Path

from components.data_preparation.adapters.amazon_objects import (
    ReviewKeys,
    holds,
    metadata_batch,
    metadata_beside,
    reviews_batch,
)
from components.data_preparation.adapters.contract import Adapter, Layout, RowBatch
from components.data_preparation.source_files import files_in, read_blocks

KEYS = ReviewKeys(user="user_id", item="parent_asin", time="timestamp", rating="rating")


class Amazon2023(Adapter):
    name = "amazon-2023"
    description = "objects with user_id, parent_asin and timestamp, meta_<Category>.jsonl beside them"

    def recognise(self, source: Path) -> Layout | None:
        reviews = [path for path in files_in(source) if holds(path, {"user_id", "parent_asin", "timestamp"})]
        return Layout(reviews[0].parent, (reviews[0],), metadata_beside(reviews[0])) if len(reviews) == 1 else None

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        for path in layout.interactions:
            for rows in read_blocks(path, "utf-8"):
                yield reviews_batch(path.name, rows, KEYS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        for path in layout.items:
            for rows in read_blocks(path, "utf-8"):
                yield metadata_batch(path.name, rows)
