"""Between reading and preparing: every row of a source in Parquet parts on disk, validated, numbered and counted.

Rows pass through memory a block at a time; what needs all of them (duplicates, filtering, order) is the engine's.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandera.polars as pandera
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contracts.tables import ITEMS, REJECTED
from components.data_preparation.adapters.contract import SOURCE, UNCHECKED_USERS, RowBatch, Source
from components.data_preparation.validation import (
    INTERACTION_SCHEMA,
    ITEM_SCHEMA,
    RAW_INTERACTIONS,
    REPEATS,
    USER_SCHEMA,
    validate,
)
from components.foundation.files import replacing_file

# Where a row is from: `file_order` counts the files in the order they are read.
ORIGIN = [pa.field("file_order", pa.int64()), *SOURCE]
STAGED_INTERACTIONS = pa.schema([*RAW_INTERACTIONS, *ORIGIN])
# `described`: an item that interactions describe along the way, see `RowBatch.described_items`. `position` counts all.
STAGED_ITEMS = pa.schema([*ITEMS, *ORIGIN, pa.field("described", pa.bool_()), pa.field("position", pa.int64())])
# A row of the file each, so that rows are what is counted; `profiles` tells the attributes apart.
STAGED_USERS = pa.schema([*UNCHECKED_USERS, pa.field("file_order", pa.int64())])
STAGED_REJECTED = pa.schema([*REJECTED, pa.field("file_order", pa.int64())])

FIRST_ORDER = {"interactions": 0, "items": 2**32, "users": 2**33}  # of the files of each kind

PART_ROW_GROUP = 2**17
ROW_GROUP = 2**20


@dataclass
class FileAccount:
    """What became of the rows of one file: `read` of them, and of those `rejected` for each reason.

    `order` is the place of the file among all: those with interactions come first, then items, then users. `is_new`
    where it is read in this run.
    """

    order: int
    kind: str
    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    is_new: bool = True

    @property
    def accepted(self) -> int:
        """Rows that were read and not rejected."""
        return self.read - self.rejected.total()

    @property
    def repeated(self) -> int:
        """Of the rejected rows those that repeat an earlier one."""
        return sum(self.rejected[reason] for reason in REPEATS)

    def has_too_many_faults(self, max_rejected: float) -> bool:
        """Whether the share of rejected rows, without those that repeat an earlier one, is above `max_rejected`."""
        return self.rejected.total() - self.repeated > max_rejected * self.read


class _Parts:
    """A table as numbered Parquet files in a folder of its own."""

    def __init__(self, folder: Path, schema: pa.Schema):
        self.folder = folder
        self.schema = schema
        self._count = 0
        folder.mkdir()

    def write(self, table: pa.Table) -> None:
        texts = [field.name for field in self.schema if field.type == pa.string()]
        path = self.folder / f"part-{self._count:05d}.parquet"
        rows = table.select(self.schema.names).cast(self.schema)
        pq.write_table(rows, path, row_group_size=PART_ROW_GROUP, use_dictionary=texts)
        self._count += 1


@dataclass
class Progress:
    """What staging goes on from, and the state it leaves: see `previous`.

    Attributes:
        accounts: of the files by their name.
        rows: lines of all files with interactions; `sequence` counts on from there.
        items: accepted rows that describe items; `position` counts on from there.
    """

    accounts: dict[str, FileAccount] = field(default_factory=dict)
    rows: int = 0
    items: int = 0


class Staging:
    """The staged rows of a source: four folders of Parquet parts, and the account of each file.

    Attributes:
        progress: what was read before, and this.
        interactions: folder of the parts with accepted interactions, `STAGED_INTERACTIONS`; duplicates are still in.
        items: folder of the parts with accepted items, `STAGED_ITEMS`; an item may be there more than once.
        users: folder of the parts with accepted profiles, `STAGED_USERS`; a user may be there more than once.
        rejected: folder of the parts with rejected rows, `STAGED_REJECTED`.
    """

    def __init__(self, folder: Path, progress: Progress | None = None):
        self.progress = progress or Progress()
        self._names: dict[str, str] = {}  # that the files of this source go by
        self._interactions = _Parts(folder / "interactions", STAGED_INTERACTIONS)
        self._items = _Parts(folder / "items", STAGED_ITEMS)
        self._users = _Parts(folder / "users", STAGED_USERS)
        self._rejected = _Parts(folder / "rejected", STAGED_REJECTED)
        self.interactions = self._interactions.folder
        self.items = self._items.folder
        self.users = self._users.folder
        self.rejected = self._rejected.folder
        self._writer = ThreadPoolExecutor(max_workers=1)  # a block is written while the next is read
        self._writing: Future[None] | None = None

    def read(self, source: Source) -> None:
        """Stage all rows of `source`, its interactions first; raises InputError where a file is at fault."""
        with self._writer:
            self._read_interactions(source.interactions)
            for batch in source.items:
                accepted, account = self._validated(batch, "items", ITEM_SCHEMA)
                self._write_items(accepted, account, described=False)
            for batch in source.users:
                accepted, account = self._validated(batch, "users", USER_SCHEMA)
                self._write(self._users, _of_file(accepted, account))
            for parts in (self._interactions, self._items, self._users, self._rejected):
                self._write(parts, parts.schema.empty_table())  # a table without a row has a part too
            self._wait()

    def _read_interactions(self, batches: Iterable[RowBatch]) -> None:
        rows_before = self.progress.rows  # before this file; `progress` counts up to the end of the last batch
        file = None
        for batch in batches:
            if batch.file != file:
                file, rows_before = batch.file, self.progress.rows
            accepted, account = self._validated(batch, "interactions", INTERACTION_SCHEMA)
            sequence = pc.add(accepted["source_line"], rows_before)
            self._write(self._interactions, _of_file(accepted, account).append_column("sequence", sequence))
            self.progress.rows = max(self.progress.rows, rows_before + _last_line(batch))
            if batch.described_items is not None:
                rows = RowBatch(batch.file, batch.described_items, REJECTED.empty_table(), len(batch.described_items))
                self._write_items(validate(rows, ITEM_SCHEMA)[0], account, described=True)

    def _validated(self, batch: RowBatch, kind: str, schema: pandera.DataFrameSchema) -> tuple[pa.Table, FileAccount]:
        name, account = self._account(batch.file, kind)
        accepted, failed = validate(batch, schema)
        account.read += batch.rows_read
        rejected = pa.concat_tables([batch.refused, failed])
        if len(rejected):
            account.rejected.update(rejected["reason"].to_pylist())
            if name != batch.file:
                column = rejected.schema.get_field_index("file")
                rejected = rejected.set_column(column, "file", pa.repeat(pa.scalar(name), len(rejected)))
            self._write(self._rejected, _of_file(rejected, account))
        return accepted, account

    def _account(self, file: str, kind: str) -> tuple[str, FileAccount]:
        """The account of a file, and the name it goes by: its own, with a number where one was read before."""
        if file not in self._names:
            accounts = self.progress.accounts
            names = (file if number == 1 else f"{file} ({number})" for number in itertools.count(1))
            self._names[file] = next(name for name in names if name not in accounts)
            accounts[self._names[file]] = FileAccount(FIRST_ORDER[kind] + len(accounts), kind)
        return self._names[file], self.progress.accounts[self._names[file]]

    def _write_items(self, rows: pa.Table, account: FileAccount, described: bool) -> None:
        position = np.arange(self.progress.items, self.progress.items + len(rows))
        self.progress.items += len(rows)
        rows = _of_file(rows, account).append_column("position", pa.array(position))
        self._write(self._items, rows.append_column("described", pa.repeat(pa.scalar(described), len(rows))))

    def _write(self, parts: _Parts, rows: pa.Table) -> None:
        self._wait()  # no more than one block is held for writing
        self._writing = self._writer.submit(parts.write, rows)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()


def write_batches(batches: Iterable[pa.RecordBatch], path: Path, schema: pa.Schema) -> int:
    """Write a stream of rows to one Parquet file, all of it or nothing, in row groups that depend on the rows alone.

    Returns:
        How many rows there were.

    Raises:
        ValueError: a row does not hold `schema` (a programming error).
    """
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    count = 0
    with (
        replacing_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=texts) as writer,
        ThreadPoolExecutor(max_workers=1) as thread,  # rows are written while the engine makes the next
    ):
        writing: Future[None] | None = None
        for rows in _of_equal_length(batches, ROW_GROUP):
            if writing is not None:
                writing.result()  # no more than one row group is held for writing
            # Chunks, in which the engine hands rows over, would show in the bytes.
            rows = rows.select(schema.names).cast(schema).combine_chunks()
            writing = thread.submit(writer.write_table, rows, ROW_GROUP)
            count += len(rows)
        if writing is not None:
            writing.result()
    return count


def _of_equal_length(batches: Iterable[pa.RecordBatch], length: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += len(batch)
        while count >= length:
            table = pa.Table.from_batches(held)
            yield table.slice(0, length)
            held = table.slice(length).to_batches()
            count -= length
    if count:
        yield pa.Table.from_batches(held)


def _last_line(batch: RowBatch) -> int:
    return max(pc.max(table["source_line"]).as_py() or 0 for table in (batch.table, batch.refused))


def _of_file(rows: pa.Table, account: FileAccount) -> pa.Table:
    return rows.append_column("file_order", pa.repeat(pa.scalar(account.order, pa.int64()), len(rows)))
