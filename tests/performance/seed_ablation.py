"""Do adaptive seeds match users with seed users who like what they will like? The ablation of seed sampling.

    python -m tests.performance.seed_ablation --dataset NAME=PREPARED [--dataset ...] [--seeds N] --json FILE

PREPARED is a folder of prepared tables (`reland prepare`). For each of N seeds the behavior encoder is trained anew and
seed users are chosen by each policy, at the size of the paper: 10% of the users, clusters for 5%. Every user is matched
to the nearest seed user (Eq. 3), except that seed users do not take part: they would be matched to themselves.

Matching quality of a user is the overlap of the held-out items' categories (validation and test) with those of the
matched seed user's training history, measured in two ways. `share_found`: the share of the held-out categories that
the history has at all, which rewards seed users for long histories, so for being important. `histogram_overlap`:
Σ_c min(p(c), q(c)), where p and q are the shares of category c among the held-out and the history's categories, which
does not. Categories that nearly all items have, the first of an Amazon path for one, tell nothing and are left out.
Of a policy: the mean over the users who are no seed of any policy compared and have a held-out category.
Adaptive is compared with each of the others by a paired t-test over the N seeds, two-sided, at 0.05.
"""

import argparse
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse, stats

from components.behavior_encoder.encoders import configured_encoder
from components.behavior_encoder.histories import read_histories
from components.contracts.artifacts import ITEMS_FILE
from components.contracts.tables import ITEMS, read_table
from components.foundation.files import write_json
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.training.processes import TrainingResources
from components.seed_sampling.adaptive_sampling import plan_sampling
from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.nearest import nearest_seeds
from components.seed_sampling.policies import POLICIES, UserBase

COMPARED = ("adaptive", "random", "facility_location")
ENCODER = "lightgcn"  # the paper's, for these data sets
SEED_FRACTION = 0.1
SIGNIFICANCE_LEVEL = 0.05
COMMON_CATEGORY = 0.9  # share of the items from which on a category tells nothing


def item_categories(prepared: Path, item_ids: list[str]) -> sparse.csr_array:
    """Which item (from 1, as in `InteractionSequences`) is of which category, 0 or 1, [I + 1, categories]."""
    table = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id", "categories"])
    of_item = dict(zip(table.column("item_id").to_pylist(), table.column("categories").to_pylist(), strict=True))
    names = sorted({name for categories in of_item.values() for name in categories})
    column = {name: index for index, name in enumerate(names)}
    pairs = [(row, column[name]) for row, item in enumerate(item_ids, 1) for name in sorted(set(of_item[item]))]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(item_ids) + 1, len(names)))
    return matrix[:, np.flatnonzero(matrix.sum(axis=0) < COMMON_CATEGORY * len(item_ids))]


def user_categories(sequences: InteractionSequences, categories: sparse.csr_array) -> tuple[sparse.csr_array, ...]:
    """How often the items of each user's training history, and the held-out items, have each category:
    two of [U, categories]."""
    users = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
    within = np.arange(len(sequences.items)) - sequences.offsets[users]
    training = within < sequences.train_lengths[users]

    def counted(rows: np.ndarray) -> sparse.csr_array:
        shape = (sequences.n_users, categories.shape[0])
        chosen = sparse.csr_array((np.ones(rows.sum()), (users[rows], sequences.items[rows])), shape=shape)
        return sparse.csr_array(chosen @ categories)

    return counted(training), counted(~training)


def share_found(held_out: sparse.csr_array, history: sparse.csr_array) -> np.ndarray:
    """Row by row, the share of the held-out categories, counted as often as they are there, that the history has."""
    found = held_out.multiply(history.sign())
    return np.asarray(found.sum(axis=1)) / np.asarray(held_out.sum(axis=1))


def histogram_overlap(held_out: sparse.csr_array, history: sparse.csr_array) -> np.ndarray:
    """Row by row, Σ_c min(p(c), q(c)) of the two distributions over categories; 0 where the history has none."""
    p, q = (sparse.diags_array(1 / np.maximum(np.asarray(part.sum(axis=1)), 1)) @ part for part in (held_out, history))
    return np.asarray(p.minimum(q).sum(axis=1))


