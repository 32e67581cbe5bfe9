"""The tables that steps hand each other, as Parquet with a declared schema, checked on write and on read.

A field that may be null says so; every other field may not. The order of columns is part of the schema, so that two
runs with equal content give equal bytes.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contracts.artifacts import EMBEDDINGS_FILE, INTERACTIONS_FILE
from components.foundation.errors import InputError
from components.foundation.files import replacing_file


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


IDENTIFIER_BYTES = 512  # the longest user or item id in UTF-8: what keys of the vector store hold

BEHAVIORS = ("search", "click", "favourite", "cart", "purchase", "rating")
SPLITS = ("train", "valid", "test")

LEAVE_ONE_OUT, RATIO, TIME = PROTOCOLS = ("leave_one_out", "ratio", "time")
SPLIT_PREFIX = "split_"


def interactions_schema(protocols: Iterable[str]) -> pa.Schema:
    """Schema of interactions with one column `split_<protocol>`, of `SPLITS`, for each of `protocols`, in this order.

    `sequence` is the line order of the input and breaks ties of `timestamp` (seconds since 1970).
    """
    return pa.schema(
        [
            _required("user_id", pa.string()),
            _required("item_id", pa.string()),
            _required("timestamp", pa.int64()),
            _required("behavior", pa.string()),
            pa.field("value", pa.float64()),
            pa.field("query", pa.string()),
            pa.field("scene", pa.string()),
            _required("sequence", pa.int64()),
            *(_required(SPLIT_PREFIX + protocol, pa.string()) for protocol in protocols),
        ]
    )


# What the pipelines train on: the rows of a user's last visit are "test", those of the visit before it "valid", all
# others "train". A visit is a run of a user's consecutive interactions, by timestamp and sequence, with one item.
INTERACTIONS = interactions_schema([LEAVE_ONE_OUT])

# One row for each item of the interactions; an item without metadata has empty texts and an empty list.
ITEMS = pa.schema(
    [
        _required("item_id", pa.string()),
        _required("title", pa.string()),
        _required("brand", pa.string()),
        _required("categories", pa.list_(pa.string())),
        _required("description", pa.string()),
    ]
)

# Profile attributes: one row for each user and attribute ("age", "city"); no row without profile data.
USERS = pa.schema(
    [_required("user_id", pa.string()), _required("attribute", pa.string()), _required("value", pa.string())]
)

# Topics: the words that distinguish a title or a query from the others. One row for each of a few topics of an item,
# or of a query of the interactions; sorted by item_id or query, then descending weight, then topic.
ITEM_TOPICS = pa.schema(
    [_required("item_id", pa.string()), _required("topic", pa.string()), _required("weight", pa.float32())]
)
QUERY_TOPICS = pa.schema(
    [_required("query", pa.string()), _required("topic", pa.string()), _required("weight", pa.float32())]
)

# Every user's latest visits, at most `HISTORY_LENGTH`, oldest first, of all splits: the history that serving uses.
# A visit is a run of a user's consecutive interactions with one item. Sorted by user_id.
HISTORIES = pa.schema([_required("user_id", pa.string()), _required("items", pa.list_(pa.string()))])

# Every input row that is not in `interactions` before k-core filtering: accepted + rejected = read.
REJECTED = pa.schema(
    [
        _required("file", pa.string()),
        _required("source_line", pa.int64()),
        _required("reason", pa.string()),
        _required("raw", pa.string()),
    ]
)

# `origin` is representative, important, random, facility_location or recorded.
# `cluster` is -1 where the seeds were not chosen by clustering. `n_interactions` counts training interactions.
SEEDS = pa.schema(
    [
        _required("user_id", pa.string()),
        _required("origin", pa.string()),
        _required("cluster", pa.int32()),
        _required("n_interactions", pa.int64()),
    ]
)

# One row for each valid answer. `rationale_id` is opaque: the hash of the request and of the texts, so it names
# no user, equal runs give equal ids, and an id never stands for two texts. `preference_summary` is step 1 (the
# explanation), `recommendation` is step 2 in names of the catalogue, `encoded_text` what the text encoder reads, which
# may hold names that are not in the catalogue and is shown to nobody. `items` are item ids.
RATIONALES = pa.schema(
    [
        _required("rationale_id", pa.string()),
        _required("seed_user_id", pa.string()),
        _required("preference_summary", pa.string()),
        _required("categories", pa.list_(pa.string())),
        _required("items", pa.list_(pa.string())),
        _required("recommendation", pa.string()),
        _required("encoded_text", pa.string()),
        _required("engine", pa.string()),
        _required("model", pa.string()),
        _required("prompt_version", pa.string()),
        _required("prompt_tokens", pa.int64()),
        _required("completion_tokens", pa.int64()),
        _required("custom_id", pa.string()),
    ]
)

# One row for each seed user without a rationale. `reason` is a `rationale_generation.text_rules.Reason` where a text
# was rejected, and that of a `contracts.batch_format.NoAnswerError` where there is none.
REJECTED_RATIONALES = pa.schema(
    [
        _required("seed_user_id", pa.string()),
        _required("custom_id", pa.string()),
        _required("reason", pa.string()),
        _required("detail", pa.string()),
        _required("answer", pa.string()),
    ]
)

# `rank` counts from 1; `similarity` is the cosine of Eq. 3. Sorted by user_id, then rank.
MATCHES = pa.schema(
    [
        _required("user_id", pa.string()),
        _required("rationale_id", pa.string()),
        _required("seed_user_id", pa.string()),
        _required("similarity", pa.float32()),
        _required("rank", pa.int32()),
    ]
)

# The rankers' own numbering of items: `index` counts from 1, 0 is padding.
ITEM_INDEX = pa.schema([_required("item_id", pa.string()), _required("index", pa.int64())])


def vectors(key: str, dimension: int) -> pa.Schema:
    """Schema of one vector for each `key`: (key: str, vector: fixed-size float32[dimension])."""
    return pa.schema([_required(key, pa.string()), _required("vector", pa.list_(pa.float32(), dimension))])


def write_table(table: pa.Table, path: Path, schema: pa.Schema, mode: int = 0o644) -> None:
    """Write `table` to `path` as Parquet, all of it or nothing.

    Args:
        mode: permissions of the file, less the process's umask.

    Raises:
        ValueError: the table's columns, their order, their types or a null differ from `schema` (a programming error).
    """
    _check(table, schema, str(path), ValueError)
    with replacing_file(path, mode) as temporary:
        pq.write_table(table.cast(schema), temporary, compression="zstd")


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet table written by `write_table`, or only some of its columns.

    Raises:
        InputError: the file is missing, is no Parquet file, or does not hold `schema`.
    """
    check_table(path, schema)
    try:
        table = pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from error
    expected = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    _check(table, expected, str(path), InputError)
    return table


