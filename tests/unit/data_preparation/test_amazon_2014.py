import json
from pathlib import Path

from components.data_preparation.adapters.amazon_2014 import read

REVIEWS = [
    {"reviewerID": "A1", "asin": "B1", "unixReviewTime": 1318896000},
    {"reviewerID": "A1", "asin": "B2", "unixReviewTime": 1318896000, "overall": 4.0, "reviewText": "Fine."},
]
METADATA = [
    {"asin": "B1", "title": "OPI\n  Lacquer", "brand": "OPI", "categories": [["Beauty", "Nails"], ["Beauty", "Gifts"]]},
    {"asin": "B2", "categories": [], "title": None},
    {"asin": "B3", "title": "It's 'quoted'", "description": "Two\nlines", "price": 3.5},
]


def test_a_small_release(tmp_path: Path) -> None:
    (tmp_path / "reviews_Toys_5.json").write_text("\n".join(json.dumps(row) for row in REVIEWS))
    (tmp_path / "meta_Toys.json").write_text("\n".join(json.dumps(row) for row in METADATA))
    raw = read(tmp_path, "Toys")
    assert raw.interactions.to_pylist() == [
        {
            "user_id": "A1",
            "item_id": item,
            "timestamp": 1318896000,
            "behavior": "rating",
            "value": value,
            "query": None,
            "scene": None,
            "sequence": line,
        }
        for item, value, line in [("B1", None, 1), ("B2", 4.0, 2)]
    ]
    assert raw.items.to_pylist() == [
        {
            "item_id": "B1",
            "title": "OPI Lacquer",
            "brand": "OPI",
            "categories": ["Beauty", "Nails", "Gifts"],
            "description": "",
        },
        {"item_id": "B2", "title": "", "brand": "", "categories": [], "description": ""},
        {"item_id": "B3", "title": "It's 'quoted'", "brand": "", "categories": [], "description": "Two lines"},
    ]


def test_python_literals_read_like_json(tmp_path: Path) -> None:
    (tmp_path / "reviews_Toys_5.json").write_text("\n".join(repr(row) for row in REVIEWS))
    (tmp_path / "meta_Toys.json").write_text("\n".join(json.dumps(row) for row in METADATA))
    strict = read(tmp_path, "Toys")
    (tmp_path / "meta_Toys.json").write_text("\n".join(repr(row) for row in METADATA))
    literal = read(tmp_path, "Toys")
    assert literal.items.equals(strict.items)
    assert len(literal.rejected) == 0


def test_a_literal_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "reviews_Toys_5.json").write_text("\n".join(json.dumps(row) for row in REVIEWS))
    victim = tmp_path / "victim"
    code = "{'asin': open(" + repr(str(victim)) + ", 'w').name}"
    (tmp_path / "meta_Toys.json").write_text("\n".join([json.dumps(METADATA[0]), code]))
    assert read(tmp_path, "Toys").rejected["reason"].to_pylist() == ["not a JSON object"]
    assert not victim.exists()
