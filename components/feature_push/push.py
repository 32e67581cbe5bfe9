"""Pushes one generation's features to Feast and looks them up again, to prove that they are served as pushed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contracts.artifacts import CONFIG_FILE, HISTORIES_FILE, MATCHES_FILE, RATIONALES_FILE
from components.contracts.exclusions import Exclusions
from components.contracts.lineage import pool_of
from components.contracts.tables import HISTORIES, MATCHES, RATIONALES, read_table, read_vectors
from components.foundation.errors import InputError
from components.foundation.files import read_json, replacing_file
from feature_repo.definitions import (
    RATIONALE_VIEW,
    TIMESTAMP,
    batch_file,
    history_view,
    push_source,
    user_view,
)
from feature_repo.store import (
    Assignment,
    History,
    Rationale,
    read_assignments,
    read_histories,
    read_rationales,
)

if TYPE_CHECKING:
    from feast import FeatureStore

VERIFIED_USERS = 200
NOTHING_EXCLUDED = Exclusions()

_TIME = pa.field(TIMESTAMP, pa.timestamp("us", tz="UTC"))
_RATIONALE_ROWS = pa.schema(
    [
        ("rationale_id", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        ("text_encoder", pa.string()),
        ("explanation", pa.string()),
        ("generation", pa.string()),
        ("banned", pa.bool_()),
        _TIME,
    ]
)
_USER_ROWS = pa.schema(
    [
        ("user_id", pa.string()),
        ("rationale_ids", pa.list_(pa.string())),
        ("similarities", pa.list_(pa.float32())),
        ("pool", pa.string()),
        _TIME,
    ]
)
_HISTORY_ROWS = pa.schema([("user_id", pa.string()), ("items", pa.list_(pa.string())), _TIME])


class ServedFeaturesDifferError(Exception):
    """The online store does not serve what was pushed to it."""


@dataclass(frozen=True)
class GenerationFeatures:
    """The features of one generation for the online store, keys in sorted order."""

    rationales: dict[str, Rationale]
    assignments: dict[str, Assignment]
    histories: dict[str, History] = field(default_factory=dict)


def load_features(matches: Path, rationales: Path, embeddings: Path, generation: str) -> GenerationFeatures:
    """Join the artifacts' tables about rationales into feature rows; no rationale is banned yet.

    Args:
        embeddings: folder of vectors by `rationale_id`; its configuration has `text_encoder` and `dimension`.

    Raises:
        InputError: a table is missing or wrong, the vectors have another length than the configuration says, a
            rationale has no vector, or a match names a rationale that is not there.
    """
    configuration = read_json(embeddings / CONFIG_FILE)
    vector_by_id = _read_embeddings(embeddings, configuration["dimension"])
    texts = read_table(rationales / RATIONALES_FILE, RATIONALES, ["rationale_id", "preference_summary"])
    explanation_by_id = dict(zip(*(column.to_pylist() for column in texts.columns), strict=True))
    for rationale_id in explanation_by_id:
        if rationale_id not in vector_by_id:
            raise InputError(f"{embeddings}: has no vector of the rationale {rationale_id}")

    table = read_table(matches / MATCHES_FILE, MATCHES)
    pool = pool_of(matches)
    assignments: dict[str, Assignment] = {}
    for row in table.sort_by([("user_id", "ascending"), ("rank", "ascending")]).to_pylist():
        if row["rationale_id"] not in explanation_by_id:
            raise InputError(f"{matches / MATCHES_FILE}: names the rationale {row['rationale_id']}, which is not there")
        assignment = assignments.setdefault(row["user_id"], Assignment([], [], pool))
        assignment.rationale_ids.append(row["rationale_id"])
        assignment.similarities.append(row["similarity"])

    rows = {
        rationale_id: Rationale(
            vector_by_id[rationale_id], configuration["text_encoder"], explanation, generation, banned=False
        )
        for rationale_id, explanation in sorted(explanation_by_id.items())
    }
    return GenerationFeatures(rows, assignments)


def load_histories(prepared: Path) -> dict[str, History]:
    """What serving reads of a user besides the rationale: the latest visits.

    Raises:
        InputError: the table is missing or wrong.
    """
    table = read_table(prepared / HISTORIES_FILE, HISTORIES).sort_by("user_id")
    users, items = (column.to_pylist() for column in table.columns)
    return {user: History(visits) for user, visits in zip(users, items, strict=True)}


def push_features_to(
    store: "FeatureStore",
    folder: Path,
    slot: str,
    features: GenerationFeatures,
    exclusions: Exclusions = NOTHING_EXCLUDED,
) -> None:
    """Push the rationales, then the features of the users, and check by look-up that they are served.

    All rows carry the time of the push, so a later push is the newer one in every store (SQLite lets any push
    overwrite, Redis only a newer one). Rationales are marked as banned where `exclusions` says so; a mark in the store
    of which it says nothing stays.

    Args:
        folder: where the batch sources lie (`feature_repo.store.feature_store_folder`).
        slot: the slot of assignments and histories to overwrite; it must not be the one that is served.

    Raises:
        ServedFeaturesDifferError: a look-up gave something else than what was pushed.
    """
    now = datetime.now(UTC)
    rationales = mark_bans(features.rationales, read_rationales(store, list(features.rationales)), exclusions)
    _push(store, folder, RATIONALE_VIEW, _RATIONALE_ROWS, rationales, now)
    _push(store, folder, user_view(slot), _USER_ROWS, features.assignments, now)
    _push(store, folder, history_view(slot), _HISTORY_ROWS, features.histories, now)
    verify(store, slot, replace(features, rationales=rationales))


def mark_bans(new: dict[str, Rationale], stored: dict[str, Rationale], exclusions: Exclusions) -> dict[str, Rationale]:
    """`new` with `banned` as the operators want it; a push does not undo a ban."""
    return {
        key: replace(row, banned=exclusions.ban(key, row.explanation, key in stored and stored[key].banned))
        for key, row in new.items()
    }


def verify(store: "FeatureStore", slot: str, features: GenerationFeatures) -> None:
    """Compare every rationale and a sample of the users with what the online store serves, to the last bit.

    Raises:
        ServedFeaturesDifferError: they differ.
    """
    served_rationales = read_rationales(store, list(features.rationales))
    for key, row in features.rationales.items():
        if served_rationales.get(key) != row:
            raise ServedFeaturesDifferError(f"rationale {key}: the online store does not serve what was pushed")
    _verify_users(features.assignments, lambda users: read_assignments(store, slot, users), user_view(slot))
    _verify_users(features.histories, lambda users: read_histories(store, slot, users), history_view(slot))


def _verify_users(pushed: Mapping[str, Any], read: Callable[[list[str]], Mapping[str, Any]], view: str) -> None:
    users = sample(list(pushed), VERIFIED_USERS)
    served = read(users)
    for user in users:
        if served.get(user) != pushed[user]:
            raise ServedFeaturesDifferError(f"user {user}: the view {view} does not serve what was pushed")


def sample(keys: Sequence[str], count: int) -> list[str]:
    """`count` keys evenly spread over `keys`, the first and the last among them; all of them where there are fewer."""
    positions = np.linspace(0, len(keys) - 1, min(count, len(keys))).round().astype(int)
    return [keys[position] for position in positions]


def _read_embeddings(folder: Path, dimension: int) -> dict[str, list[float]]:
    ids, matrix = read_vectors(folder, "rationale_id")
    # Feast stores a vector of any length; serving one of the wrong length would fail requests.
    if matrix.shape[1] != dimension:
        raise InputError(f"{folder}: vectors of length {matrix.shape[1]}, its {CONFIG_FILE} says {dimension}")
    return dict(zip(ids, matrix.tolist(), strict=True))


def _push(
    store: "FeatureStore",
    folder: Path,
    view: str,
    schema: pa.Schema,
    rows: "Mapping[str, Rationale | Assignment | History]",
    now: datetime,
) -> None:
    if not rows:
        return
    key = schema.names[0]
    pushed = pa.Table.from_pylist([{key: value, **vars(row), TIMESTAMP: now} for value, row in rows.items()], schema)
    path = batch_file(folder, view)
    whole = pushed
    if path.exists():
        # Rows that this push does not overwrite are still served, so they stay in the file as well.
        stored = pq.read_table(path, schema=schema)
        # The rows of this push come last (`feature_repo.store.pool_of_slot`).
        whole = pa.concat_tables(
            [stored.filter(pc.invert(pc.is_in(stored[key], pushed[key].combine_chunks()))), pushed]
        )
    with replacing_file(path) as temporary:
        pq.write_table(whole, temporary, compression="zstd")
    store.push(push_source(view), pushed.to_pandas())
