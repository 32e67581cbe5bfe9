"""Amazon's ratings-only files, `.csv` gzipped or not, of all three releases; they differ in the order of columns.

2014 (`ratings_<Category>.csv`): user, item, rating, seconds. 2018 (`<Category>.csv`): item, user, rating, seconds.
Neither names its columns: an item's number begins with a digit or B, a user's with A. 2023 (`<Category>.csv`) names
them in line 1: user_id, parent_asin, rating, timestamp in milliseconds. A row is behavior "rating". Metadata are read
from `meta_<Category>` of any release beside the ratings. Not read: the history that the 2023 splits repeat on every
row.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from components.data_preparation.adapters.amazon_objects import metadata_batch, metadata_beside
from components.data_preparation.adapters.contract import UNCHECKED_INTERACTIONS, Adapter, Layout, RowBatch, row_batch
from components.data_preparation.delimited import rating_columns, split_rows
from components.data_preparation.headed import read_headed, separator_of
from components.data_preparation.source_files import Refusals, files_in, most_match, peek, read_blocks

USER, ITEM = r'"?A[0-9A-Z]{9,}"?', r'"?[0-9B][0-9A-Z]{9}"?'
RATING = r"[0-9.]+,[0-9]+"
USER_FIRST, ITEM_FIRST = rf"{USER},{ITEM},{RATING}", rf"{ITEM},{USER},{RATING}"
NAMED_COLUMNS = ("user_id", "parent_asin", "rating", "timestamp")


class AmazonRatings(Adapter):
    """Ratings without review texts: comma-separated lines, with or without a header."""

    name = "amazon-ratings"
    description = f"lines user,item,rating,seconds with Amazon's numbers, or the columns {', '.join(NAMED_COLUMNS)}"

    def recognise(self, source: Path) -> Layout | None:
        """The one file of ratings in the folder, by its header or by the form of its lines."""
        ratings = [
            path
            for path in files_in(source)
            if _is_named(path) or most_match(peek(path), USER_FIRST) or most_match(peek(path), ITEM_FIRST)
        ]
        return Layout(ratings[0].parent, (ratings[0],), metadata_beside(ratings[0])) if len(ratings) == 1 else None

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read each line as a rating."""
        for path in layout.interactions:
            for refusals, fields in _split(path):
                columns = rating_columns(*(fields[name] for name in ("user_id", "parent_asin", "timestamp", "rating")))
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the metadata files beside the ratings, which hold one object a line."""
        for path in layout.items:
            for rows in read_blocks(path, "utf-8"):
                yield metadata_batch(path.name, rows)


def _is_named(path: Path) -> bool:
    return separator_of(path, NAMED_COLUMNS) is not None


def _split(path: Path) -> Iterator[tuple[Refusals, dict[str, pa.Array]]]:
    if _is_named(path):
        yield from read_headed(path, NAMED_COLUMNS)
        return
    user, item, *others = NAMED_COLUMNS
    names = [item, user, *others] if most_match(peek(path), ITEM_FIRST) else [user, item, *others]
    for rows in read_blocks(path, "utf-8"):
        yield split_rows(rows, ",", names, quoted=True)
