"""MovieLens 1M: `ratings.dat` (user::movie::stars::seconds) and `movies.dat` (movie::title (year)::genre|genre)."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.contract import RawData
from components.data_preparation.delimited import integers, numbers, split_rows
from components.data_preparation.source_files import find_file, read_rows
from components.data_preparation.validation import Quarantine, check_interactions, check_items

SEPARATOR = "::"


def read(folder: Path) -> RawData:
    """Read the two files; a rating is behavior "rating" with the stars as its value, genres are categories.

    Raises:
        InputError: a file is missing or at fault as a whole.
    """
    ratings = read_rows(find_file(folder, "ratings.dat"), "utf-8")
    movies = read_rows(find_file(folder, "movies.dat"), "iso-8859-1")
    rating_quarantine = Quarantine(ratings.path.name, ratings.lines)
    movie_quarantine = Quarantine(movies.path.name, movies.lines)

    table = split_rows(ratings, SEPARATOR, ["user_id", "item_id", "stars", "timestamp"], rating_quarantine)
    interactions = pa.table(
        {
            "user_id": table["user_id"],
            "item_id": table["item_id"],
            "timestamp": integers(table["timestamp"]),
            "behavior": pa.repeat("rating", len(table)),
            "value": numbers(table["stars"]),
            "query": pa.nulls(len(table), pa.string()),
            "scene": pa.nulls(len(table), pa.string()),
            "sequence": table["sequence"],
        }
    )

    table = split_rows(movies, SEPARATOR, ["item_id", "title", "genres"], movie_quarantine)
    genres = pc.utf8_trim_whitespace(table["genres"]).to_pylist()
    items = pa.table(
        {
            "item_id": table["item_id"],
            "title": pc.utf8_trim_whitespace(table["title"]),
            "brand": pa.repeat("", len(table)),
            "categories": pa.array([text.split("|") if text else [] for text in genres], pa.list_(pa.string())),
            "description": pa.repeat("", len(table)),
            "sequence": table["sequence"],
        }
    )

    interactions = check_interactions(interactions, rating_quarantine)
    items = check_items(items, movie_quarantine)
    return RawData(
        interactions=interactions,
        items=items,
        rejected=pa.concat_tables([rating_quarantine.rejected(), movie_quarantine.rejected()]),
        rows_read={ratings.path.name: len(ratings.lines), movies.path.name: len(movies.lines)},
        interactions_file=ratings.path.name,
    )
