"""A catalogue of six films and three users, small enough to work every answer by hand."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, SEEDS_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, SEEDS, write_table
from components.prompting.catalogue import Catalogue, load_catalogue

FILMS = [
    ("alien", "Alien (1979)", "Fox", ["Horror", "Sci-Fi"]),
    ("brazil", "Brazil (1985)", "", ["Sci-Fi"]),
    ("casablanca", "Casablanca (1942)", "", ["Drama", "Romance"]),
    ("dune", "Dune\n(1984)\x00", "", ["Sci-Fi"]),
    ("emma", "Emma (1996)", "", ["Drama", "Romance", "Comedy"]),
    ("unknown", "", "", []),
]
# In the order of time. Training popularity: alien 3, brazil 2, casablanca 1, unknown 1, dune 1, emma 0.
TRAINING = {
    "ann": ["alien", "brazil", "alien"],
    "bob": ["alien", "casablanca", "unknown"],
    "cid": ["dune", "brazil"],
}


def write_prepared(folder: Path, held_out: tuple[str, str]) -> None:
    rows = []
    for user, films in TRAINING.items():
        splits = ["train"] * len(films) + ["valid", "test"]
        for time, (film, split) in enumerate(zip([*films, *held_out], splits, strict=True)):
            rows.append(
                {
                    "user_id": user,
                    "item_id": film,
                    "timestamp": time,
                    "behavior": "rating",
                    "sequence": time,
                    "split_leave_one_out": split,
                }
            )
    rows.reverse()  # the order of the table is not the order of time
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)
    items = [
        {"item_id": film, "title": title, "brand": brand, "categories": categories, "description": ""}
        for film, title, brand, categories in FILMS
    ]
    write_table(pa.Table.from_pylist(items, schema=ITEMS), folder / ITEMS_FILE, ITEMS)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes the data with the given validation and test item, and returns the folder."""

    def write(valid: str, test: str) -> Path:
        folder = tmp_path / f"prepared-{valid}-{test}"
        write_prepared(folder, (valid, test))
        return folder

    return write


@pytest.fixture
def prepared(prepare: Callable[[str, str], Path]) -> Path:
    return prepare("emma", "emma")


@pytest.fixture
def catalogue(prepared: Path) -> Catalogue:
    return load_catalogue(prepared)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    rows = [
        {"user_id": user, "origin": "important", "cluster": 0, "n_interactions": len(films)}
        for user, films in TRAINING.items()
    ]
    write_table(pa.Table.from_pylist(rows, schema=SEEDS), folder / SEEDS_FILE, SEEDS)
    return folder
