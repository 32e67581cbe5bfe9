"""Amazon reviews of 2014, 5-core: `reviews_<Category>_5.json.gz` and `meta_<Category>.json.gz`, one object a line.

Timestamps are whole days: the order of the file's lines breaks their many ties.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from components.contracts.tables import ITEMS
from components.data_preparation.adapters.contract import RawData
from components.data_preparation.json_lines import RowError, integer, number, one_line, read_objects, required, text
from components.data_preparation.source_files import SourceRows, find_file, read_rows
from components.data_preparation.validation import RAW_INTERACTIONS, Quarantine, check_interactions, check_items

# While rows are checked a timestamp may be null; ITEMS carries its line along.
UNCHECKED_INTERACTIONS = pa.schema([field.with_nullable(True) for field in RAW_INTERACTIONS])
UNCHECKED_ITEMS = ITEMS.append(pa.field("sequence", pa.int64()))


def read_beauty(folder: Path) -> RawData:
    """Read the category "Beauty"; see `read`."""
    return read(folder, "Beauty")


def read(folder: Path, category: str) -> RawData:
    """Read one category; a review is behavior "rating" with `overall` as its value, null where there is none.

    Raises:
        InputError: a file is missing or at fault as a whole.
    """
    reviews_name, metadata_name = f"reviews_{category}_5.json", f"meta_{category}.json"
    reviews = read_rows(find_file(folder, f"{reviews_name}.gz", reviews_name), "utf-8")
    metadata = read_rows(find_file(folder, f"{metadata_name}.gz", metadata_name), "utf-8")
    review_quarantine = Quarantine(reviews.path.name, reviews.lines)
    metadata_quarantine = Quarantine(metadata.path.name, metadata.lines)

    interactions = check_interactions(_read_reviews(reviews, review_quarantine), review_quarantine)
    items = check_items(_read_metadata(metadata, metadata_quarantine), metadata_quarantine)
    return RawData(
        interactions=interactions,
        items=items,
        rejected=pa.concat_tables([review_quarantine.rejected(), metadata_quarantine.rejected()]),
        rows_read={reviews.path.name: len(reviews.lines), metadata.path.name: len(metadata.lines)},
        interactions_file=reviews.path.name,
    )


def _read_reviews(rows: SourceRows, quarantine: Quarantine) -> pa.Table:
    users, items, timestamps, values, lines = [], [], [], [], []
    for line, review in read_objects(rows, quarantine):
        try:
            user = text(required(review, "reviewerID"), "reviewerID")
            item = text(required(review, "asin"), "asin")
            timestamp = integer(required(review, "unixReviewTime"))
        except RowError as error:
            quarantine.refuse([line], str(error))
            continue
        overall = review.get("overall")
        users.append(user)
        items.append(item)
        timestamps.append(timestamp)
        values.append(None if overall is None else number(overall))
        lines.append(line)
    columns = {
        "user_id": users,
        "item_id": items,
        "timestamp": timestamps,
        "behavior": pa.repeat("rating", len(lines)),
        "value": values,
        "query": pa.nulls(len(lines), pa.string()),
        "scene": pa.nulls(len(lines), pa.string()),
        "sequence": lines,
    }
    return pa.table(columns, schema=UNCHECKED_INTERACTIONS)


def _read_metadata(rows: SourceRows, quarantine: Quarantine) -> pa.Table:
    items = []
    for line, item in read_objects(rows, quarantine):
        try:
            items.append(
                {
                    "item_id": text(required(item, "asin"), "asin"),
                    "title": one_line(item.get("title"), "title"),
                    "brand": one_line(item.get("brand"), "brand"),
                    "categories": _categories(item.get("categories")),
                    "description": one_line(item.get("description"), "description"),
                    "sequence": line,
                }
            )
        except RowError as error:
            quarantine.refuse([line], str(error))
    return pa.Table.from_pylist(items, schema=UNCHECKED_ITEMS)


def _categories(paths: Any) -> list[str]:
    """[["Beauty", "Makeup"], ["Beauty", "Nails"]] becomes ["Beauty", "Makeup", "Nails"]."""
    if paths is None:
        return []
    if not isinstance(paths, list) or not all(isinstance(path, list | str) for path in paths):
        raise RowError("categories is not a list of lists")
    names = [one_line(name, "categories") for path in paths for name in ([path] if isinstance(path, str) else path)]
    return list(dict.fromkeys(name for name in names if name))
