"""MovieLens 1M: `ratings.dat` (user::movie::stars::seconds) and `movies.dat` (movie::title (year)::genre|genre).

A rating is behavior "rating" with the stars as its value, genres are categories. `users.dat` (user::gender::age::
occupation::zip) holds the profiles, all four attributes as they are written: F or M, the youngest age of a span (1 is
"under 18"), the number of an occupation (the release's README names it), a zip code.
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
from components.data_preparation.source_files import LEGACY_ENCODING, files_in, find_file, most_match, peek, read_blocks

SEPARATOR = "::"
RATING = r"[^:]+::[^:]+::[0-9.]+::[0-9]+"
MOVIE = r"[^:]+::.+::[^:]*"
PROFILE = r"[^:]+(::[^:]*){4}"
PROFILE_FIELDS = ["gender", "age", "occupation", "zip"]


class MovieLens1M(Adapter):
    """`ratings.dat`, `movies.dat` and `users.dat`, with fields between double colons."""

    name = "movielens-1m"
    description = "lines user::movie::stars::seconds, movies in movies.dat and profiles in users.dat beside them"

    def recognise(self, source: Path) -> Layout | None:
        """The one file of ratings, with `movies.dat` and `users.dat` where they are in the folder."""
        files = files_in(source)
        ratings = [path for path in files if most_match(peek(path), RATING)]
        if len(ratings) != 1:
            return None
        root = ratings[0].parent
        movies = [
            path for path in files if path.name == "movies.dat" and most_match(peek(path, LEGACY_ENCODING), MOVIE)
        ]
        users = [path for path in files if path.name == "users.dat" and most_match(peek(path), PROFILE)]
        return Layout(root, (ratings[0],), tuple(movies), tuple(users))

    def expect(self, source: Path) -> Layout:
        """`ratings.dat` and `movies.dat`, which must be there, and `users.dat`, which many copies leave out."""
        ratings, movies = find_file(source, "ratings.dat"), find_file(source, "movies.dat")
        users = tuple(path for path in files_in(source) if path.name == "users.dat")  # many copies leave it out
        return Layout(source, (ratings,), (movies,), users)

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read ratings from `ratings.dat`."""
        for path in layout.interactions:
            for rows in read_blocks(path, "utf-8"):
                refusals, columns = split_rows(rows, SEPARATOR, ["user_id", "item_id", "stars", "timestamp"])
                columns = rating_columns(*(columns[name] for name in ("user_id", "item_id", "timestamp", "stars")))
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read titles and genres from `movies.dat`, which is in Windows-1252."""
        for path in layout.items:
            for rows in read_blocks(path, LEGACY_ENCODING):
                refusals, columns = split_rows(rows, SEPARATOR, ["item_id", "title", "genres"])
                genres = pc.utf8_trim_whitespace(columns["genres"]).to_pylist()
                columns = {
                    "item_id": columns["item_id"],
                    "title": pc.utf8_trim_whitespace(columns["title"]),
                    "brand": pa.repeat("", len(genres)),
                    "categories": [text.split("|") if text else [] for text in genres],
                    "description": pa.repeat("", len(genres)),
                }
                yield row_batch(path.name, refusals, columns, UNCHECKED_ITEMS)

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read gender, age, occupation and zip code from `users.dat`."""
        for path in layout.users:
            for rows in read_blocks(path, "utf-8"):
                refusals, fields = split_rows(rows, SEPARATOR, ["user_id", *PROFILE_FIELDS])
                users = fields.pop("user_id")
                columns = {"user_id": users, "attributes": attributes(fields, len(users))}
                yield row_batch(path.name, refusals, columns, UNCHECKED_USERS)
