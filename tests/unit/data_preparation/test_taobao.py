from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from components.contracts.tables import ITEMS
from components.data_preparation.adapters.registry import detect
from components.data_preparation.validation import INTERACTION_SCHEMA, validate


def test_the_sample(real_data: Callable[[str], Path]) -> None:
    adapter, layout = detect(real_data("taobao-sample"))
    assert adapter.name == "taobao"
    batches = list(adapter.interactions(layout))
    found = [validate(batch, INTERACTION_SCHEMA) for batch in batches]
    accepted = pa.concat_tables([good for good, _ in found])
    assert sum(batch.rows_read for batch in batches) == 4_321
    assert len(accepted) + sum(len(bad) for _, bad in found) == 4_321
    assert len(accepted["user_id"].unique()) == 43
    assert set(accepted["behavior"].to_pylist()) == {"click", "cart", "favourite", "purchase"}
    items = pa.concat_tables([batch.described_items for batch in batches if batch.described_items]).select(ITEMS.names)
    assert set(items["item_id"].to_pylist()) >= set(accepted["item_id"].to_pylist())
    assert all(len(row) == 1 and row[0].startswith("category ") for row in items["categories"].to_pylist())
