import json
from pathlib import Path

import pytest

from components.data_preparation.adapters.amazon_2014 import Amazon2014
from components.data_preparation.adapters.amazon_objects import metadata_beside
from components.data_preparation.adapters.registry import detect


@pytest.mark.parametrize(
    ("reviews", "metadata"),
    [
        ("Beauty.json", "meta_Beauty.json"),
        ("Beauty_5.json.gz", "meta_Beauty.json.gz"),
        ("reviews_Beauty_5.json", "meta_Beauty.jsonl"),
        ("ratings_Beauty.csv", "meta_Beauty.json.gz"),
        ("All_Beauty.jsonl", "meta_All_Beauty.jsonl"),
        ("Toys (+3).csv", "meta_Toys (+3).json"),
    ],
)
def test_metadata_are_of_the_same_category(tmp_path: Path, reviews: str, metadata: str) -> None:
    for name in (reviews, metadata, "meta_Other.json", "meta_Beauty_and_more.json"):
        (tmp_path / name).touch()
    assert metadata_beside(tmp_path / reviews) == (tmp_path / metadata,)


def test_no_metadata_for_a_name_that_has_no_category(tmp_path: Path) -> None:
    (tmp_path / "meta_Beauty.json").touch()
    assert metadata_beside(tmp_path / "Books.json") == ()
    assert metadata_beside(tmp_path / "reviews") == ()


def test_the_releases_of_2014_and_2018_are_told_apart(tmp_path: Path) -> None:
    reviews, metadata = tmp_path / "Toys.json", tmp_path / "meta_Toys.json"
    review = {"reviewerID": "A1", "asin": "B1", "unixReviewTime": 4}
    reviews.write_text(json.dumps(review))
    assert isinstance(detect(reviews)[0], Amazon2014)
    metadata.write_text(json.dumps({"asin": "B1", "categories": [["Toys"]]}))
    assert detect(tmp_path)[0].name == "amazon-2014"
    metadata.write_text(json.dumps({"asin": "B1", "category": ["Toys"]}))
    assert detect(tmp_path)[0].name == "amazon-2018"
    metadata.unlink()
    reviews.write_text(json.dumps({**review, "verified": False}))
    assert detect(tmp_path)[0].name == "amazon-2018"