def check_table(path: Path, schema: pa.Schema) -> None:
    """Check that `path` is a Parquet file of this schema, without reading its rows; raises InputError."""
    _check(_read_schema(path).empty_table(), schema, str(path), InputError)


def protocols_of(path: Path) -> list[str]:
    """The protocols by which a file of interactions is split.

    Raises:
        InputError: the file is missing or does not hold `interactions_schema`.
    """
    protocols = [name.removeprefix(SPLIT_PREFIX) for name in _read_schema(path).names if name.startswith(SPLIT_PREFIX)]
    check_table(path, interactions_schema(protocols))
    return protocols


def read_interactions(prepared: Path, columns: list[str], protocol: str = LEAVE_ONE_OUT) -> pa.Table:
    """`columns` of the interactions of a prepared data set, which may be split by other protocols too.

    Raises:
        InputError: the table is missing, does not hold `interactions_schema`, or is not split by `protocol`.
    """
    path = prepared / INTERACTIONS_FILE
    protocols = protocols_of(path)
    if protocol not in protocols:
        raise InputError(f"{path}: has no column {SPLIT_PREFIX}{protocol}, expected it among the splits of the data")
    return read_table(path, interactions_schema(protocols), columns)


def read_training_interactions(prepared: Path, columns: list[str]) -> pa.Table:
    """`columns` of the training interactions of a prepared data set: all that a step before the evaluation may see.

    Raises:
        InputError: as of `read_interactions`.
    """
    split = SPLIT_PREFIX + LEAVE_ONE_OUT
    table = read_interactions(prepared, [*columns, split])
    return table.filter(pc.equal(table.column(split), "train")).select(columns)


