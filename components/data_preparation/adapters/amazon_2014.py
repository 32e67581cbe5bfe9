"""Amazon reviews of 2014: `reviews_<Category>_5.json.gz` and `meta_<Category>.json.gz`, one object a line.

The objects are strict JSON or Python literals, the files gzipped or not. A review is behavior "rating" with `overall`
as its value. Timestamps are whole days: the order of the file's lines breaks their many ties.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    one_line,
    parse_object,
    read_objects,
    required,
    text,
)
from components.data_preparation.source_files import Refusals, SourceRows, files_in, find_file, peek, read_blocks
from components.data_preparation.timestamps import seconds

REVIEW_KEYS = {"reviewerID", "asin", "unixReviewTime"}


class Amazon2014(Adapter):
    name = "amazon-2014"
    description = "objects with reviewerID, asin and unixReviewTime, one a line, metadata in meta_*.json beside them"

    def recognise(self, source: Path) -> Layout | None:
        files = files_in(source)
        reviews = [path for path in files if _holds(path, REVIEW_KEYS)]
        if len(reviews) != 1:
            return None
        metadata = [path for path in files if path.name.startswith("meta_") and _holds(path, {"asin"})]
        return Layout(reviews[0].parent, (reviews[0],), tuple(metadata))

    def expect(self, source: Path) -> Layout:
        """The category "Beauty", the one data set of this format that has a name of its own."""
        return Layout(
            source,
            (find_file(source, "reviews_Beauty_5.json.gz", "reviews_Beauty_5.json"),),
            (find_file(source, "meta_Beauty.json.gz", "meta_Beauty.json"),),
        )

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        for path in layout.interactions:
            for rows in read_blocks(path, "utf-8"):
                yield _reviews(path.name, rows)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        for path in layout.items:
            for rows in read_blocks(path, "utf-8"):
                yield _metadata(path.name, rows)


def _holds(path: Path, keys: set[str]) -> bool:
    """Whether one of the first rows is an object with all of these keys."""
    return any(keys <= (parse_object(row) or {}).keys() for row in peek(path))


def _reviews(file: str, rows: SourceRows) -> RowBatch:
    refusals = Refusals(rows)
    users, items, timestamps, values = [], [], [], []
    for index, review in read_objects(refusals):
        try:
            user = text(required(review, "reviewerID"), "reviewerID")
            item = text(required(review, "asin"), "asin")
            timestamp = moment(required(review, "unixReviewTime"))
        except RowError as error:
            refusals.refuse([index], str(error))
            continue
        overall = review.get("overall")
        users.append(user)
        items.append(item)
        timestamps.append(timestamp)
        values.append(None if overall is None else number(overall))
    columns = {
        "user_id": users,
        "item_id": items,
        "timestamp": seconds(timestamps),
        "behavior": ["rating"] * len(users),
        "value": values,
    }
    return row_batch(file, refusals, columns, UNCHECKED_INTERACTIONS)


def _metadata(file: str, rows: SourceRows) -> RowBatch:
    refusals = Refusals(rows)
    columns: dict[str, list] = {name: [] for name in ("item_id", "title", "brand", "categories", "description")}
    for index, item in read_objects(refusals):
        try:
            found = {
                "item_id": text(required(item, "asin"), "asin"),
                "title": one_line(item.get("title"), "title"),
                "brand": one_line(item.get("brand"), "brand"),
                "categories": _categories(item.get("categories")),
                "description": one_line(item.get("description"), "description"),
            }
        except RowError as error:
            refusals.refuse([index], str(error))
            continue
        for name, value in found.items():
            columns[name].append(value)
    return row_batch(file, refusals, columns, UNCHECKED_ITEMS)


def _categories(paths: Any) -> list[str]:
    """[["Beauty", "Makeup"], ["Beauty", "Nails"]] becomes ["Beauty", "Makeup", "Nails"]."""
    if paths is None:
        return []
    if not isinstance(paths, list) or not all(isinstance(path, list | str) for path in paths):
        raise RowError("categories is not a list of lists")
    names = [one_line(name, "categories") for path in paths for name in ([path] if isinstance(path, str) else path)]
    return list(dict.fromkeys(name for name in names if name))
