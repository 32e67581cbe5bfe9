import gzip
import json
from pathlib import Path

import pyarrow as pa

from components.data_preparation.adapters.amazon_2014 import Amazon2014

REVIEW = {"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1318896000}
METADATA = [
    {"asin": "B1", "title": "OPI\n  Lacquer", "brand": "OPI", "categories": [["Toys", "Nails"], ["Toys", "Gifts"]]},
    {"asin": "B2", "categories": [], "title": None},
    {"asin": "B3", "title": "It's 'quoted'", "description": "Two\nlines", "price": 3.5},
]


def items(folder: Path) -> pa.Table:
    adapter = Amazon2014()
    layout = adapter.recognise(folder)
    assert layout is not None
    (batch,) = adapter.items(layout)
    assert len(batch.refused) == 0
    return batch.table.drop_columns("raw")


def test_python_literals_read_like_json(tmp_path: Path) -> None:
    (tmp_path / "reviews_Toys_5.json.gz").write_bytes(gzip.compress(json.dumps(REVIEW).encode()))
    (tmp_path / "meta_Toys.json").write_text("\n".join(json.dumps(row) for row in METADATA))
    strict = items(tmp_path)
    (tmp_path / "meta_Toys.json").write_text("\n".join(repr(row) for row in METADATA))
    assert items(tmp_path).equals(strict)


def test_two_categories_in_one_folder_are_not_guessed_at(tmp_path: Path) -> None:
    for category in ("Toys", "Beauty"):
        (tmp_path / f"reviews_{category}_5.json").write_text(json.dumps(REVIEW))
    assert Amazon2014().recognise(tmp_path) is None
    layout = Amazon2014().recognise(tmp_path / "reviews_Toys_5.json")
    assert layout is not None and layout.items == ()
