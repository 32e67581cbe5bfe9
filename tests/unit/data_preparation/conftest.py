from collections.abc import Callable

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
