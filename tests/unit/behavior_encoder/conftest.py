from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, write_table


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are not worth a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def write_prepared(tmp_path: Path) -> Callable[[str, dict[str, list[str]]], Path]:
    """Write a prepared-data folder of a given name: each user's items in the order of time, of the items i00 to i19."""

    def write(name: str, items_of: dict[str, list[str]]) -> Path:
        rows = []
        for user, items in items_of.items():
            splits = ["train"] * (len(items) - 2) + ["valid", "test"]
            for time, (item, split) in enumerate(zip(items, splits, strict=True)):
                row = {"user_id": user, "item_id": item, "timestamp": time, "behavior": "click", "sequence": len(rows)}
                rows.append({**row, "split_leave_one_out": split})
        catalogue = [
            {"item_id": f"i{k:02d}", "title": "", "brand": "", "categories": [], "description": ""} for k in range(20)
        ]
        folder = tmp_path / name
        write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)
        write_table(pa.Table.from_pylist(catalogue, schema=ITEMS), folder / ITEMS_FILE, ITEMS)
        return folder

    return write


@pytest.fixture
def two_tastes() -> dict[str, list[str]]:
    """30 users; the even ones stay among the items i00 to i09, the odd ones among i10 to i19."""
    return {
        f"u{user:02d}": [f"i{user % 2 * 10 + (user * 3 + step * 7) % 10:02d}" for step in range(8)]
        for user in range(30)
    }
