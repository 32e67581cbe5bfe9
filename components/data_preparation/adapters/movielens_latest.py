"""MovieLens latest, small and full (GroupLens), and 20M, 25M and 32M, which are written alike.

`ratings.csv` has userId, movieId, rating and timestamp, `movies.csv` has movieId, title and genres ("Drama|Comedy");
both name their columns in line 1 and quote a field that holds a comma; copies with another separator are read. A
rating is behavior "rating" with the stars as its value; genres are categories, "(no genres listed)" is none. Not read:
`tags.csv`, because a tag is what a user did at a moment, and as a text of the movie it would reveal held-out
interactions; `links.csv`; the tag genome. There are no profiles.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.delimited import rating_columns
from components.data_preparation.headed import read_headed, separator_of
from components.data_preparation.source_files import files_in

RATING_COLUMNS = ("userId", "movieId", "rating", "timestamp")
MOVIE_COLUMNS = ("movieId", "title", "genres")
NO_GENRES = ("", "(no genres listed)")


class MovieLensLatest(Adapter):
    """`ratings.csv` and `movies.csv`, with the columns named in line 1; no profiles of users."""

    name = "movielens-latest"
    description = f"ratings.csv with the columns {', '.join(RATING_COLUMNS)}, movies in movies.csv beside it"

    def recognise(self, source: Path) -> Layout | None:
        """The one file with the columns of ratings, with those beside it that have the columns of movies."""
        ratings = [path for path in files_in(source) if separator_of(path, RATING_COLUMNS)]
        if len(ratings) != 1:
            return None
        root = ratings[0].parent
        movies = [path for path in files_in(root) if separator_of(path, MOVIE_COLUMNS)]
        return Layout(root, (ratings[0],), tuple(movies))

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read ratings from `ratings.csv`."""
        for path in layout.interactions:
            for refusals, fields in read_headed(path, RATING_COLUMNS):
                columns = rating_columns(*(fields[name] for name in ("userId", "movieId", "timestamp", "rating")))
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read titles and genres from `movies.csv`; the mark for no genres becomes an empty list."""
        for path in layout.items:
            for refusals, fields in read_headed(path, MOVIE_COLUMNS):
                genres = pc.utf8_trim_whitespace(fields["genres"]).to_pylist()
                empty = pa.repeat("", len(genres))
                columns = {
                    "item_id": fields["movieId"],
                    "title": pc.utf8_trim_whitespace(fields["title"]),
                    "brand": empty,
                    "categories": [[] if text in NO_GENRES else text.split("|") for text in genres],
                    "description": empty,
                }
                yield row_batch(path.name, refusals, columns, UNCHECKED_ITEMS)
