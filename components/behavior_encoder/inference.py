"""Whole-base inference: a vector m_u for every user, streamed from the prepared interactions to sharded Parquet."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.behavior_encoder.encoder import BehaviorEncoder
from components.behavior_encoder.histories import ROWS_AT_ONCE, stream_histories
from components.contracts.sharding import user_shard
from components.contracts.tables import vectors
from components.foundation.errors import InputError
from components.foundation.files import creating_directory
from components.foundation.progress import say

SHARDS_AT_MOST = 512  # one open file each
_ROWS_OF_A_GROUP = 1 << 14
_ROWS_WAITING = 1 << 20  # in all shards together: 256 MB of 64 dimensions


def embed_users(
    encoder: BehaviorEncoder, prepared: Path, output: Path, shards: int = 1, rows_at_once: int = ROWS_AT_ONCE
) -> int:
    """Write `part-<shard>.parquet`, sorted by user_id, for every shard of the users; returns how many users there are.

    Interactions are read once, in stretches of `rows_at_once` rows, and vectors leave as soon as they fill a row group
    of their shard: memory depends on these two sizes, the encoder's network and its items, not on the number of users.

    Raises:
        InputError: the encoder was trained on other data, a vector is not finite, or `output` is there already.
    """
    if not 1 <= shards <= SHARDS_AT_MOST:
        raise InputError(f"shards {shards}: expected 1 to {SHARDS_AT_MOST}")
    schema = vectors("user_id", encoder.config.dimension)
    users = 0
    try:
        with creating_directory(output) as folder:
            with _Shards(folder, schema, shards) as written:
                for stretch in stream_histories(prepared, rows_at_once):
                    matrix = encoder.encode(stretch)
                    _check_finite(matrix, stretch.user_ids, encoder)
                    written.add(stretch.user_ids, matrix)
                    users += stretch.n_users
            if not users:
                raise InputError(f"{prepared}: no interactions, so there is no user to encode")
    except FileExistsError as error:
        raise InputError(f"{error}, expected a new or empty folder") from None
    say(f"embedded {users} users in {encoder.config.dimension} dimensions, {shards} shards")
    return users


class _Shards:
    """Open Parquet files, one a shard; rows wait until they fill a row group."""

    def __init__(self, folder: Path, schema: pa.Schema, shards: int):
        self._rows_of_a_group = min(_ROWS_OF_A_GROUP, _ROWS_WAITING // shards)
        self._schema = schema
        self._writers = [
            pq.ParquetWriter(folder / f"part-{shard:05d}.parquet", schema, compression="zstd")
            for shard in range(shards)
        ]
        self._waiting: dict[int, list[pa.Table]] = defaultdict(list)

    def __enter__(self) -> "_Shards":
        return self

    def __exit__(self, *_: object) -> None:
        for shard, writer in enumerate(self._writers):
            self._write(shard)
            writer.close()

    def add(self, user_ids: list[str], matrix: np.ndarray) -> None:
        dimension = matrix.shape[1]
        values = pa.array(np.ascontiguousarray(matrix, np.float32).ravel())
        table = pa.table([pa.array(user_ids), pa.FixedSizeListArray.from_arrays(values, dimension)], self._schema)
        of_user = np.array([user_shard(user, len(self._writers)) for user in user_ids])
        for shard in np.unique(of_user):
            self._waiting[shard].append(table.take(np.flatnonzero(of_user == shard)))
            if sum(part.num_rows for part in self._waiting[shard]) >= self._rows_of_a_group:
                self._write(shard)

    def _write(self, shard: int) -> None:
        if parts := self._waiting.pop(shard, []):
            self._writers[shard].write_table(pa.concat_tables(parts).combine_chunks())


def _check_finite(matrix: np.ndarray, user_ids: list[str], encoder: BehaviorEncoder) -> None:
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise InputError(f"{encoder.origin}: the vector of user {user_ids[int(np.argmin(finite))]!r} is not finite")
