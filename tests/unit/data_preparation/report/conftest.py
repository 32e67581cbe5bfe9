from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, REJECTED_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, REJECTED

Row = dict[str, Any]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Path]:
    """Write a prepared folder from rows as dictionaries; columns that a row of interactions leaves out have defaults.

    A row may have further columns (such as `split_time`) if all rows have them.
    """

    def write(interactions: Sequence[Row], items: Sequence[Row] = (), rejected: Sequence[Row] = ()) -> Path:
        rows = [
            {"timestamp": 0, "behavior": "click", "sequence": line, "split_leave_one_out": "train", **row}
            for line, row in enumerate(interactions, start=1)
        ]
        others = [pa.field(name, pa.string()) for name in rows[0] if name not in INTERACTIONS.names] if rows else []
        schema = pa.schema([*INTERACTIONS, *others])
        ids = dict.fromkeys(row["item_id"] for row in rows)
        blank = {"title": "", "brand": "", "categories": [], "description": ""}
        known = {row["item_id"]: row for row in items}
        all_items = [{"item_id": item, **blank, **known.get(item, {})} for item in ids]
        folder = tmp_path / "prepared [1] *"  # DuckDB takes a path for a pattern
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / INTERACTIONS_FILE)
        pq.write_table(pa.Table.from_pylist(all_items, ITEMS), folder / ITEMS_FILE)
        pq.write_table(pa.Table.from_pylist(list(rejected), REJECTED), folder / REJECTED_FILE)
        return folder

    return write
