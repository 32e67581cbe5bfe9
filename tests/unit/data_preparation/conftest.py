import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from components.data_preparation.validation import RAW_INTERACTIONS

Row = tuple[str, str, int]  # user, item, timestamp


@pytest.fixture
def raw_interactions() -> Callable[[list[Row]], pa.Table]:
    """Make `RAW_INTERACTIONS` of (user, item, timestamp), one line each."""

    def make(rows: list[Row]) -> pa.Table:
        return pa.Table.from_pylist(
            [
                {"user_id": user, "item_id": item, "timestamp": time, "behavior": "click", "sequence": line}
                for line, (user, item, time) in enumerate(rows, start=1)
            ],
            schema=RAW_INTERACTIONS,
        )

    return make


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Folder of a public data set; skips the test, with the reason, where it is not at hand."""

    def find(dataset: str) -> Path:
        beside = Path(__file__).parents[3].parent / "shared" / "data"
        root = Path(os.environ.get("RELAND_DATA_DIR") or beside)
        if not (root / dataset).is_dir():
            pytest.skip(f"real data: no folder {dataset} in RELAND_DATA_DIR or ../shared/data")
        return root / dataset

    return find
