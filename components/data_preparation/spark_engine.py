"""Spark as the engine of `engines.table_engine`. Importing this module needs the extra `spark` of the project."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.pyspark import Backend
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from components.foundation.errors import EnvironmentFaultError

# Of a Spark on this machine, where its configuration does not say otherwise: nobody else's, and as small as the data.
LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
}
STARVED = ("No space left", "OutOfMemoryError")  # what Java says where disk or memory does not suffice
LOG_CONFIGURATION = "LOG4J_CONFIGURATION_FILE"
ERRORS_ALONE = """rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
"""


class SparkTables(Backend):
    """Ibis on Spark; the tables that are kept are Parquet in a folder, which the executors must see."""

    def __init__(self, session: SparkSession, folder: Path):
        super().__init__(session)
        self._folder = folder

    def create_table(self, name: str, /, obj: ir.Table, *, temp: bool) -> ir.Table:
        """Keep an expression as the table `name`; Ibis has no temporary tables on Spark."""
        if not temp:
            raise NotImplementedError("nothing outlives the preparation but what it streams")
        return self.read_parquet(self._write(name, obj), table_name=name)

    def read_parquet(self, path: str | Path, /, *, table_name: str | None = None, **kwargs: Any) -> ir.Table:
        """A path without a scheme would be looked for in a cluster's own file system; no path is a pattern."""
        escaped = re.sub(r"([][{}*?\\])", r"\\\1", str(path))
        return super().read_parquet(f"file://{escaped}", table_name=table_name, **kwargs)

    def stream(self, rows: ir.Table, batch: int) -> Iterator[pa.RecordBatch]:
        """See `engines.stream`."""
        folder = self._write("streamed", rows)
        for part in sorted(folder.glob("*.parquet")):  # Spark numbers partitions in the order of the rows
            with pq.ParquetFile(part) as file:
                yield from file.iter_batches(batch)
        shutil.rmtree(folder)

    def forget(self, name: str) -> None:
        """See `engines.drop`."""
        self._session.catalog.dropTempView(name)
        shutil.rmtree(self._folder / name)

    def _write(self, name: str, rows: ir.Table) -> Path:
        folder = self._folder / name
        self._session.sql(self.compile(rows)).write.parquet(f"file://{folder}")
        return folder


@contextmanager
def spark_tables(temporary: Path) -> Iterator[SparkTables]:
    """Tables in the active Spark session or, where there is none, in one that ends with the block.

    Such a session is what Spark's own configuration says (`spark-defaults.conf`, `PYSPARK_SUBMIT_ARGS`); where that
    names no master, it has all cores of this machine.

    Raises:
        EnvironmentFaultError: Spark does not start; in the block, its memory or disk does not suffice.
    """
    active = session = SparkSession.getActiveSession()
    try:
        session = session or _start(temporary)
        SparkTables.register_options()
        tables = SparkTables(session, temporary / "tables")
        tables.reconnect()
        yield tables
    except (PySparkException, Py4JError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        starved = [line.strip(": ") for line in lines if any(sign in line for sign in STARVED)]
        if session is not None and not starved:
            raise
        raise EnvironmentFaultError(
            f"setting RELAND_TABLE_ENGINE=spark: Spark failed ({[*starved, *lines][0]})"
        ) from error
    finally:
        if active is None and session is not None:
            session.stop()


def _start(temporary: Path) -> SparkSession:
    with _logging_errors_alone(temporary):
        SparkContext._ensure_initialized()  # starts Java, which reads Spark's configuration
    configuration = SparkConf()
    if str(configuration.get("spark.master", "local")).startswith("local"):
        for name, value in {**LOCAL, "spark.local.dir": str(temporary)}.items():
            configuration.setIfMissing(name, value)
    configuration.set("spark.ui.showConsoleProgress", "false")
    configuration.set("spark.sql.warehouse.dir", f"file://{temporary / 'warehouse'}")
    session = SparkSession.builder.config(conf=configuration).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextmanager
def _logging_errors_alone(temporary: Path) -> Iterator[None]:
    """Java that starts in the block logs errors alone, unless the environment says what it is to log."""
    if LOG_CONFIGURATION in os.environ:
        yield
        return
    file = temporary / "log4j2.properties"
    file.write_text(ERRORS_ALONE)
    os.environ[LOG_CONFIGURATION] = str(file)
    try:
        yield
    finally:
        del os.environ[LOG_CONFIGURATION]
