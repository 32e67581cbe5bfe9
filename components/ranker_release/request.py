"""The ranking request that a release is tried with, made from what serving reads: features and histories."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.artifacts import CONFIG_FILE, HISTORIES_FILE, ITEM_INDEX_FILE
from components.contracts.ranking_signature import CANDIDATES, HISTORY, HISTORY_LENGTH, RATIONALE
from components.contracts.tables import HISTORIES, ITEM_INDEX, read_table
from components.foundation.errors import InputError
from feature_repo.store import READ_BATCH, Assignment, Rationale, read_assignments, read_rationales

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class ExampleRequest:
    """A request of one user (B = 1): every input of `contracts.ranking_signature`, and what its explanation needs."""

    inputs: dict[str, np.ndarray]
    candidate_ids: list[str]
    rationale_id: str
    similarity: float
    explanation: str


def build_example(
    ranker: Path,
    configuration: dict[str, Any],
    prepared: Path,
    store: "FeatureStore",
    slot: str,
    n_candidates: int,
) -> ExampleRequest:
    """The request of the first user, by id, whom the slot gives a rationale that is not banned.

    The history holds all splits, because serving comes after the data.

    Args:
        ranker: folder of the ranker, whose item index numbers the items.
        configuration: the ranker's configuration.
        n_candidates: how many items it asks for, spread over the catalogue; all where there are fewer.

    Raises:
        InputError: the features are not of the ranker's text encoder or dimensions, no user has a rationale, or the
            ranker does not know an item of the history.
    """
    histories = read_table(prepared / HISTORIES_FILE, HISTORIES)
    user_id, assignment, rationale = _first_user(sorted(histories["user_id"].to_pylist()), store, slot)
    _check_fit(ranker, configuration, assignment, rationale)
    item_ids = read_table(ranker / ITEM_INDEX_FILE, ITEM_INDEX).sort_by("index")["item_id"].to_pylist()
    index_by_id = {item_id: index for index, item_id in enumerate(item_ids, start=1)}
    candidates = np.linspace(1, len(item_ids), min(n_candidates, len(item_ids))).astype(np.int64)

    rationales = np.zeros((1, configuration["rationales_per_user"], configuration["text_dimension"]), np.float32)
    rationales[0, 0] = rationale.embedding  # the best match; where K > 1, the others are zero rows
    inputs = {
        HISTORY: _history(prepared, histories, user_id, index_by_id),
        RATIONALE: rationales,
        CANDIDATES: candidates[np.newaxis],
    }
    return ExampleRequest(
        inputs,
        [item_ids[index - 1] for index in candidates],
        assignment.rationale_ids[0],
        assignment.similarities[0],
        rationale.explanation,
    )


def _first_user(users: list[str], store: "FeatureStore", slot: str) -> tuple[str, Assignment, Rationale]:
    for start in range(0, len(users), READ_BATCH):
        assignments = read_assignments(store, slot, users[start : start + READ_BATCH])
        rationales = read_rationales(store, sorted({a.rationale_ids[0] for a in assignments.values()}))
        for user_id in sorted(assignments):
            rationale = rationales.get(assignments[user_id].rationale_ids[0])
            if rationale is not None and not rationale.banned:
                return user_id, assignments[user_id], rationale
    raise InputError(f"feature slot {slot}: gives none of the {len(users)} users a rationale")


def _check_fit(ranker: Path, configuration: dict[str, Any], assignment: Assignment, rationale: Rationale) -> None:
    """Refuse features of another text encoder, of other dimensions or of another pool than the ranker's."""
    for what, wanted, served in (
        ("text_encoder", configuration["text_encoder"], rationale.text_encoder),
        ("text_dimension", configuration["text_dimension"], len(rationale.embedding)),
        ("pool", configuration["pool"], assignment.pool),
    ):
        if wanted != served:
            raise InputError(f"{ranker / CONFIG_FILE}: {what} is {wanted!r}, the features have {served!r}")


def _history(prepared: Path, histories: pa.Table, user_id: str, index_by_id: dict[str, int]) -> np.ndarray:
    """int64[1, HISTORY_LENGTH]: the items of the user's last visits, oldest first, 0-padded at the end."""
    (items,) = histories.filter(pc.equal(histories["user_id"], user_id))["items"].to_pylist() or [[]]
    unknown = [item for item in items if item not in index_by_id]
    if unknown:
        raise InputError(f"{prepared / HISTORIES_FILE}: the ranker's {ITEM_INDEX_FILE} lacks the item {unknown[0]!r}")
    history = np.zeros((1, HISTORY_LENGTH), np.int64)
    history[0, : len(items)] = [index_by_id[item] for item in items]
    return history
