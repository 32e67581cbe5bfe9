"""The step itself: from prepared interactions and behavior embeddings to the table of seed users."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.contracts.errors import InputError
from components.contracts.progress import say
from components.contracts.recorded_rationales import read_recorded_file
from components.contracts.tables import SEEDS, read_training_interactions, read_vectors
from components.seed_sampling.adaptive_sampling import plan_sampling, sample_adaptively


@dataclass(frozen=True)
class SamplingConfig:
    """What the operator chooses. `clusters` 0 is 5% of the users; `recorded_rationales` None is adaptive sampling."""

    seed_fraction: float
    clusters: int
    recorded_rationales: Path | None
    seed: int


def select_seed_users(prepared: Path, embeddings: Path, config: SamplingConfig) -> tuple[pa.Table, dict[str, Any]]:
    """The seed users as a table of schema `SEEDS`, sorted by user id, and the report for `summary.json`.

    The users are those with a training interaction. The users named by a file of recorded rationales are the seed
    users, if there is such a file and it names users.

    Raises:
        InputError: a fault of the file of recorded rationales or of a setting, or a user without an embedding.
    """
    users, activity = count_training_interactions(prepared)
    recorded = _recorded_users(config.recorded_rationales) if config.recorded_rationales else None
    if recorded is not None:
        table = _recorded_seeds(users, activity, recorded, str(config.recorded_rationales))
        clusters = 0
    else:
        plan = plan_sampling(len(users), config.seed_fraction, config.clusters)
        say(f"sampling {plan.budget} seed users of {len(users)}, with {plan.clusters} clusters")
        sample = sample_adaptively(_embeddings_of(users, embeddings), activity, plan, config.seed)
        origins = ["representative"] * len(sample.representative) + ["important"] * len(sample.important)
        indices = np.concatenate([sample.representative, sample.important])
        table = _seeds_table(users, activity, indices, origins, sample.labels)
        clusters = plan.clusters

    counts = Counter(table.column("origin").to_pylist())
    report = {"count": table.num_rows, "representative": counts["representative"], "important": counts["important"]}
    if recorded is not None:
        report["recorded"] = counts["recorded"]
    report["clusters"] = clusters
    say(f"{table.num_rows} seed users: " + ", ".join(f"{count} {origin}" for origin, count in sorted(counts.items())))
    return table, {"seeds": report}


def count_training_interactions(prepared: Path) -> tuple[list[str], np.ndarray]:
    """The users with a training interaction, in ascending order, and |D_u|, int64[|U|]."""
    training = read_training_interactions(prepared, ["user_id"])
    counts = training.group_by("user_id").aggregate([([], "count_all")]).sort_by("user_id")
    return counts.column("user_id").to_pylist(), counts.column("count_all").to_numpy()


def _embeddings_of(users: list[str], folder: Path) -> np.ndarray:
    keys, matrix = read_vectors(folder, "user_id")
    row_of = {key: row for row, key in enumerate(keys)}
    missing = [user for user in users if user not in row_of]
    if missing:
        raise InputError(f"{folder}: no embedding of {len(missing)} of {len(users)} users, the first is {missing[0]!r}")
    return matrix[[row_of[user] for user in users]]


def _recorded_users(path: Path) -> list[str] | None:
    """Users named by recorded rationales, in ascending order; None where the file answers requests, not users."""
    recorded = read_recorded_file(path)
    return sorted(recorded.answers) if recorded.by_user else None


def _recorded_seeds(users: list[str], activity: np.ndarray, recorded: list[str], source: str) -> pa.Table:
    index_of = {user: index for index, user in enumerate(users)}
    indices = [index_of[user] for user in recorded if user in index_of]
    if not indices:
        raise InputError(f"{source}: covers nobody, none of its {len(recorded)} users is in the data")
    if len(indices) < len(recorded):
        say(f"{len(recorded) - len(indices)} of {len(recorded)} users with a recorded rationale are not in the data")
    no_cluster = np.full(len(users), -1, np.int32)
    return _seeds_table(users, activity, np.array(indices), ["recorded"] * len(indices), no_cluster)


def _seeds_table(
    users: list[str], activity: np.ndarray, indices: np.ndarray, origins: list[str], labels: np.ndarray
) -> pa.Table:
    columns = [pa.array([users[index] for index in indices], pa.string()), pa.array(origins, pa.string())]
    columns += [pa.array(labels[indices], pa.int32()), pa.array(activity[indices], pa.int64())]
    return pa.table(columns, schema=SEEDS).sort_by("user_id")
