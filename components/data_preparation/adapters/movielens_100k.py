"""MovieLens 100K (GroupLens): `u.data` (user, movie, stars, seconds) and `u.item` (movie, title, ..., 19 genre flags).

`u.data` is separated by tabs, `u.item` by "|" and in ISO-8859-1. A rating is behavior "rating" with the stars as its
value; genres are categories, "unknown" is none. `u.user`, separated by "|", holds the profiles: age, gender, occupation
and zip code, as they are written. Not read: the release dates and addresses in `u.item`, and the files that repeat the
others (`u.genre`, `u.occupation`, `u1.base` and the like).
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.adapters.profiles import attributes
from components.data_preparation.delimited import rating_columns, split_rows
from components.data_preparation.source_files import LEGACY_ENCODING, files_in, most_match, peek, read_blocks

RATING = r"[^\t]+\t[^\t]+\t[0-9.]+\t[0-9]+"
RATING_FIELDS = ["user_id", "item_id", "stars", "timestamp"]
# in the order of the flags
GENRES = [
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]
MOVIE_FIELDS = ["item_id", "title", "released", "released on video", "address", "unknown", *GENRES]
PROFILE_FIELDS = ["age", "gender", "occupation", "zip"]


class MovieLens100K(Adapter):
    """`u.data`, `u.item` and `u.user`, whose names are fixed."""

    name = "movielens-100k"
    description = (
        "u.data with user, movie, stars and seconds between tabs, movies in u.item and profiles in u.user beside it"
    )

    def recognise(self, source: Path) -> Layout | None:
        """`u.data` if its lines are ratings, with `u.item` and `u.user` where they lie beside it."""
        ratings = _named(source, "u.data")
        if not ratings or not most_match(peek(ratings[0]), RATING):
            return None
        root = ratings[0].parent
        return Layout(root, ratings, _named(root, "u.item"), _named(root, "u.user"))

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read ratings between tabs from `u.data`."""
        for path in layout.interactions:
            for rows in read_blocks(path, "utf-8"):
                refusals, fields = split_rows(rows, "\t", RATING_FIELDS)
                columns = rating_columns(*(fields[name] for name in ("user_id", "item_id", "timestamp", "stars")))
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read titles and genre flags from `u.item`, which is in Windows-1252."""
        for path in layout.items:
            for rows in read_blocks(path, LEGACY_ENCODING):
                refusals, fields = split_rows(rows, "|", MOVIE_FIELDS)
                flags = zip(*(fields[genre].to_pylist() for genre in GENRES), strict=True)
                empty = pa.repeat("", len(fields["title"]))
                columns = {
                    "item_id": fields["item_id"],
                    "title": pc.utf8_trim_whitespace(fields["title"]),
                    "brand": empty,
                    "categories": [[GENRES[index] for index, flag in enumerate(row) if flag == "1"] for row in flags],
                    "description": empty,
                }
                yield row_batch(path.name, refusals, columns, UNCHECKED_ITEMS)

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read age, gender, occupation and zip code from `u.user`."""
        for path in layout.users:
            for rows in read_blocks(path, "utf-8"):
                refusals, fields = split_rows(rows, "|", ["user_id", *PROFILE_FIELDS])
                users = fields.pop("user_id")
                columns = {"user_id": users, "attributes": attributes(fields, len(users))}
                yield row_batch(path.name, refusals, columns, UNCHECKED_USERS)


def _named(source: Path, name: str) -> tuple[Path, ...]:
    """The file of that name, gzipped or not, if `source` is or holds one."""
    return tuple(path for path in files_in(source) if path.name in (name, f"{name}.gz"))[:1]
