"""Opening the feature store that `RELAND_FEATURE_STORE` names, and reading from its online side."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.foundation.errors import InputError, first_line
from components.foundation.settings import Settings

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

READ_BATCH = 1000  # SQLite takes one bound variable for each key


@dataclass(frozen=True)
class Assignment:
    """The rationales of one user, by rank, with the similarity of each (Eq. 3), and the pool they are of.

    A pool is named by its collection, which holds vectors of one version of the behavior encoder.
    """

    rationale_ids: list[str]
    similarities: list[float]
    pool: str = ""


@dataclass(frozen=True)
class History:
    """The items of one user's latest visits, oldest first."""

    items: list[str]


@dataclass(frozen=True)
class Rationale:
    """One row of `rationale_embedding`; `embedding` is float32[t] as a list."""

    embedding: list[float]
    text_encoder: str
    explanation: str
    generation: str
    banned: bool


def feature_store_folder(settings: Settings) -> Path:
    """Where relative paths of the configuration and the batch sources lie."""
    return settings.home / "feast"


def open_feature_store(settings: Settings) -> "FeatureStore":
    """The feature store with all definitions applied; applying them again changes nothing.

    Raises:
        InputError: there is no configuration of that name, or it refers to an environment variable that is not set.
    """
    from feature_repo.definitions import definitions

    store = feature_store_as_it_is(settings)
    store.apply(definitions(feature_store_folder(settings)))
    return store


def feature_store_as_it_is(settings: Settings) -> "FeatureStore":
    """The feature store with the definitions that were applied last, which may be those of another version.

    Raises:
        InputError: as `open_feature_store`.
    """
    from feast import FeatureStore

    configuration = Path(__file__).parent / f"feature_store.{settings.feature_store}.yaml"
    if not configuration.is_file():
        names = sorted(path.name.split(".")[1] for path in configuration.parent.glob("feature_store.*.yaml"))
        raise InputError(f"setting RELAND_FEATURE_STORE: {settings.feature_store!r} is not one of {', '.join(names)}")
    for name in re.findall(r"\$\{(\w+)\}", configuration.read_text(encoding="utf-8")):
        if name not in os.environ:
            raise InputError(f"{configuration.name} needs the environment variable {name}, which is not set")

    folder = feature_store_folder(settings)
    (folder / "offline").mkdir(parents=True, exist_ok=True)
    return FeatureStore(repo_path=str(folder), fs_yaml_file=configuration)


def pool_of_slot(settings: Settings, slot: str) -> str | None:
    """The pool that the last push to a slot was matched in; None where nothing was pushed to it.

    Raises:
        InputError: the file behind the slot's view is not readable.
    """
    from feature_repo.definitions import batch_file, user_view

    path = batch_file(feature_store_folder(settings), user_view(slot))
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as file:
            # The rows of the last push stand last (`components.feature_push.push`).
            last = file.read_row_group(file.num_row_groups - 1, ["pool"])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({first_line(error)})") from error
    return last["pool"][-1].as_py() or "" if "pool" in last.column_names else ""


def read_assignments(store: "FeatureStore", slot: str, user_ids: Sequence[str]) -> dict[str, Assignment]:
    """The slot's assignments of those users that have one."""
    from feature_repo.definitions import user_view

    rows = _read_view(store, user_view(slot), ["rationale_ids", "similarities", "pool"], user_ids)
    return {
        key: Assignment(**row | {"pool": row["pool"] or ""})
        for key, row in rows.items()
        if row["rationale_ids"] is not None
    }


def read_histories(store: "FeatureStore", slot: str, user_ids: Sequence[str]) -> dict[str, History]:
    """The slot's histories of those users that have one."""
    from feature_repo.definitions import history_view

    rows = _read_view(store, history_view(slot), ["items"], user_ids)
    return {key: History(**row) for key, row in rows.items() if row["items"] is not None}


def read_rationales(store: "FeatureStore", rationale_ids: Sequence[str]) -> dict[str, Rationale]:
    """Those of the rationales that the store holds, the banned ones included."""
    from feature_repo.definitions import RATIONALE_SERVICE

    features = store.get_feature_service(RATIONALE_SERVICE, allow_cache=True)
    rows = _read(store, features, "rationale_id", rationale_ids)
    return {key: Rationale(**row) for key, row in rows.items() if row["embedding"] is not None}


def _read_view(
    store: "FeatureStore", view: str, names: list[str], user_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    return _read(store, [f"{view}:{name}" for name in names], "user_id", user_ids)


def _read(
    store: "FeatureStore", features: "FeatureService | list[str]", key: str, values: Sequence[str]
) -> dict[str, dict[str, Any]]:
    row_of: dict[str, dict[str, Any]] = {}
    for start in range(0, len(values), READ_BATCH):
        batch = list(values[start : start + READ_BATCH])
        columns = store.get_online_features(features, {key: batch}).to_dict()
        keys = columns.pop(key)
        for position, value in enumerate(keys):
            row_of[value] = {name: column[position] for name, column in columns.items()}
    return row_of
