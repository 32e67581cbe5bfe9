from collections.abc import Callable, Iterator
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data_preparation.engines import table_engine
from components.data_preparation.validation import RAW_INTERACTIONS

Row = tuple[str, str, int]  # user, item, timestamp


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[ibis.BaseBackend]:
    with table_engine(tmp_path) as connection:
        yield connection


@pytest.fixture
def raw_interactions(connection: ibis.BaseBackend, tmp_path: Path) -> Callable[[list[Row]], ir.Table]:
    """Make a table `RAW_INTERACTIONS` of (user, item, timestamp), one line each."""

    def make(rows: list[Row]) -> ir.Table:
        table = pa.Table.from_pylist(
            [
                {"user_id": user, "item_id": item, "timestamp": time, "behavior": "click", "sequence": line}
                for line, (user, item, time) in enumerate(rows, start=1)
            ],
            schema=RAW_INTERACTIONS,
        )
        pq.write_table(table, tmp_path / "raw.parquet")
        return connection.read_parquet(tmp_path / "raw.parquet")

    return make
