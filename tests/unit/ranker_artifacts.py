"""The artifacts that rankers are made from, small: six users, twelve items, three rationales of four components."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import CONFIG_FILE, INTERACTIONS_FILE, ITEMS_FILE, LINEAGE_FILE, MATCHES_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, MATCHES, write_table, write_vectors
from components.foundation.files import write_json
from components.recommenders.ranker_inputs import RankerInputs, read_ranker_inputs

USERS = [f"u{number}" for number in range(6)]
CATALOGUE = [f"i{number:02d}" for number in range(12)]
TEXT_DIMENSION = 4


@dataclass(frozen=True)
class Artifacts:
    """The four folders of `read_ranker_inputs`, in its order."""

    prepared: Path
    matches: Path
    rationale_embeddings: Path
    item_text_embeddings: Path

    def read(self) -> RankerInputs:
        return read_ranker_inputs(self.prepared, self.matches, self.rationale_embeddings, self.item_text_embeddings)

    def match(self, *pairs: tuple[str, str, int]) -> None:
        """Write the matches: (user, rationale, rank)."""
        rows = [
            {"user_id": user, "rationale_id": rationale, "seed_user_id": "u0", "similarity": 0.5, "rank": rank}
            for user, rationale, rank in pairs
        ]
        write_table(pa.Table.from_pylist(rows, schema=MATCHES), self.matches / MATCHES_FILE, MATCHES)
        write_json(self.matches / LINEAGE_FILE, {"encoder_version": "1", "collection": "pool_one"})

    def embed(self, folder: Path, key: str, keys: list[str], dimension: int, text_encoder: str = "minilm") -> None:
        """Write vectors of this dimension that nothing but the key and the place decides."""
        rows = [[float(number), *range(1, dimension)] for number in range(1, len(keys) + 1)]
        write_vectors(folder, key, keys, np.array(rows, np.float32) / 10)
        write_json(folder / CONFIG_FILE, {"text_encoder": text_encoder, "dimension": dimension})


def write_artifacts(root: Path) -> Artifacts:
    found = Artifacts(
        *(root / name for name in ("prepared", "matches", "rationale_embeddings", "item_text_embeddings"))
    )
    rows = []
    for user in range(len(USERS)):
        for time, split in enumerate(["train"] * (3 + user) + ["valid", "test"]):
            row = {"user_id": USERS[user], "item_id": CATALOGUE[(user + time) % 12], "timestamp": time}
            rows.append({**row, "behavior": "click", "sequence": len(rows), "split_leave_one_out": split})
    items = [{"item_id": item, "title": "", "brand": "", "categories": [], "description": ""} for item in CATALOGUE]
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), found.prepared / INTERACTIONS_FILE, INTERACTIONS)
    write_table(pa.Table.from_pylist(items, schema=ITEMS), found.prepared / ITEMS_FILE, ITEMS)
    # u5 has no rationale.
    found.match(("u0", "r0", 1), ("u1", "r2", 1), ("u2", "r1", 1), ("u3", "r0", 1), ("u4", "r2", 1))
    found.embed(found.rationale_embeddings, "rationale_id", ["r0", "r1", "r2"], TEXT_DIMENSION)
    found.embed(found.item_text_embeddings, "item_id", CATALOGUE, TEXT_DIMENSION)
    return found


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return write_artifacts(tmp_path)
