"""The step: from prepared interactions and behavior embeddings to the table of seed users and its diagnostics."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.artifacts import SEEDS_DIAGNOSTICS_FILE, SEEDS_FILE, SEEDS_PAGE_FILE
from components.contracts.recorded_rationales import read_recorded_file
from components.contracts.tables import SEEDS, read_table, read_training_interactions, read_vectors, write_table
from components.foundation.errors import InputError
from components.foundation.files import replacing_file, write_json
from components.foundation.progress import say
from components.seed_sampling.adaptive_sampling import plan_sampling
from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.configuration import SeedsSection
from components.seed_sampling.diagnostics import describe, stability
from components.seed_sampling.page import render
from components.seed_sampling.policies import Clusters, SeedChoice, UserBase, find_policy
from components.seed_sampling.refresh import PreviousSeeds, refresh_seeds
from components.seed_sampling.seed_number import seed_number_curve
from components.seed_sampling.user_map import map_users


def sample_seed_users(
    prepared: Path,
    embeddings: Path,
    config: SeedsSection,
    output: Path,
    *,
    seed: int,
    recorded_rationales: Path | None = None,
) -> dict[str, Any]:
    """Write the seed users, schema `SEEDS`, sorted by user id, with their diagnostics and the page that shows them.

    The users are those with a training interaction. The users named by a file of recorded rationales are the seed
    users, if there is such a file and it names users.

    Returns:
        The report for `summary.json`.

    Raises:
        InputError: a fault of a file or of a setting, or a user without an embedding.
    """
    check_seeds(config)
    users, activity = count_training_interactions(prepared)
    recorded = _recorded_users(recorded_rationales) if recorded_rationales else None
    if recorded is not None and config.previous_seeds:
        raise InputError(
            f"previous_seeds {config.previous_seeds}: the users of {recorded_rationales} are the seed users, "
            "expected one of the two"
        )
    base = UserBase(normalise_rows(_embeddings_of(users, embeddings)), activity)
    number, weekly = None, None
    if recorded is not None:
        choice = _recorded_choice(users, recorded, str(recorded_rationales))
        clusters = None
    else:
        plan = plan_sampling(len(users), config.seed_fraction, config.clusters)
        policy = find_policy(config.seed_policy)(base, plan.clusters, seed)
        say(f"sampling {plan.budget} seed users of {len(users)}, policy {config.seed_policy}")
        if config.previous_seeds:
            previous = _previous_seeds(users, Path(config.previous_seeds))
            assert policy.clusters is not None  # see `check_seeds`
            choice, weekly = refresh_seeds(base, policy.clusters, plan, previous, seed)
            weekly["stability"] = stability(base, previous.indices, choice.indices, seed)
            say(f"{weekly['kept']} of {weekly['previous']} seed users stay, {weekly['new']} are new")
        else:
            choice = policy.choose(plan.budget)
        clusters = policy.clusters
        number = seed_number_curve(policy, plan.budget, config.tokens_per_call)

    content = {
        "policy": "recorded" if recorded is not None else config.seed_policy,
        "users": len(users),
        "seeds": len(choice.indices),
        "origins": dict(sorted(Counter(choice.origins).items())),
        "clusters": 0 if clusters is None else len(clusters.centres),
        **describe(base, choice, clusters, seed),
        "number_of_seeds": number,
        "refresh": weekly,
        "map": map_users(base, choice, seed),
    }
    write_table(_seeds_table(users, base, choice, clusters), output / SEEDS_FILE, SEEDS)
    write_json(output / SEEDS_DIAGNOSTICS_FILE, content)
    with replacing_file(output / SEEDS_PAGE_FILE) as temporary:
        temporary.write_text(render(content), encoding="utf-8")
    say(
        f"{content['seeds']} seed users: "
        + ", ".join(f"{count} {origin}" for origin, count in content["origins"].items())
        + f"; the nearest seed's similarity is {content['coverage']['similarity_mean']:.3f} on average"
    )
    return {"seeds": _report(content)}


def check_seeds(config: SeedsSection) -> None:
    """Check the section without reading a file.

    Raises:
        InputError: the message names the field.
    """
    find_policy(config.seed_policy)
    if not config.previous_seeds:
        return
    if config.seed_policy != "adaptive":
        raise InputError(
            f"previous_seeds goes with seed_policy adaptive, not with {config.seed_policy}: "
            "a seed user stays because it still stands for its cluster"
        )
    if not Path(config.previous_seeds).is_file():
        raise InputError(f"previous_seeds {config.previous_seeds}: no such file")


def count_training_interactions(prepared: Path) -> tuple[list[str], np.ndarray]:
    """The users with a training interaction, in ascending order, and |D_u|, int64[|U|].

    Raises:
        InputError: there is no training interaction.
    """
    training = read_training_interactions(prepared, ["user_id"])
    if not training.num_rows:
        raise InputError(f"{prepared}: no training interactions, so no users to choose from")
    counts = training.group_by("user_id").aggregate([([], "count_all")]).sort_by("user_id")
    return counts.column("user_id").to_pylist(), counts.column("count_all").to_numpy()


def _report(content: dict[str, Any]) -> dict[str, Any]:
    origins, number, weekly = content["origins"], content["number_of_seeds"], content["refresh"]
    return {
        "count": content["seeds"],
        "policy": content["policy"],
        **{"representative": 0, "important": 0, **origins},
        "clusters": content["clusters"],
        "coverage": {name: content["coverage"][name] for name in ("threshold", "share")},
        "similarity_mean": content["coverage"]["similarity_mean"],
        **({"recommended_count": number["knee"]} if number else {}),
        **({"refresh": weekly} if weekly else {}),
    }


def _embeddings_of(users: list[str], folder: Path) -> np.ndarray:
    keys, matrix = read_vectors(folder, "user_id")
    if keys == users:
        return matrix
    row_of = {key: row for row, key in enumerate(keys)}
    missing = [user for user in users if user not in row_of]
    if missing:
        raise InputError(f"{folder}: no embedding of {len(missing)} of {len(users)} users, the first is {missing[0]!r}")
    return matrix[[row_of[user] for user in users]]


def _recorded_users(path: Path) -> list[str] | None:
    """Users named by recorded rationales, in ascending order; None where the file answers requests, not users."""
    recorded = read_recorded_file(path)
    return sorted(recorded.answers) if recorded.by_user else None


def _recorded_choice(users: list[str], recorded: list[str], source: str) -> SeedChoice:
    index_of = {user: index for index, user in enumerate(users)}
    indices = [index_of[user] for user in recorded if user in index_of]
    if not indices:
        raise InputError(f"{source}: covers nobody, none of its {len(recorded)} users is in the data")
    if len(indices) < len(recorded):
        say(f"{len(recorded) - len(indices)} of {len(recorded)} users with a recorded rationale are not in the data")
    return SeedChoice(np.array(indices), ["recorded"] * len(indices))


def _previous_seeds(users: list[str], path: Path) -> PreviousSeeds:
    table = read_table(path, SEEDS)
    if pc.count_distinct(table.column("user_id")).as_py() < table.num_rows:
        raise InputError(f"previous_seeds {path}: a seed user is there twice")
    index_of = {user: index for index, user in enumerate(users)}
    rows = [row for row in table.to_pylist() if row["user_id"] in index_of]
    if not rows:
        raise InputError(f"previous_seeds {path}: none of its {table.num_rows} seed users is in the data")
    return PreviousSeeds(
        indices=np.array([index_of[row["user_id"]] for row in rows]),
        important=np.array([row["origin"] == "important" for row in rows]),
        activity=np.array([row["n_interactions"] for row in rows]),
        left=table.num_rows - len(rows),
    )


def _seeds_table(users: list[str], base: UserBase, choice: SeedChoice, clusters: Clusters | None) -> pa.Table:
    indices = choice.indices
    labels = np.full(len(indices), -1, np.int32) if clusters is None else clusters.labels[indices]
    columns = [
        pa.array([users[index] for index in indices], pa.string()),
        pa.array(choice.origins, pa.string()),
        pa.array(labels, pa.int32()),
        pa.array(base.activity[indices], pa.int64()),
    ]
    return pa.table(columns, schema=SEEDS).sort_by("user_id")
