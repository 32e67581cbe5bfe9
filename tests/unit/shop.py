"""A shop of 24 items of 4 categories and 60 users, who each mostly buy of one category: small enough to train on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, write_table

CATEGORIES = ("Tents", "Lamps", "Knives", "Boots")
USERS = 60
VISITS = 12


def write_shop(folder: Path, users: int = USERS, held_out: str = "item-0-0") -> Path:
    """Prepared tables in `folder`; `held_out` is everyone's validation and test item."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(users):
        categories = np.where(random.random(VISITS) < 0.8, user % len(CATEGORIES), random.integers(0, 4, VISITS))
        items = [f"item-{category}-{random.integers(0, 6)}" for category in categories]
        splits = ["train"] * VISITS + ["valid", "test"]
        for time, (item, split) in enumerate(zip([*items, held_out, held_out], splits, strict=True)):
            rows.append(
                {
                    "user_id": f"user-{user:03d}",
                    "item_id": item,
                    "timestamp": time,
                    "behavior": "purchase",
                    "sequence": len(rows),
                    "split_leave_one_out": split,
                }
            )
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)
    items = [
        {
            "item_id": f"item-{category}-{number}",
            "title": f"{name} {'ABCDEF'[number]}",
            "brand": "Maker",
            "categories": ["Outdoor", name],
            "description": "",
        }
        for category, name in enumerate(CATEGORIES)
        for number in range(6)
    ]
    write_table(pa.Table.from_pylist(items, schema=ITEMS), folder / ITEMS_FILE, ITEMS)
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_shop(tmp_path / "shop")


@pytest.fixture
def write_shop_with(tmp_path: Path) -> Callable[..., Path]:
    """`write_shop` into a new folder at each call."""
    count = iter(range(100))
    return lambda **changes: write_shop(tmp_path / f"shop-{next(count)}", **changes)