def vector_dimension(path: Path) -> int:
    """Length of the vectors in a Parquet file whose schema is `vectors(...)`."""
    try:
        return pq.read_schema(path).field("vector").type.list_size
    except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a table of vectors ({error})") from error


def write_vectors(folder: Path, key: str, keys: list[str], matrix: np.ndarray) -> None:
    """Write `matrix`, float32[n, d], one row for each of `keys`, as the single shard of an embeddings folder.

    Raises:
        ValueError: the matrix is not of shape [len(keys), d], or a key is there twice (programming errors).
    """
    if matrix.ndim != 2 or len(matrix) != len(keys):
        raise ValueError(f"{folder}: {len(keys)} keys and a matrix of shape {matrix.shape}")
    if len(set(keys)) != len(keys):
        raise ValueError(f"{folder}: a {key} is there twice")
    order = sorted(range(len(keys)), key=keys.__getitem__)
    values = np.ascontiguousarray(matrix[order], dtype=np.float32)
    dimension = matrix.shape[1]
    table = pa.table(
        [
            pa.array([keys[row] for row in order], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), dimension),
        ],
        schema=vectors(key, dimension),
    )
    write_table(table, folder / EMBEDDINGS_FILE, table.schema)


def read_vectors(folder: Path, key: str) -> tuple[list[str], np.ndarray]:
    """Read every shard (`part-*.parquet`) of an embeddings folder.

    Returns:
        The keys in ascending order, however they are sharded, and their vectors as float32[n, d].

    Raises:
        InputError: there is no shard, a shard does not hold `vectors(key, d)` with the d of the others, a key is there
            twice, or a number is not finite.
    """
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise InputError(f"{folder}: no embeddings (part-*.parquet) in this folder")
    schema = vectors(key, vector_dimension(paths[0]))
    dimension = schema.field("vector").type.list_size
    keys: list[str] = []
    shards = [np.empty((0, dimension), np.float32)]
    for path in paths:
        table = read_table(path, schema)
        keys += table.column(key).to_pylist()
        for chunk in table.column("vector").chunks:
            shards.append(chunk.flatten().to_numpy().reshape(len(chunk), dimension))
    matrix = np.concatenate(shards)
    if not np.isfinite(matrix).all():
        raise InputError(f"{folder}: a vector holds a number that is not finite")
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ordered = [keys[row] for row in order]
    for first, second in pairwise(ordered):
        if first == second:
            raise InputError(f"{folder}: {key} {first!r} is there twice")
    return ordered, matrix[order]


def _read_schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from error


def _check(table: pa.Table, schema: pa.Schema, name: str, kind: type[Exception]) -> None:
    if table.column_names != schema.names:
        raise kind(f"{name}: has the columns {table.column_names}, expected {schema.names}")
    for field in schema:
        column = table.column(field.name)
        if not _same_type(column.type, field.type):
            raise kind(f"{name}: column {field.name} is {column.type}, expected {field.type}")
        if not field.nullable and column.null_count:
            raise kind(f"{name}: column {field.name} has {column.null_count} null values, expected none")


def _same_type(actual: pa.DataType, expected: pa.DataType) -> bool:
    """Equal up to the name of a list's child field, which writers choose differently."""
    if pa.types.is_fixed_size_list(expected):
        return (
            pa.types.is_fixed_size_list(actual)
            and actual.list_size == expected.list_size
            and actual.value_type == expected.value_type
        )
    if pa.types.is_list(expected):
        return pa.types.is_list(actual) and actual.value_type == expected.value_type
    return actual == expected
