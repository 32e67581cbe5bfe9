"""What the Amazon releases of 2014, 2018 and 2023 share: reviews and metadata as objects, under different keys."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.json_lines import (
    RowError,
    moment,
    number,
    parse_object,
    read_objects,
    required,
    text,
)
from components.data_preparation.plain_text import plain_text
from components.data_preparation.source_files import Refusals, SourceRows, files_in, peek, read_blocks
from components.data_preparation.timestamps import seconds

# "All_Beauty.train.csv.gz", "reviews_Beauty_5.json.gz" and "All_Beauty_5core.jsonl" name their category.
REVIEWS_NAME = re.compile(
    r"(?:reviews_|ratings_)?(?P<category>.+?)(?:_[0-9]+(?:core)?)?(?:\.(?:train|valid|validation|test))?"
    r"\.(?:jsonl?|csv)(?:\.gz)?"
)


@dataclass(frozen=True)
class ReviewKeys:
    """Under which keys a review holds what; all but `rating` are required."""

    user: str
    item: str
    time: str
    rating: str

    @property
    def required(self) -> set[str]:
        """The keys without which an object is no review."""
        return {self.user, self.item, self.time}


class AmazonObjects(Adapter):
    """An adapter of one release: what differs is `keys`, and how its files are recognised."""

    keys: ReviewKeys

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read each review as a rating."""
        for path in layout.interactions:
            for rows in read_blocks(path, "utf-8"):
                yield reviews_batch(path.name, rows, self.keys)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read title, brand, categories and description from the metadata files."""
        for path in layout.items:
            for rows in read_blocks(path, "utf-8"):
                yield metadata_batch(path.name, rows)


def holds(path: Path, keys: set[str]) -> bool:
    """Whether one of the first rows is an object with all of these keys."""
    return any(keys <= (parse_object(row) or {}).keys() for row in peek(path))


def metadata_beside(reviews: Path) -> tuple[Path, ...]:
    """`meta_<Category>` beside `<Category>`, `<Category>_5`, `<Category>.train`, `reviews_<Category>`; or none."""
    match = REVIEWS_NAME.fullmatch(reviews.name)
    if match is None:
        return ()
    name = re.compile(rf"meta_{re.escape(match['category'])}\.jsonl?(\.gz)?")
    return tuple(path for path in files_in(reviews.parent) if name.fullmatch(path.name))[:1]


def reviews_batch(file: str, rows: SourceRows, keys: ReviewKeys) -> RowBatch:
    """A block of reviews; each is behavior "rating", its value null where there is no rating."""
    refusals = Refusals(rows)
    users, items, times, values = [], [], [], []
    for index, review in read_objects(refusals):
        try:
            user = text(required(review, keys.user), keys.user)
            item = text(required(review, keys.item), keys.item)
            time = moment(required(review, keys.time))
        except RowError as error:
            refusals.refuse([index], str(error))
            continue
        rating = review.get(keys.rating)
        users.append(user)
        items.append(item)
        times.append(time)
        values.append(None if rating is None else number(rating))
    columns = {
        "user_id": users,
        "item_id": items,
        "timestamp": seconds(pa.array(times, pa.string())),
        "behavior": ["rating"] * len(users),
        "value": values,
    }
    return row_batch(file, refusals, columns, UNCHECKED_INTERACTIONS)


def metadata_batch(file: str, rows: SourceRows) -> RowBatch:
    """A block of metadata of any release, without the markup of the page; see `plain_text`.

    Only an object without an id is refused. What else it says in a form that is not understood is left empty.
    """
    refusals = Refusals(rows)
    columns: dict[str, list] = {name: [] for name in ("item_id", "title", "brand", "categories", "description")}
    for index, item in read_objects(refusals):
        try:
            key = "parent_asin" if "parent_asin" in item else "asin"
            row = {
                "item_id": text(required(item, key), key),
                "title": _title(item),
                "brand": _readable(item.get("brand") or item.get("store")),
                "categories": _categories(item),
                "description": " ".join(_texts(item.get("description"))),
            }
        except RowError as error:
            refusals.refuse([index], str(error))
            continue
        for name, value in row.items():
            columns[name].append(value)
    return row_batch(file, refusals, columns, UNCHECKED_ITEMS)


def _readable(value: Any) -> str:
    """A text or a number as one line of plain text; "" where it is neither, or no valid Unicode."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    try:
        return " ".join(plain_text(text(value, "")).split())
    except RowError:
        return ""


def _title(item: dict[str, Any]) -> str:
    title = _readable(item.get("title"))
    return "" if "getTime" in title else title  # in 2018 some titles are a script of the page


def _categories(item: dict[str, Any]) -> list[str]:
    """One text, or flat (2018, 2023) or nested (2014), each once; the main category where there are no others."""
    listed = item.get("categories") or item.get("category")
    paths = listed if isinstance(listed, list) else [listed]
    names = [name for path in paths for name in (path if isinstance(path, list) else [path])]
    page = next((position for position, name in enumerate(names) if isinstance(name, str) and "</span>" in name), None)
    readable = [_readable(name) for name in names[:page]]  # in 2018 pieces of the page follow some lists
    main = _readable(item.get("main_category") or item.get("main_cat"))
    return list(dict.fromkeys(filter(None, readable))) or list(filter(None, [main]))


def _texts(value: Any) -> list[str]:
    """The paragraphs of a text (2014) or a list of them (2018, 2023)."""
    return list(filter(None, map(_readable, value if isinstance(value, list) else [value])))
