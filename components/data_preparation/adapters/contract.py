"""The contract of an adapter: one format of interaction logs, recognised by its content and read in blocks.

An adapter turns the rows of its files into the platform's columns and refuses what only the format can refuse (too few
fields, broken JSON). What a row must hold to be accepted is decided by `validation`, what is a duplicate by
`preparation`. To add a format: one module here, one line in `registry`, one entry in the contract suite.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.tables import ITEMS, REJECTED, USERS, interactions_schema
from components.data_preparation.source_files import Refusals
from components.foundation.errors import InputError

# Where a row stands in its file (counted from 1) and what it says there, cut to `source_files.LONGEST_RAW`.
SOURCE = [pa.field("source_line", pa.int64()), pa.field("raw", pa.large_string())]

# Rows before they are validated: every column may be null. `timestamp` is in seconds, null where it is unreadable;
# `value` is NaN where it is unreadable and null where there is none.
UNCHECKED_INTERACTIONS = pa.schema(
    [field.with_nullable(True) for field in interactions_schema([]) if field.name != "sequence"] + SOURCE
)
UNCHECKED_ITEMS = pa.schema([field.with_nullable(True) for field in ITEMS] + SOURCE)

# What one row of a file says of a user: pairs (attribute, value), those that it leaves empty left out. A row of a wide
# table has many pairs, a row of `contracts.tables.USERS` one.
ATTRIBUTES = pa.list_(
    pa.struct([USERS.field("attribute").with_nullable(True), USERS.field("value").with_nullable(True)])
)
UNCHECKED_USERS = pa.schema([pa.field("user_id", pa.string()), pa.field("attributes", ATTRIBUTES), *SOURCE])


@dataclass(frozen=True)
class Layout:
    """Which files of a source hold what. Files are read in the order given; it is the order that breaks ties.

    Attributes:
        root: the folder that file names are relative to; the folder of the file where the source is one file.
        interactions: at least one.
        items: none where the format describes no items, or does so along the way (`RowBatch.described_items`).
        users: none where the format knows no profiles, or they are not there.
    """

    root: Path
    interactions: tuple[Path, ...]
    items: tuple[Path, ...] = ()
    users: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RowBatch:
    """Some consecutive rows of one file.

    Attributes:
        file: its name inside the layout's root.
        table: readable rows in their order, `UNCHECKED_INTERACTIONS`, `UNCHECKED_ITEMS` or `UNCHECKED_USERS`.
        refused: rows that the format cannot read, `contracts.tables.REJECTED`.
        rows_read: rows of both together.
        described_items: items that interactions describe along the way (Taobao's category), `UNCHECKED_ITEMS`. They
            are no rows of their own: they are not counted, and a repeated or nameless one is passed over in silence.
    """

    file: str
    table: pa.Table
    refused: pa.Table
    rows_read: int
    described_items: pa.Table | None = None

    def __post_init__(self) -> None:
        if self.rows_read != len(self.table) + len(self.refused):
            raise ValueError(f"{self.file}: {self.rows_read} rows read, {len(self.table)} + {len(self.refused)} kept")
        if not self.refused.schema.equals(REJECTED):
            raise ValueError(f"{self.file}: refused rows are {self.refused.schema}")


@dataclass(frozen=True)
class Source:
    """The rows of one data set, whatever they come from; the iterators are read once, interactions first.

    Attributes:
        name: of the data set, for reports.
        format: name of the adapter that reads it.
        root: folder that the files' names are relative to, None where there are no files.
        interactions: of at least one file, file by file in the order that breaks ties.
        items: likewise, of any number of files.
        users: likewise, of any number of files; read last.
        not_read: names of files and folders beside those, hidden ones left out.
    """

    name: str
    format: str
    root: Path | None
    interactions: Iterator[RowBatch]
    items: Iterator[RowBatch]
    users: Iterable[RowBatch] = ()
    not_read: tuple[str, ...] = ()

    def location(self, file: str) -> Path | str:
        """What to call a file in messages."""
        return file if self.root is None else self.root / file


class Adapter(ABC):
    """One format.

    Attributes:
        name: of the format, as reports and errors name it ("movielens-1m").
        description: what `recognise` looks for, as part of a sentence ("ratings.dat with user::movie::stars::seconds").
    """

    name: str
    description: str

    @abstractmethod
    def recognise(self, source: Path) -> Layout | None:
        """The layout of `source`, a file or a folder, if its names and its first lines are of this format, else None.

        Cheap, whatever the size of the files; never raises for strange content (see `source_files.peek`).
        """

    @abstractmethod
    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the interactions, file by file, in blocks; raises InputError where a file is at fault as a whole."""

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the items, likewise; none by default."""
        return iter(())

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the profiles of users, likewise; none by default."""
        return iter(())

    def expect(self, source: Path) -> Layout:
        """The layout of a source that is expected to be of this format.

        Overridden where the names of the files are fixed: then the message names the file that is damaged.

        Raises:
            InputError: it is not.
        """
        layout = self.recognise(source)
        if layout is None:
            raise InputError(f"{source}: is not {self.name} (expected {self.description})")
        return layout


def row_batch(
    file: str,
    refusals: Refusals,
    columns: dict[str, pa.Array | pa.ChunkedArray | list],
    schema: pa.Schema,
    described_items: pa.Table | None = None,
) -> RowBatch:
    """Make a batch of a block's rows.

    Args:
        file: name inside the layout's root.
        refusals: of the block.
        columns: by name, one value for each of `refusals.accepted`, in order; a column of `schema` that is not named
            is null throughout. `source_line` and `raw` are added here.
        schema: `UNCHECKED_INTERACTIONS`, `UNCHECKED_ITEMS` or `UNCHECKED_USERS`.
        described_items: see `RowBatch`.
    """
    accepted = refusals.accepted
    given: dict[str, pa.Array | pa.ChunkedArray | list] = {
        **columns,
        **{name: identifiers(columns[name]) for name in ("user_id", "item_id") if name in columns},
        "source_line": pa.array(accepted + refusals.rows.first_line, pa.int64()),
        "raw": refusals.rows.raw.take(pa.array(accepted)) if len(accepted) < len(refusals.rows) else refusals.rows.raw,
    }
    arrays = [_column(given.get(field.name), field.type, len(accepted)) for field in schema]
    table = pa.table(arrays, schema=schema)
    return RowBatch(file, table, refusals.table(file), len(refusals.rows), described_items)


def identifiers(column: pa.Array | pa.ChunkedArray | list) -> pa.Array | pa.ChunkedArray:
    """Ids without what differs between files in form alone, so that a log and its metadata name an item alike.

    That is white space around an id, double quotes around it, and the ".0" that pandas writes after whole numbers
    beside empty fields. Leading zeros are kept: 007 and 7 may be two items.
    """
    if isinstance(column, list):
        column = pa.array(column, pa.large_string())
    column = pc.utf8_trim_whitespace(column)
    if pc.any(pc.starts_with(column, '"')).as_py():
        column = pc.utf8_trim_whitespace(pc.replace_substring_regex(column, r'^"(.*)"$', r"\1"))
    if pc.any(pc.ends_with(column, ".0")).as_py():
        column = pc.replace_substring_regex(column, r"^([0-9]+)\.0$", r"\1")
    return column


def _column(values: pa.Array | pa.ChunkedArray | list | None, kind: pa.DataType, length: int) -> pa.ChunkedArray:
    if values is None:
        return pa.nulls(length, kind)
    if isinstance(values, list | np.ndarray):
        return pa.array(values, kind)
    return values if values.type == kind else values.cast(kind)