MEASURES: dict[str, Callable[[sparse.csr_array, sparse.csr_array], np.ndarray]] = {
    "share_found": share_found,
    "histogram_overlap": histogram_overlap,
}


def measure_seed(
    prepared: Path,
    sequences: InteractionSequences,
    history: sparse.csr_array,
    held_out: sparse.csr_array,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Mean matching quality by measure and policy, with an encoder and seed users of this seed."""
    encoder = configured_encoder(ENCODER, {}, seed)
    encoder.fit(prepared, TrainingResources())
    vectors = encoder.encode(read_histories(prepared))
    base = UserBase(normalise_rows(vectors), sequences.train_lengths)
    plan = plan_sampling(len(base), SEED_FRACTION, 0)
    chosen = {name: POLICIES[name](base, plan.clusters, seed).choose(plan.budget).indices for name in COMPARED}
    measured = np.asarray(held_out.sum(axis=1)) > 0
    for indices in chosen.values():
        measured[indices] = False
    users = np.flatnonzero(measured)
    matched = {
        name: indices[nearest_seeds(base.unit[users], base.unit[indices])[1]] for name, indices in chosen.items()
    }
    return {
        measure: {name: float(quality(held_out[users], history[seeds]).mean()) for name, seeds in matched.items()}
        for measure, quality in MEASURES.items()
    }


def summarise(qualities: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and deviation of each policy over the seeds, and adaptive against each of the others."""
    by_policy = {name: np.array([quality[name] for quality in qualities]) for name in COMPARED}
    comparisons = {}
    for name in COMPARED[1:]:
        difference = by_policy["adaptive"] - by_policy[name]
        p_value = float(stats.ttest_rel(by_policy["adaptive"], by_policy[name]).pvalue)
        better = "adaptive is better" if difference.mean() > 0 else f"{name} is better"
        comparisons[name] = {
            "difference": float(difference.mean()),
            "p_value": p_value,
            "verdict": better if p_value < SIGNIFICANCE_LEVEL else "no significant difference",
        }
    return {
        "quality": {
            name: {"mean": float(values.mean()), "deviation": float(values.std(ddof=1)), "by_seed": values.tolist()}
            for name, values in by_policy.items()
        },
        "adaptive_against": comparisons,
    }


def ablate(prepared: Path, seeds: int) -> dict[str, Any]:
    """Every measure's summary; says what it finds as it goes on."""
    sequences = read_sequences(prepared)
    history, held_out = user_categories(sequences, item_categories(prepared, sequences.item_ids))
    by_seed = []
    for seed in range(seeds):
        by_seed.append(measure_seed(prepared, sequences, history, held_out, seed))
        for measure, quality in by_seed[-1].items():
            print(f"seed {seed}, {measure}: " + ", ".join(f"{name} {value:.4f}" for name, value in quality.items()))
    result: dict[str, Any] = {"users": sequences.n_users}
    for measure in MEASURES:
        result[measure] = summarise([found[measure] for found in by_seed])
        for other, against in result[measure]["adaptive_against"].items():
            print(
                f"{measure}, adaptive - {other}: {against['difference']:+.4f}, p = {against['p_value']:.2g}: "
                f"{against['verdict']}"
            )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.seed_ablation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--dataset", action="append", required=True, metavar="NAME=PREPARED", help="may be repeated")
    parser.add_argument("--seeds", type=int, default=5, help="how often everything is done, at least twice")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the result")
    arguments = parser.parse_args()
    results = {}
    for dataset in arguments.dataset:
        name, _, prepared = dataset.partition("=")
        print(f"{name}:", flush=True)
        results[name] = ablate(Path(prepared), arguments.seeds)
    named = [f"{dataset.partition('=')[0]}=PREPARED" for dataset in arguments.dataset]  # folders differ by machine
    shown = shlex.join([part for name in named for part in ("--dataset", name)])
    packages = ["torch", "numpy", "scikit-learn", "faiss-cpu"]
    content = {
        "datasets": results,
        "command": f"python -m tests.performance.seed_ablation {shown} --seeds {arguments.seeds} --json FILE",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
    }
    write_json(arguments.json, content)
    print(f"written to {arguments.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
