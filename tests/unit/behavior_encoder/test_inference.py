from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.behavior_encoder.inference import embed_users, save_encoder
from components.behavior_encoder.training import EncoderConfig, TrainedEncoder
from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from components.contracts.errors import InputError
from components.contracts.files import read_json
from components.contracts.tables import read_vectors
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences

WritePrepared = Callable[[str, dict[str, list[str]]], Path]
ITEMS = ["i00", "i01", "i02"]


@pytest.fixture
def sequences(write_prepared: WritePrepared) -> InteractionSequences:
    return read_sequences(write_prepared("data", {"ann": ITEMS, "bob": ITEMS}))


@pytest.fixture
def encoder(tmp_path: Path, sequences: InteractionSequences) -> Path:
    """Saved vectors: ann is (1, 2, 3), bob (4, 5, 6)."""
    vectors = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    trained = TrainedEncoder(EncoderConfig(dimension=3), vectors, torch.zeros(20, 3), {"loss": 0.25})
    save_encoder(trained, sequences, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_every_user_gets_its_vector(encoder: Path, sequences: InteractionSequences, tmp_path: Path) -> None:
    assert embed_users(encoder, sequences, tmp_path / "embeddings") == 3
    users, vectors = read_vectors(tmp_path / "embeddings", "user_id")
    assert users == ["ann", "bob"]
    assert np.array_equal(vectors, [[1, 2, 3], [4, 5, 6]])
    assert read_json(encoder / METRICS_FILE) == {"loss": 0.25}


def test_another_number_of_users(encoder: Path, write_prepared: WritePrepared, tmp_path: Path) -> None:
    others = read_sequences(write_prepared("others", {"ann": ITEMS, "bob": ITEMS, "cat": ITEMS}))
    with pytest.raises(InputError, match="encoder: trained with 2 users, the prepared data has 3"):
        embed_users(encoder, others, tmp_path / "embeddings")
    assert not (tmp_path / "embeddings").exists()


def test_other_users(encoder: Path, write_prepared: WritePrepared, tmp_path: Path) -> None:
    others = read_sequences(write_prepared("others", {"ann": ITEMS, "cat": ITEMS}))
    with pytest.raises(InputError, match="encoder: trained with other users"):
        embed_users(encoder, others, tmp_path / "embeddings")


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CONFIG_FILE])
@pytest.mark.parametrize("keep", [None, 0, 20])
def test_a_file_missing_or_cut_short(
    encoder: Path, sequences: InteractionSequences, tmp_path: Path, name: str, keep: int | None
) -> None:
    content = (encoder / name).read_bytes()
    (encoder / name).unlink()
    if keep is not None:
        (encoder / name).write_bytes(content[:keep])
    with pytest.raises(InputError, match=name):
        embed_users(encoder, sequences, tmp_path / "embeddings")
