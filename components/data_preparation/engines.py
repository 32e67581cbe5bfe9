"""The engine that holds the tables while they are prepared; what is computed on it is written in Ibis.

Either engine is an Ibis connection on which `create_table(..., temp=True)` keeps an expression as a table; `read`,
`stream` and `drop` are what Ibis has no word for, or a wrong one.
"""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from components.foundation.errors import EnvironmentFaultError, InputError

ROWS_A_BATCH = 2**17


@dataclass(frozen=True)
class EngineConfig:
    """Which engine holds the tables, `duckdb` or `spark`, and how much memory DuckDB may use ("": its own default)."""

    name: str = "duckdb"
    memory: str = ""


DEFAULT_ENGINE = EngineConfig()


@contextmanager
def table_engine(temporary: Path, config: EngineConfig = DEFAULT_ENGINE) -> Iterator[ibis.BaseBackend]:
    """DuckDB in memory, which goes on in files in the folder `temporary` where memory does not suffice; or Spark.

    Raises:
        EnvironmentFaultError: the engine is not installed or does not start; in the block, Spark or the disk fails.
        InputError: in the block, the memory that the settings allow DuckDB does not suffice.
    """
    if config.name == "spark":
        try:
            from components.data_preparation.spark_engine import spark_tables
        except ImportError as error:
            raise EnvironmentFaultError(
                f"setting RELAND_TABLE_ENGINE=spark: {error.name} is not installed, the extra `spark` of this project "
                "has it"
            ) from error
        with spark_tables(temporary) as tables:
            yield tables
        return
    # Rows have `sequence`, so their order in files need not be kept, which would cost memory.
    limit = {"memory_limit": config.memory} if config.memory else {}
    connection = ibis.duckdb.connect(temp_directory=str(temporary), preserve_insertion_order=False, **limit)
    try:
        yield connection
    except duckdb.OutOfMemoryException as error:
        first_line = str(error).splitlines()[0]
        memory = config.memory or "(its default)"
        raise InputError(f"setting RELAND_TABLE_MEMORY={memory}: too little for this ({first_line})") from error
    except duckdb.IOException as error:
        raise EnvironmentFaultError(f"{temporary}: not written or read ({str(error).splitlines()[0]})") from error
    finally:
        connection.disconnect()


def read(connection: ibis.BaseBackend, path: Path, name: str) -> ir.Table:
    """The table `name` of a Parquet file, or of all those in a folder; no part of the path is a pattern."""
    if connection.name == "pyspark":
        return connection.read_parquet(path, table_name=name)
    # DuckDB takes a path for a pattern, and "day=1" in it for a column.
    pattern = glob.escape(str(path)) + ("/*.parquet" if path.is_dir() else "")
    return connection.read_parquet(pattern, table_name=name, hive_partitioning=False)


def stream(connection: ibis.BaseBackend, rows: ir.Table) -> Iterator[pa.RecordBatch]:
    """The rows of an expression, in its order, a batch at a time."""
    if connection.name == "pyspark":
        yield from connection.stream(rows, ROWS_A_BATCH)
    else:  # Ibis 12 asks DuckDB 2 for a method that it no longer has in `to_pyarrow_batches`
        yield from connection.con.sql(connection.compile(rows)).to_arrow_reader(ROWS_A_BATCH)


def drop(connection: ibis.BaseBackend, name: str) -> None:
    """Forget a table; the expressions made of it must not be used again."""
    if connection.name == "pyspark":
        connection.forget(name)
    else:  # sqlglot 30 misspells what Ibis 12 has it write
        connection.raw_sql(f"DROP TABLE {name}")
