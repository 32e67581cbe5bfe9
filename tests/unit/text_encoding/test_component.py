"""The real MiniLM on a few texts, through the components."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import CONFIG_FILE, ITEMS_FILE, RATIONALES_FILE
from components.contracts.tables import ITEMS, RATIONALES, read_vectors, write_table
from components.contracts.text_encoder import PACKAGED_MODEL
from components.foundation.files import write_json
from components.text_encoding.component import encode_items, encode_rationales
from components.text_encoding.tables import item_text

CONFIG = {"text_encoder": "all-MiniLM-L6-v2", "model": PACKAGED_MODEL, "dimension": 384}


@pytest.mark.parametrize(
    ("title", "brand", "categories", "expected"),
    [
        ("Dune", "Fox", ["Sci-Fi", "Drama"], "Dune. Fox. Sci-Fi, Drama"),
        ("Dune", "", [], "Dune"),
        ("", " ", ["Drama"], "Drama"),
        ("", "", [], ""),
    ],
)
def test_item_text(title, brand, categories, expected):
    assert item_text(title, brand, categories) == expected


def rationale(rationale_id, seed, text):
    names = ("preference_summary", "recommendation", "engine", "model", "prompt_version", "custom_id")
    texts = dict.fromkeys(names, "x")
    counts = {"prompt_tokens": 0, "completion_tokens": 0}
    lists = {"categories": [], "items": []}
    return {"rationale_id": rationale_id, "seed_user_id": seed, "encoded_text": text, **texts, **counts, **lists}


def test_rationales(tmp_path):
    rows = [
        rationale("r2", "ann", "Recommended categories: Horror, Thriller."),
        rationale("r1", "bob", "Recommended categories: Horror."),
        rationale("r3", "cid", "Recommended items: a hair brush."),
        rationale("r1", "dan", "Recommended categories: Horror."),  # shares a request with bob
    ]
    write_table(pa.Table.from_pylist(rows, schema=RATIONALES), tmp_path / "in" / RATIONALES_FILE, RATIONALES)
    for name in ("a", "b"):
        source, output = (SimpleNamespace(path=str(tmp_path / folder)) for folder in ("in", name))
        encode_rationales.python_func({"text_encoder": PACKAGED_MODEL}, source, output)

    keys, matrix = read_vectors(tmp_path / "a", "rationale_id")
    assert keys == ["r1", "r2", "r3"]
    assert matrix.shape == (3, 384) and matrix.dtype == np.float32
    assert np.linalg.norm(matrix, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert matrix[0] @ matrix[1] > matrix[0] @ matrix[2] + 0.2  # near in meaning, near in space
    assert json.loads((tmp_path / "a" / CONFIG_FILE).read_text()) == CONFIG
    first, second = ((tmp_path / name / "part-00000.parquet").read_bytes() for name in ("a", "b"))
    assert first == second


def test_items(tmp_path):
    rows = [
        {"item_id": "b", "title": "Dune", "brand": "", "categories": ["Sci-Fi"], "description": "not encoded"},
        {"item_id": "a", "title": "", "brand": "", "categories": [], "description": "not encoded"},
    ]
    write_table(pa.Table.from_pylist(rows, schema=ITEMS), tmp_path / "in" / ITEMS_FILE, ITEMS)
    write_json(tmp_path / "rationales" / CONFIG_FILE, CONFIG)
    source, rationales, output = (SimpleNamespace(path=str(tmp_path / name)) for name in ("in", "rationales", "out"))
    encode_items.python_func(source, rationales, output)
    keys, matrix = read_vectors(tmp_path / "out", "item_id")
    assert keys == ["a", "b"]
    assert not matrix[0].any()
    assert np.linalg.norm(matrix[1]) == pytest.approx(1, abs=1e-5)
    assert json.loads((tmp_path / "out" / CONFIG_FILE).read_text()) == CONFIG
