"""A log of rows as Parquet files that never makes a request wait and never makes one fail.

Rows wait in a bounded queue, from which a thread takes them. A file is written when enough rows or enough time have
come together. While the disk takes none, that is said and counted from the first failure on, up to `capacity` rows are
kept and written later, and further ones are lost, and counted. A process that is killed loses what has not been
written, at most `seconds` of rows.
"""

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.contracts.tables import write_table
from components.foundation.errors import first_line
from components.foundation.files import PRIVATE
from components.foundation.progress import say

Row = dict[str, Any]

# Rows made into Arrow arrays at a time: the work holds the interpreter, and a request must not wait long for it.
CONVERTED = 32


class RowLog:
    """One log, a folder of files of one schema; `append` may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        on_loss: Callable[[int], None],
        on_failure: Callable[[], None] = lambda: None,
        capacity: int = 4_096,
        rows_per_file: int = 20_000,
        seconds: float = 10.0,
    ):
        """`on_loss` gets the number of rows that were lost."""
        self.folder = folder
        self._schema = schema
        self._on_loss = on_loss
        self._on_failure = on_failure
        self._capacity = capacity
        self._rows_per_file = rows_per_file
        self._seconds = seconds
        self._rows: deque[Row] = deque()
        self._tables: list[pa.Table] = []  # converted, not written yet
        self._number = itertools.count()
        self.is_stuck = False  # the disk did not take the last file
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"log-{folder.name}", daemon=True)

    def start(self) -> None:
        """Begin to write rows as files, in the background."""
        self._thread.start()

    def append(self, row: Row) -> bool:
        """Take a row; False where too many wait to be written and the row is lost."""
        unwritten = len(self._rows) + (sum(map(len, self._tables)) if self.is_stuck else 0)
        if unwritten >= self._capacity:
            self._on_loss(1)
            return False
        self._rows.append(row)
        return True

    def close(self) -> None:
        """Write what there is; what the disk does not take now is lost."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        due, refused = time.monotonic() + self._seconds, False
        while not self._closing.wait(0.05):
            self._convert()
            rows = sum(len(table) for table in self._tables)
            if rows and (time.monotonic() >= due or (rows >= self._rows_per_file and not refused)):
                refused = not self._write()
                due = time.monotonic() + self._seconds
            elif not rows:
                due = time.monotonic() + self._seconds
        while self._rows:
            self._convert(limited=False)
        if self._tables and not self._write():
            lost = sum(len(table) for table in self._tables)
            self._on_loss(lost)
            say(f"{self.folder.name}: {lost} rows are lost, the disk does not take them")

    def _convert(self, limited: bool = True) -> None:
        while self._rows and not (limited and sum(len(table) for table in self._tables) >= self._rows_per_file):
            rows = [self._rows.popleft() for _ in range(min(CONVERTED, len(self._rows)))]
            try:
                self._tables.append(pa.Table.from_pylist(rows, self._schema))
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                self._on_loss(len(rows))  # a programming error, but no reason to end the log

    def _write(self) -> bool:
        """Write all rows as one file; False where the disk does not take them."""
        name = f"{time.time_ns() // 1_000:020d}-{os.getpid()}-{next(self._number):06d}.parquet"
        try:
            write_table(pa.concat_tables(self._tables), self.folder / name, self._schema, PRIVATE)
        except (OSError, pa.ArrowException) as error:
            self._on_failure()
            if not self.is_stuck:
                say(f"{self.folder.name}: cannot be written, up to {self._capacity} rows are kept: {first_line(error)}")
            self.is_stuck = True
            return False
        if self.is_stuck:
            say(f"{self.folder.name}: is written again")
        self.is_stuck = False
        self._tables.clear()
        return True
