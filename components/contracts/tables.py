"""The tables that steps hand each other, as Parquet with a declared schema, checked on write and on read.

A field that may be null says so; every other field may not. The order of columns is part of the schema, so that two
runs with equal content give equal bytes.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.contracts.errors import InputError
from components.contracts.files import replacing_file


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


BEHAVIORS = ("search", "click", "favourite", "cart", "purchase", "rating")
SPLITS = ("train", "valid", "test")

# `sequence` is the line order of the input and breaks ties of `timestamp` (seconds since 1970). `split_leave_one_out`:
# a user's last interaction is "test", the one before it "valid", all others "train".
INTERACTIONS = pa.schema(
    [
        _required("user_id", pa.string()),
        _required("item_id", pa.string()),
        _required("timestamp", pa.int64()),
        _required("behavior", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("query", pa.string()),
        pa.field("scene", pa.string()),
        _required("sequence", pa.int64()),
        _required("split_leave_one_out", pa.string()),
    ]
)

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

# Every input row that is not in `interactions` before k-core filtering: accepted + rejected = read.
REJECTED = pa.schema(
    [
        _required("file", pa.string()),
        _required("source_line", pa.int64()),
        _required("reason", pa.string()),
        _required("raw", pa.string()),
    ]
)

SEED_ORIGINS = ("representative", "important", "random", "recorded")

# `cluster` is -1 where the seeds were not found by clustering. `n_interactions` counts training interactions.
SEEDS = pa.schema(
    [
        _required("user_id", pa.string()),
        _required("origin", pa.string()),
        _required("cluster", pa.int32()),
        _required("n_interactions", pa.int64()),
    ]
)

# One row for each valid answer. `rationale_id` is opaque: the hash of the answer and of what was asked, so it names no
# user and equal runs give equal ids. `preference_summary` is step 1 (the explanation), `recommendation` is step 2 as the
# text that the text encoder reads. `items` are item ids of the catalogue.
RATIONALES = pa.schema(
    [
        _required("rationale_id", pa.string()),
        _required("seed_user_id", pa.string()),
        _required("preference_summary", pa.string()),
        _required("categories", pa.list_(pa.string())),
        _required("items", pa.list_(pa.string())),
        _required("recommendation", pa.string()),
        _required("engine", pa.string()),
        _required("model", pa.string()),
        _required("prompt_version", pa.string()),
        _required("prompt_tokens", pa.int64()),
        _required("completion_tokens", pa.int64()),
        _required("custom_id", pa.string()),
    ]
)

REJECTED_RATIONALES = pa.schema(
    [
        _required("seed_user_id", pa.string()),
        _required("custom_id", pa.string()),
        _required("reason", pa.string()),
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


def write_table(table: pa.Table, path: Path, schema: pa.Schema) -> None:
    """Write `table` to `path` as Parquet, all of it or nothing.

    Raises:
        ValueError: the table's columns, their order, their types or a null differ from `schema` (a programming error).
    """
    _check(table, schema, str(path), ValueError)
    with replacing_file(path) as temporary:
        pq.write_table(table.cast(schema), temporary, compression="zstd")


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet table written by `write_table`, or only some of its columns.

    Raises:
        InputError: the file is missing, is no Parquet file, or does not hold `schema`.
    """
    try:
        found = pq.read_schema(path)
        _check(found.empty_table(), schema, str(path), InputError)
        table = pq.read_table(path, columns=columns)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from error
    expected = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    _check(table, expected, str(path), InputError)
    return table


def vector_dimension(path: Path) -> int:
    """Length of the vectors in a Parquet file whose schema is `vectors(...)`."""
    try:
        return pq.read_schema(path).field("vector").type.list_size
    except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a table of vectors ({error})") from error


def _check(table: pa.Table, schema: pa.Schema, name: str, kind: type[Exception]) -> None:
    if table.column_names != schema.names:
        raise kind(f"{name}: has the columns {table.column_names}, expected {schema.names}")
    for field in schema:
        column = table.column(field.name)
        if not _same_type(column.type, field.type):
            raise kind(f"{name}: column {field.name} is {column.type}, expected {field.type}")
        if not field.nullable and column.null_count:
            raise kind(f"{name}: column {field.name} has {column.null_count} null values, expected none")


def _same_type(found: pa.DataType, expected: pa.DataType) -> bool:
    """Equal up to the name of a list's child field, which writers choose differently."""
    if pa.types.is_fixed_size_list(expected):
        return (
            pa.types.is_fixed_size_list(found)
            and found.list_size == expected.list_size
            and found.value_type == expected.value_type
        )
    if pa.types.is_list(expected):
        return pa.types.is_list(found) and found.value_type == expected.value_type
    return found == expected
