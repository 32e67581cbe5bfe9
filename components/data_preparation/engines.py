"""The engine that holds the tables while they are prepared; what is computed on it is written in Ibis."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa

ROWS_A_BATCH = 2**17


@contextmanager
def table_engine(temporary: Path) -> Iterator[ibis.BaseBackend]:
    """DuckDB in memory, which goes on in files in the folder `temporary` where memory does not suffice."""
    # Rows have `sequence`, so their order in files need not be kept, which would cost memory.
    connection = ibis.duckdb.connect(temp_directory=str(temporary), preserve_insertion_order=False)
    try:
        yield connection
    finally:
        connection.disconnect()


def stream(connection: ibis.BaseBackend, rows: ir.Table) -> Iterator[pa.RecordBatch]:
    """The rows of an expression, in its order, a batch at a time."""
    # Ibis 12 asks DuckDB 2 for a method that it no longer has in `to_pyarrow_batches`.
    yield from connection.con.sql(connection.compile(rows)).to_arrow_reader(ROWS_A_BATCH)


def drop(connection: ibis.BaseBackend, name: str) -> None:
    """Forget a table; the expressions made of it must not be used again."""
    connection.raw_sql(f"DROP TABLE {name}")  # sqlglot 30 misspells what Ibis 12 has it write
