"""RecBole's atomic files: `<name>.inter`, `.item` and `.user`, separated by tabs, columns named "field:type" in line 1.

Types are token, float, token_seq and float_seq (a sequence is separated by spaces; lists of categories are often
written with commas, which are then the separator). Interactions need user_id (or session_id), item_id (or product_id
and the like) and timestamp. A
`rating` makes behavior "rating" with its value; otherwise a column of behaviors is read by its common names (pv, click,
cart, fav, buy ...); otherwise a `label` other than 0 makes it "click", and 0 (shown, but not chosen) is no behavior, so
such rows are rejected; without any of these it is "click". `query` and `scene` (or `channel`) are read; `category_id`
and `brand_id` of an interaction describe its item, "category 833" and "brand 2661", where no `.item` does. Every column
of `.user` but user_id is an attribute of the profile, under its name without the type, as it is written. Where a folder
holds the parts of a benchmark (`<name>.train.inter` ...), all are read, those to train on before those to test. Not
read: `.kg`, `.link`, `.net`, and histories prepared as sequences (item_id_list).
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.behaviors import COMMON_NAMES, behaviors
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.adapters.described_items import described_items
from components.data_preparation.adapters.profiles import attributes
from components.data_preparation.delimited import numbers
from components.data_preparation.headed import header, read_headed
from components.data_preparation.source_files import files_in
from components.data_preparation.timestamps import seconds

SEPARATORS = ("\t",)
NEEDED = ("user_id", "item_id", "timestamp")
QUOTES = ("'", '"')
PARTS = ("train", "valid", "test")  # by name, the rows of "test" would come before what they are to be predicted from
TYPES = ("token", "float", "token_seq", "float_seq")
# What data sets call the platform's columns.
NAMES = {
    "session_id": "user_id",
    "product_id": "item_id",
    "business_id": "item_id",
    "artist_id": "item_id",
    "time": "timestamp",
    "behavior_type": "behavior",
    "behaviour": "behavior",
    "action_type": "behavior",
    "interaction_type": "behavior",
    "channel": "scene",
    "name": "title",
    "item_name": "title",
    "movie_title": "title",
    "app_name": "title",
    "product_name": "title",
    "store": "brand",
    "category": "categories",
    "class": "categories",
    "genre": "categories",
    "genres": "categories",
}


class RecBole(Adapter):
    """One data set in RecBole's atomic files, `.inter` alone or with `.item` and `.user`."""

    name = "recbole"
    description = "<name>.inter with the columns user_id:token, item_id:token and timestamp:float between tabs"

    def recognise(self, source: Path) -> Layout | None:
        """The `.inter` files of one data set, which may be in parts, with its `.item` and `.user` files."""
        interactions = [path for path in files_in(source) if _is_atomic(path, ".inter", {"user_id", "item_id"})]
        if len({path.name.partition(".")[0] for path in interactions}) != 1:
            return None
        interactions.sort(key=_part)
        names = {path.name.partition(".")[0] for path in interactions}
        beside = [path for path in files_in(interactions[0].parent) if path.name.partition(".")[0] in names]
        items = [path for path in beside if _is_atomic(path, ".item", {"item_id"})]
        users = [path for path in beside if _is_atomic(path, ".user", {"user_id"})]
        return Layout(interactions[0].parent, tuple(interactions), tuple(items), tuple(users))

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the `.inter` files: ratings where there is such a column, else the behaviors named, else clicks."""
        for path in layout.interactions:
            for refusals, fields in read_headed(path, NEEDED, _names, SEPARATORS):
                columns = {
                    "user_id": fields["user_id"],
                    "item_id": fields["item_id"],
                    "timestamp": seconds(fields["timestamp"]),
                    "behavior": pa.repeat("click", len(fields["user_id"])),
                    "query": fields.get("query"),
                    "scene": fields.get("scene"),
                }
                if "rating" in fields:
                    columns["behavior"] = pa.repeat("rating", len(fields["rating"]))
                    columns["value"] = numbers(fields["rating"])
                elif "behavior" in fields:
                    columns["behavior"] = behaviors(fields["behavior"], COMMON_NAMES)
                elif "label" in fields:
                    chosen = pc.greater(numbers(fields["label"]), 0)
                    columns["behavior"] = pc.if_else(chosen, columns["behavior"], pa.scalar(None, pa.string()))
                category, brand = fields.get("category_id"), fields.get("brand_id")
                described = None
                if category is not None or brand is not None:
                    described = described_items(fields["item_id"], category, brand)
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS, described)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read title, brand, categories and description from the `.item` files."""
        for path in layout.items:
            for refusals, fields in read_headed(path, ("item_id",), _item_names, SEPARATORS):
                empty = pa.repeat("", len(fields["item_id"]))
                columns = {
                    "item_id": fields["item_id"],
                    "title": pc.utf8_trim_whitespace(fields.get("title", empty)),
                    "brand": pc.utf8_trim_whitespace(fields.get("brand", empty)),
                    "categories": [_categories(text) for text in fields.get("categories", empty).to_pylist()],
                    "description": pc.utf8_trim_whitespace(fields.get("description", empty)),
                }
                yield row_batch(path.name, refusals, columns, UNCHECKED_ITEMS)

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the `.user` files: every column but `user_id` is an attribute."""
        for path in layout.users:
            # All columns are read, so none may be named twice.
            needed = ("user_id", *_without_types(header(path, *SEPARATORS)))
            for refusals, fields in read_headed(path, needed, _without_types, SEPARATORS):
                users = fields.pop("user_id")
                columns = {"user_id": users, "attributes": attributes(fields, len(users))}
                yield row_batch(path.name, refusals, columns, UNCHECKED_USERS)


def _is_atomic(path: Path, suffix: str, needed: set[str]) -> bool:
    if not path.name.removesuffix(".gz").endswith(suffix):
        return False
    fields = header(path, *SEPARATORS)
    return all(field.rpartition(":")[2] in TYPES for field in fields) and needed <= set(_item_names(fields))


def _part(path: Path) -> int:
    return next((rank for rank, part in enumerate(PARTS) if f".{part}." in path.name), 0)


def _names(fields: list[str]) -> list[str]:
    """ "movie_title:token_seq" is the platform's "title", unless there is one already."""
    names = _without_types(fields)
    for position, name in enumerate(names):
        if NAMES.get(name, name) not in names:
            names[position] = NAMES[name]
    return names


def _item_names(fields: list[str]) -> list[str]:
    """As `_names`; what a file calls "id" alone is its item's, where it names no other."""
    names = _names(fields)
    return names if "item_id" in names else ["item_id" if name == "id" else name for name in names]


def _without_types(fields: list[str]) -> list[str]:
    return [field.rpartition(":")[0] for field in fields]


def _categories(text: str) -> list[str]:
    """ "Comedy Drama" and "'Beauty', 'Hair Care'" are two categories each."""
    parts = text.split(",") if "," in text or text.startswith(QUOTES) else text.split(" ")
    names = (part.strip().strip("".join(QUOTES)).strip() for part in parts)
    return list(dict.fromkeys(name for name in names if name))
