from typing import Any

import numpy as np
import pytest
import torch

from components.contracts.artifacts import CONFIG_FILE, EMBEDDINGS_FILE, INTERACTIONS_FILE, LINEAGE_FILE, MATCHES_FILE
from components.contracts.tables import read_vectors
from components.foundation.errors import InputError
from components.foundation.files import write_json

CATALOGUE = [f"i{number:02d}" for number in range(12)]


def test_users_and_items_are_lined_up(artifacts: Any) -> None:
    inputs = artifacts.read()
    assert inputs.sequences.n_users == 6 and inputs.sequences.n_items == 12
    assert inputs.text_encoder == "minilm"
    _, rationales = read_vectors(artifacts.rationale_embeddings, "rationale_id")
    _, items = read_vectors(artifacts.item_text_embeddings, "item_id")
    assert np.array_equal(inputs.item_text, np.concatenate([np.zeros((1, 4)), items]))
    found = inputs.rationales.of_users(torch.arange(6))
    assert found.shape == (6, 1, 4)
    assert np.array_equal(found[:5, 0], rationales[[0, 2, 1, 0, 2]])
    assert not found[5].any()  # u5 is matched to nobody


def test_only_the_first_match_of_a_user_is_read(artifacts: Any) -> None:
    artifacts.match(("u0", "r1", 1), ("u0", "r2", 2))
    assert artifacts.read().rationales.rows.tolist() == [[2], [0], [0], [0], [0], [0]]


def test_a_match_of_an_unknown_user(artifacts: Any) -> None:
    artifacts.match(("u0", "r0", 1), ("stranger", "r0", 1))
    with pytest.raises(InputError, match=r"matches\.parquet: user 'stranger' is not among the prepared users"):
        artifacts.read()


def test_a_match_to_an_unknown_rationale(artifacts: Any) -> None:
    artifacts.match(("u0", "r0", 1), ("u1", "r9", 1))
    with pytest.raises(InputError, match=r"matches\.parquet: rationale 'r9' has no embedding"):
        artifacts.read()


@pytest.mark.parametrize("items", [CATALOGUE[:-1], [*CATALOGUE, "i99"], [*CATALOGUE[:-1], "i99"]])
def test_texts_of_other_items(artifacts: Any, items: list[str]) -> None:
    artifacts.embed(artifacts.item_text_embeddings, "item_id", items, 4)
    with pytest.raises(InputError, match="item_text_embeddings: not the embeddings of the items in"):
        artifacts.read()


def test_two_text_encoders(artifacts: Any) -> None:
    artifacts.embed(artifacts.item_text_embeddings, "item_id", CATALOGUE, 4, text_encoder="other")
    with pytest.raises(InputError, match="item_text_embeddings: not encoded by minilm, as the rationales are"):
        artifacts.read()


def test_two_dimensions(artifacts: Any) -> None:
    artifacts.embed(artifacts.item_text_embeddings, "item_id", CATALOGUE, 5)
    with pytest.raises(InputError, match="item_text_embeddings"):
        artifacts.read()


def test_a_configuration_that_names_no_text_encoder(artifacts: Any) -> None:
    write_json(artifacts.rationale_embeddings / CONFIG_FILE, {"dimension": 4})
    with pytest.raises(InputError, match="rationale_embeddings"):
        artifacts.read()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("prepared", INTERACTIONS_FILE),
        ("matches", MATCHES_FILE),
        ("matches", LINEAGE_FILE),
        ("rationale_embeddings", EMBEDDINGS_FILE),
        ("rationale_embeddings", CONFIG_FILE),
        ("item_text_embeddings", EMBEDDINGS_FILE),
        ("item_text_embeddings", CONFIG_FILE),
    ],
)
def test_a_missing_file(artifacts: Any, folder: str, name: str) -> None:
    (getattr(artifacts, folder) / name).unlink()
    with pytest.raises(InputError, match=folder):
        artifacts.read()
