from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.behavior_encoder.inference import embed_users
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNEncoder
from components.contracts.artifacts import EMBEDDINGS_FILE
from components.contracts.sharding import user_shard
from components.contracts.tables import read_vectors, vectors
from components.foundation.errors import InputError
from components.recommenders.training.processes import TrainingResources

WritePrepared = Callable[[str, dict[str, list[str]]], Path]


@pytest.fixture
def prepared(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> Path:
    return write_prepared("data", two_tastes)


@pytest.fixture
def encoder(prepared: Path) -> LightGCNEncoder:
    encoder = LightGCNEncoder(LightGCNConfig(dimension=4, steps=1))
    encoder.fit(prepared, TrainingResources())
    return encoder


def test_a_user_is_in_the_shard_of_its_hash_sorted_by_id(
    encoder: LightGCNEncoder, prepared: Path, tmp_path: Path
) -> None:
    assert embed_users(encoder, prepared, tmp_path / "vectors", shards=5, rows_at_once=20) == 30
    paths = sorted((tmp_path / "vectors").iterdir())
    assert [path.name for path in paths] == [f"part-{shard:05d}.parquet" for shard in range(5)]
    for shard, path in enumerate(paths):
        assert pq.read_schema(path).equals(vectors("user_id", 4))
        users = pq.read_table(path).column("user_id").to_pylist()
        assert users == sorted(users) and {user_shard(user, 5) for user in users} <= {shard}
    assert len(read_vectors(tmp_path / "vectors", "user_id")[0]) == 30


def test_more_shards_than_users_are_empty_files_that_can_be_read(
    encoder: LightGCNEncoder, prepared: Path, tmp_path: Path
) -> None:
    embed_users(encoder, prepared, tmp_path / "vectors", shards=100)
    assert len(list((tmp_path / "vectors").iterdir())) == 100
    assert len(read_vectors(tmp_path / "vectors", "user_id")[0]) == 30


def test_row_groups_are_written_as_they_fill(
    encoder: LightGCNEncoder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.behavior_encoder.inference._ROWS_OF_A_GROUP", 7)
    embed_users(encoder, prepared, tmp_path / "vectors", rows_at_once=8)
    file = pq.ParquetFile(tmp_path / "vectors" / EMBEDDINGS_FILE)
    assert file.metadata.num_rows == 30 and file.num_row_groups > 3


def test_rows_that_wait_do_not_grow_with_the_shards(
    encoder: LightGCNEncoder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.behavior_encoder.inference._ROWS_WAITING", 4)
    embed_users(encoder, prepared, tmp_path / "vectors", shards=4, rows_at_once=8)
    files = [pq.ParquetFile(path).metadata for path in sorted((tmp_path / "vectors").iterdir())]
    assert sum(file.num_rows for file in files) == 30
    assert sum(file.num_row_groups for file in files) > 8  # a shard that waited for the others would have one


@pytest.mark.parametrize("shards", [0, 513])
def test_number_of_shards(encoder: LightGCNEncoder, prepared: Path, tmp_path: Path, shards: int) -> None:
    with pytest.raises(InputError, match=f"shards {shards}: expected 1 to 512"):
        embed_users(encoder, prepared, tmp_path / "vectors", shards)


def test_an_output_that_is_there_is_told_before_the_work(
    encoder: LightGCNEncoder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_users(encoder, prepared, tmp_path / "vectors")
    monkeypatch.setattr(encoder, "encode", lambda users: pytest.fail("encoded"))
    with pytest.raises(InputError, match="vectors exists already, expected a new or empty folder"):
        embed_users(encoder, prepared, tmp_path / "vectors")


def test_a_vector_that_is_not_finite(
    encoder: LightGCNEncoder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = np.zeros((30, 4), np.float32)
    matrix[7, 2] = np.nan
    monkeypatch.setattr(encoder, "encode", lambda users: matrix)
    with pytest.raises(InputError, match="encoder lightgcn: the vector of user 'u07' is not finite"):
        embed_users(encoder, prepared, tmp_path / "vectors")
    assert not (tmp_path / "vectors").exists()
