"""Prepared data small enough to be written out in a test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, write_table
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from tests.unit.ranker_artifacts import artifacts  # noqa: F401


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are not worth a second thread, least of all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def write_prepared(tmp_path: Path) -> Callable[..., Path]:
    """Write a prepared-data folder: each user's items in the order of time, and the catalogue they come from."""

    def write(items_of: dict[str, list[str]], catalogue: list[str]) -> Path:
        rows = []
        for user, items in items_of.items():
            splits = ["train"] * (len(items) - 2) + ["valid", "test"]
            for time, (item, split) in enumerate(zip(items, splits, strict=True)):
                row = {"user_id": user, "item_id": item, "timestamp": time, "behavior": "click", "sequence": len(rows)}
                rows.append({**row, "split_leave_one_out": split})
        described = [
            {"item_id": item, "title": "", "brand": "", "categories": [], "description": ""} for item in catalogue
        ]
        folder = tmp_path / "prepared"
        write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)
        write_table(pa.Table.from_pylist(described, schema=ITEMS), folder / ITEMS_FILE, ITEMS)
        return folder

    return write


@pytest.fixture
def cyclic(write_prepared: Callable[..., Path]) -> InteractionSequences:
    """60 users and 60 items; every user goes through the items in one circle: the next item is item + 1."""
    names = [f"i{number:02d}" for number in range(60)]
    items_of = {f"u{user:02d}": [names[(user + step) % 60] for step in range(8 + user % 5)] for user in range(60)}
    return read_sequences(write_prepared(items_of, names))
