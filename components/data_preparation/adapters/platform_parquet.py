"""The platform's own tables, or a team's in the same columns: `interactions.parquet`; `items` and `users` beside it.

Each is a Parquet file, or a folder of that name (with or without ".parquet") that holds its parts, read in order of
their paths; what the names of partitions say (`behavior=click/`) is a column where the files have none of that name.
Interactions need user_id, item_id and timestamp; value, query and scene may be left out, and so may all of an item but
item_id. Without a behavior, a row with a value is a rating and any other a click. Columns go by these names, in any
case, or by those of a `ColumnMapping`. Ids may be numbers, a behavior may go by its common name (pv, view, fav,
buy ...), a timestamp may be of Arrow's own types, categories may be text, a scene may be called channel. Users are
either in the columns of `contracts.tables.USERS`, one row for each attribute, or one row each: user_id, and all other
columns are attributes. Columns of a run before (`sequence`, `split_...`) are not read. The line of a row is its number
in its file, counted from 1; what it says is its fields between tabs.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data_preparation.adapters.behaviors import behavior_column
from components.data_preparation.adapters.categories import category_list
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.adapters.profiles import attributes, attributes_by_name
from components.data_preparation.column_mapping import NEEDED_COLUMNS, NO_MAPPING, ColumnMapping
from components.data_preparation.source_files import LONGEST_ROW, Refusals, SourceRows
from components.data_preparation.table_files import parquet_parts, partition_values
from components.data_preparation.timestamps import seconds
from components.foundation.errors import ConflictError, InputError

NEEDED_OF_ITEMS = ("item_id",)
NEEDED_OF_USERS = ("user_id",)
# What a column may hold, as errors tell it.
ID = "text or whole numbers"
TIME = "numbers, text, dates or timestamps"
TEXT = "text"
NUMBER = "numbers"
LIST = "lists of text"
ATTRIBUTE = "text, numbers, booleans, dates or timestamps"
INTERACTION_COLUMNS = {
    "user_id": ID,
    "item_id": ID,
    "timestamp": TIME,
    "behavior": ID,  # a text or the number of one
    "value": NUMBER,
    "query": TEXT,
    "scene": TEXT,
    "channel": TEXT,  # a scene, where there is no column of that name
}
ITEM_COLUMNS = {"item_id": ID, "title": TEXT, "brand": TEXT, "categories": LIST, "description": TEXT}
LONG_USER_COLUMNS = {"user_id": ID, "attribute": TEXT, "value": ATTRIBUTE}
ROWS_A_BATCH = 2**18
SEPARATOR = pa.scalar("\t", pa.large_string())
STRINGS = pa.list_(pa.large_string())
LARGEST_WHOLE_FLOAT = 2**53  # beyond it not every whole number is a float


class PlatformParquet(Adapter):
    """Parquet files or folders of parts in the platform's columns, or in a team's own by `--columns`."""

    name = "platform-parquet"
    description = f"Parquet with the columns {', '.join(NEEDED_COLUMNS)}, items and users in files of that name"

    def __init__(self, mapping: ColumnMapping = NO_MAPPING):
        self.mapping = mapping

    def recognise(self, source: Path) -> Layout | None:
        """A Parquet file, the parts of `interactions`, or unnamed parts, if all of them have the columns of a log."""
        is_file = source.is_file()
        root = source.parent if is_file else source
        interactions = (source,) if is_file else _parts(source, "interactions") or _unnamed_parts(source)
        if not interactions or not all(self._is_log(root, path) for path in interactions):
            return None
        return Layout(root, interactions, _parts(root, "items"), _parts(root, "users"))

    def _is_log(self, root: Path, path: Path) -> bool:
        names = [*_columns_of(path), *partition_values(root, path)]
        return set(NEEDED_COLUMNS) <= set(self.mapping.resolve(names, NEEDED_COLUMNS))

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the log, columns from Hive partition names included; `channel` stands in for a missing `scene`."""
        for path in layout.interactions:
            names = [*_columns_of(path), *partition_values(layout.root, path)]
            own = self.mapping.resolve(names, INTERACTION_COLUMNS)
            if "scene" in own:
                own.pop("channel", None)
            for rows, fields in _read(path, layout.root, INTERACTION_COLUMNS, NEEDED_COLUMNS, own):
                refusals, columns = _accepted(rows, fields)
                columns["timestamp"] = seconds(columns["timestamp"])
                columns["behavior"] = behavior_column(path, self.mapping, columns)
                columns["scene"] = columns.get("scene", columns.get("channel"))
                yield row_batch(_name(layout, path), refusals, columns, UNCHECKED_INTERACTIONS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the items; texts that are missing are empty."""
        for path in layout.items:
            own = self.mapping.resolve(_columns_of(path), ITEM_COLUMNS)
            for rows, fields in _read(path, layout.root, ITEM_COLUMNS, NEEDED_OF_ITEMS, own):
                refusals, columns = _accepted(rows, fields)
                count = len(columns["item_id"])
                for name in ("title", "brand", "description"):
                    columns[name] = pc.fill_null(columns.get(name, pa.nulls(count, pa.large_string())), "")
                columns.setdefault("categories", pa.array([[]] * count, pa.list_(pa.string())))
                yield row_batch(_name(layout, path), refusals, columns, UNCHECKED_ITEMS)

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the profiles, wide (a column for each attribute) or long (the columns `attribute` and `value`)."""
        for path in layout.users:
            names = _columns_of(path)
            user = self.mapping.resolve(names, NEEDED_OF_USERS)
            expected = _user_columns(names, user.get("user_id"))
            own = {name: name for name in names} | user
            for rows, fields in _read(path, layout.root, expected, NEEDED_OF_USERS, own):
                refusals, columns = _accepted(rows, fields)
                users = columns.pop("user_id")
                if set(columns) == {"attribute", "value"}:
                    pairs = attributes_by_name(columns["attribute"], columns["value"])
                else:
                    pairs = attributes(columns, len(users))
                profiles = {"user_id": users, "attributes": pairs}
                yield row_batch(_name(layout, path), refusals, profiles, UNCHECKED_USERS)


def _name(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _parts(folder: Path, table: str) -> tuple[Path, ...]:
    """The files of a table: one file, or the parts in a folder; none where there is neither."""
    file, parts = folder / f"{table}.parquet", folder / table
    if file.is_file():
        return () if parquet_parts(parts) else (file,)  # there are two of this table
    return parquet_parts(file) or parquet_parts(parts)


def _unnamed_parts(folder: Path) -> tuple[Path, ...]:
    """The files of a folder that is itself a table: one file, or parts as Spark and Hive name them."""
    parts = parquet_parts(folder)
    are_parts = all(re.match(r"part-|[0-9]+_[0-9]+", path.name) or partition_values(folder, path) for path in parts)
    return parts if len(parts) == 1 or are_parts else ()


def _columns_of(path: Path) -> list[str]:
    """Empty where the file is missing, unreadable or not Parquet: it never raises."""
    try:
        return pq.read_schema(path).names if path.is_file() else []  # reading a pipe would wait for its writer
    except (OSError, ValueError, MemoryError):  # pa.ArrowException is one of these
        return []


def _user_columns(names: list[str], user_id: str | None) -> dict[str, str]:
    if {"attribute", "value"} <= set(names):
        return LONG_USER_COLUMNS
    return {name: ATTRIBUTE for name in names if name != user_id} | {"user_id": ID}


def _accepted(rows: SourceRows, fields: dict[str, pa.Array]) -> tuple[Refusals, dict[str, pa.Array]]:
    """Which rows are refused, and the columns of the others."""
    refusals = Refusals(rows)
    kept = pa.array(refusals.accepted)
    return refusals, {name: column.take(kept) for name, column in fields.items()}


def _read(
    path: Path, root: Path, expected: dict[str, str], needed: tuple[str, ...], own: dict[str, str]
) -> Iterator[tuple[SourceRows, dict[str, pa.Array]]]:
    """Read a file in batches of rows: what each row says, and the columns, ids and other texts as large_string.

    Args:
        path: the file.
        root: of the layout; partitions are named between it and the file.
        expected: what the columns to read may hold, by the platform's names; others are passed over.
        needed: those of them that must be there.
        own: what the file or its partitions call the columns that are there.
    """
    if not path.is_file():
        kind = "is a folder, expected a file" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {kind}")
    try:
        before = path.stat()
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            missing = [name for name in needed if name not in own]
            if missing:
                lacking = " and no column ".join(missing)
                raise InputError(f"{path}: has no column {lacking}; it has {', '.join(names)}")
            wanted = {name: kind for name, kind in expected.items() if name in own}
            for name in wanted:
                if names.count(own[name]) > 1:
                    raise InputError(f"{path}: has the column {own[name]} twice")
            of_partition = {name: value for name, value in partition_values(root, path).items() if name not in names}
            in_file = [own[name] for name in wanted if own[name] in names]
            row = 1
            for batch in file.iter_batches(ROWS_A_BATCH, columns=in_file):
                columns = {
                    name: batch.column(own[name])
                    if own[name] in names
                    else pa.repeat(pa.scalar(of_partition[own[name]], pa.large_string()), len(batch))
                    for name in wanted
                }
                yield _rows(path, row, columns, len(batch), wanted)
                row += len(batch)
        after = path.stat()
    except (OSError, ValueError, pa.ArrowException, MemoryError) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from error
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
        raise ConflictError(f"{path}: the file changed while it was read")


def _rows(
    path: Path, first_line: int, columns: dict[str, pa.Array], length: int, expected: dict[str, str]
) -> tuple[SourceRows, dict[str, pa.Array]]:
    damaged = np.zeros(length, dtype=bool)
    fields = {}
    texts = []
    for name, kind in expected.items():
        column = columns[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_null(column.type) and kind in (TEXT, ATTRIBUTE, LIST):
            column = column.cast(pa.large_string())
        if kind == ID and pa.types.is_floating(column.type):
            column = _whole_numbers(path, name, column)
        if not _is_expected(kind, column.type):
            raise InputError(f"{path}: column {name} is of the type {column.type}, expected {kind}")
        if kind == LIST and _is_text(column.type):
            values, bad = _texts(column)
            fields[name] = pa.array([category_list(text or "") for text in values.to_pylist()], STRINGS)
            texts.append(values)
        elif kind == LIST:
            fields[name], bad = _lists(column)
            texts.append(pc.binary_join(fields[name], pa.scalar(", ", pa.large_string())))
        elif _is_text(column.type):
            fields[name], bad = _texts(column)
            texts.append(fields[name])
        else:
            bad = np.zeros(length, dtype=bool)
            if kind == ATTRIBUTE and pa.types.is_floating(column.type):
                column = pc.if_else(pc.is_nan(column), None, column)  # how pandas writes that there is none
            texts.append(column.cast(pa.large_string()))
            fields[name] = texts[-1] if kind in (ID, ATTRIBUTE) else column
            if kind == NUMBER:
                fields[name] = column.cast(pa.float64(), safe=False)  # the nearest float of a large integer will do
        if kind == ID:
            bad |= _holds_control_characters(texts[-1])
        damaged |= bad
    lines = pc.binary_join_element_wise(*texts, SEPARATOR, null_handling="replace")
    too_long = pc.greater(pc.binary_length(lines), LONGEST_ROW).to_numpy(zero_copy_only=False)
    return SourceRows(path, "utf-8", first_line, lines, damaged, too_long, first_line == 1), fields


def _whole_numbers(path: Path, name: str, column: pa.Array) -> pa.Array:
    """Ids that pandas made floats because some are missing, as whole numbers; others stay what they are."""
    numbers = pc.if_else(pc.is_nan(column), None, column).cast(pa.float64())
    largest = pc.max(pc.abs(numbers)).as_py() or 0.0
    if not pc.all(pc.equal(numbers, pc.floor(numbers)), min_count=0).as_py() or math.isinf(largest):
        return column
    if largest > LARGEST_WHOLE_FLOAT:
        raise InputError(f"{path}: column {name} holds ids as floats of more than 15 digits, which have lost some")
    return numbers.cast(pa.int64())


def _is_text(kind: pa.DataType) -> bool:
    is_one_of = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    )
    return any(is_kind(kind) for is_kind in is_one_of)


def _is_expected(expected: str, kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if expected == ID:
        return _is_text(kind) or pa.types.is_integer(kind)
    if expected in (TIME, ATTRIBUTE):
        is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        return is_number or _is_text(kind) or is_time or (expected == ATTRIBUTE and pa.types.is_boolean(kind))
    if expected == NUMBER:
        return is_number or pa.types.is_null(kind)
    if expected == LIST:
        return _is_text(kind) or (_is_list(kind) and (_is_text(kind.value_type) or pa.types.is_null(kind.value_type)))
    return _is_text(kind)


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _texts(column: pa.Array) -> tuple[pa.LargeStringArray, np.ndarray]:
    """A column as text, what is not UTF-8 escaped, and bool[rows], True where it is not."""
    content = column.cast(pa.large_binary())
    try:
        return content.cast(pa.large_string()), np.zeros(len(column), dtype=bool)
    except pa.ArrowInvalid:
        values = content.to_pylist()
        texts = [None if value is None else value.decode(errors="backslashreplace") for value in values]
        bad = [text is not None and text.encode() != value for text, value in zip(texts, values, strict=True)]
        return pa.array(texts, pa.large_string()), np.array(bad, dtype=bool)


def _lists(column: pa.ListArray) -> tuple[pa.ListArray, np.ndarray]:
    """As `_texts` for a column of lists, without their nulls; a null list is empty."""
    values = column.cast(pa.list_(pa.large_binary())).to_pylist()
    kept = [[value for value in row or [] if value is not None] for row in values]
    texts = [[value.decode(errors="backslashreplace") for value in row] for row in kept]
    bad = [[text.encode() for text in row] != original for row, original in zip(texts, kept, strict=True)]
    return pa.array(texts, STRINGS), np.array(bad, dtype=bool)


def _holds_control_characters(column: pa.LargeStringArray) -> np.ndarray:
    """bool[rows]: the rows that would be no text in a file of lines."""
    content = column.buffers()[2]
    if content is None or not (np.frombuffer(content, np.uint8) < ord(" ")).any():
        return np.zeros(len(column), dtype=bool)
    has_control = pc.match_substring_regex(column, r"[\x00-\x08\x0a-\x1f\x7f]")
    return pc.fill_null(has_control, False).to_numpy(zero_copy_only=False)
