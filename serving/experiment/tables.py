"""The tables of an experiment in DuckDB, which streams Parquet files, and spills to disk where memory is short."""

import datetime
import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from components.contracts.tables import check_table
from components.foundation.errors import EnvironmentFaultError, InputError, first_line

DEFAULT_MEMORY = "2GiB"


@contextmanager
def experiment_tables(memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, which keeps nothing.

    Raises:
        InputError: `memory` is no amount of memory or, in the block, does not suffice.
        EnvironmentFaultError: in the block, the disk fails or is full.
    """
    with tempfile.TemporaryDirectory(prefix="reland-experiment-") as folder:
        try:
            connection = duckdb.connect(
                config={"memory_limit": memory, "temp_directory": folder, "preserve_insertion_order": False}
            )
        except duckdb.Error as error:
            raise InputError(f"memory {memory!r}: expected an amount as 2GiB ({first_line(error)})") from error
        try:
            connection.execute("SET enable_progress_bar = false")  # it is printed amid what a script reads
            yield connection
        except duckdb.OutOfMemoryException as error:
            raise InputError(f"memory {memory}: too little for this ({first_line(error)})") from error
        except duckdb.IOException as error:
            raise EnvironmentFaultError(f"{folder}: not written or read ({first_line(error)})") from error
        finally:
            connection.close()


def view(tables: duckdb.DuckDBPyConnection, name: str, content: pa.Table | Path, schema: pa.Schema) -> None:
    """Make the view `name` of a table, of a Parquet file or of all those in a folder; no row where it has none.

    Raises:
        InputError: a file or the table does not hold `schema`.
    """
    if isinstance(content, pa.Table):
        _check(name, content, schema)
        tables.register(name, content)
        return
    paths = sorted(content.glob("*.parquet")) if content.is_dir() else [content]
    for path in paths:
        check_table(path, schema)
    if not paths:
        tables.register(name, schema.empty_table())
        return
    # DuckDB takes a path for a pattern, and "day=1" in it for a column.
    patterns = [glob.escape(str(path)) for path in paths]
    tables.read_parquet(patterns, hive_partitioning=False).create_view(name)


def last_moment(exposures: Path) -> datetime.datetime:
    """When the last list of a log was served.

    Raises:
        InputError: the log has none.
    """
    paths = [str(path) for path in sorted(exposures.glob("*.parquet"))]
    last = duckdb.read_parquet(paths).aggregate("epoch_us(max(time))").fetchall()[0][0] if paths else None
    if last is None:
        raise InputError(f"{exposures}: no list was served yet, expected the gateway's log")
    return datetime.datetime.fromtimestamp(last / 1e6, datetime.UTC)


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def _check(name: str, table: pa.Table, schema: pa.Schema) -> None:
    for field in schema:
        position = table.schema.get_field_index(field.name)
        if position < 0:
            raise InputError(f"table {name}: has no column {field.name}, expected {schema.names}")
        held = table.column(position)
        if held.type != field.type:
            raise InputError(f"table {name}: column {field.name} is {held.type}, expected {field.type}")
        if held.null_count and not field.nullable:
            raise InputError(f"table {name}: column {field.name} has {held.null_count} null values, expected none")
