"""Weekly refresh: keep last week's seed users who would still be a good choice.

A seed user that stays costs no call of the language model as long as its rationale is kept. Who may stay follows from
how seeds are chosen (`adaptive_sampling`). In a cluster with one seat the user nearest its centre is chosen, so a seed
stays among the nearest `NEAREST_SHARE` of its users; in one with more seats any user can be drawn, so any seed may
stay. An important user stays while it has at least `KEPT_ACTIVITY` of the interactions it was chosen with. Budget and
proportional seats are those of a new sampling: a cluster that lost a seat loses its seed farthest from the centre, and
seats that are free are filled as a new sampling fills them. Equal embeddings, equal interactions and an equal seed thus
change nothing.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.seed_sampling.adaptive_sampling import SamplingPlan, sample_important, sample_representative
from components.seed_sampling.clustering import members_of
from components.seed_sampling.policies import Clusters, SeedChoice, UserBase

NEAREST_SHARE = 0.1
KEPT_ACTIVITY = 0.5


@dataclass(frozen=True)
class PreviousSeeds:
    """Last week's seeds that are in this week's base.

    Attributes:
        indices: in this week's base, int64[n].
        important: which of them were chosen for their activity, bool[n]; the others stand for a cluster.
        activity: interactions they were chosen with, int64[n].
        left: how many other seeds of last week are no longer in the base.
    """

    indices: np.ndarray
    important: np.ndarray
    activity: np.ndarray
    left: int


def refresh_seeds(
    base: UserBase, clusters: Clusters, plan: SamplingPlan, previous: PreviousSeeds, seed: int
) -> tuple[SeedChoice, dict[str, Any]]:
    """This week's seeds with as many of last week's as still fit, and what that saves."""
    generator = np.random.default_rng(seed)
    seats = clusters.seats(plan.representative_seats)
    important_seats = plan.budget - plan.representative_seats
    representative = _representing(base, clusters, seats, previous.indices[~previous.important])
    important = _important(base, previous, important_seats)

    # A cluster may be too small to fill its seats with users who are not important seeds; then it takes some of those.
    free_users = np.bincount(clusters.labels, minlength=len(seats))
    for taken in (representative, important):
        free_users -= np.bincount(clusters.labels[taken], minlength=len(seats))
    free_seats = seats - np.bincount(clusters.labels[representative], minlength=len(seats))
    moved = [
        user
        for cluster in np.flatnonzero(free_seats > free_users)
        for user in important[clusters.labels[important] == cluster][: free_seats[cluster] - free_users[cluster]]
    ]
    representative = np.concatenate([representative, np.array(moved, np.int64)])
    important = np.setdiff1d(important, moved)
    free_seats = seats - np.bincount(clusters.labels[representative], minlength=len(seats))

    available = np.ones(len(base), bool)
    available[representative] = available[important] = False
    new = _fill(base, clusters, free_seats, available, generator)
    available[new] = False
    drawn = sample_important(base.activity, available, important_seats - len(important), generator)
    choice = SeedChoice(
        np.concatenate([representative, new, important, drawn]),
        ["representative"] * plan.representative_seats + ["important"] * important_seats,
    )
    return choice, _report(previous, choice)


def _representing(base: UserBase, clusters: Clusters, seats: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Those of `seeds` who keep a seat of their cluster, by cluster, the nearest to its centre first."""
    kept: list[int] = []
    seeds = np.sort(seeds)
    everybody = members_of(clusters.labels, len(seats))
    for cluster, places in enumerate(members_of(clusters.labels[seeds], len(seats))):
        if not len(places) or not seats[cluster]:
            continue
        distances = _squared_distances(base, clusters, seeds[places], cluster)
        own = seeds[places][np.argsort(distances, kind="stable")]
        if seats[cluster] == 1:
            of_all = np.sort(_squared_distances(base, clusters, everybody[cluster], cluster))
            nearest = math.ceil(NEAREST_SHARE * len(of_all))
            own = own[np.sort(distances) <= of_all[nearest - 1]]
        kept += own[: seats[cluster]].tolist()
    return np.array(kept, np.int64)


def _important(base: UserBase, previous: PreviousSeeds, seats: int) -> np.ndarray:
    """Important seeds that are still active, the most active first, at most `seats`; ties to the lower index."""
    seeds, activity = previous.indices[previous.important], previous.activity[previous.important]
    active = np.sort(seeds[base.activity[seeds] >= KEPT_ACTIVITY * activity])
    return active[np.argsort(-base.activity[active], kind="stable")][:seats]


def _fill(
    base: UserBase, clusters: Clusters, free_seats: np.ndarray, available: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """New representative users for the free seats, from the available users."""
    users = np.flatnonzero(available & (free_seats > 0)[clusters.labels])
    chosen = sample_representative(base.unit[users], clusters.labels[users], clusters.centres, free_seats, generator)
    return users[chosen]


def _squared_distances(base: UserBase, clusters: Clusters, users: np.ndarray, cluster: int) -> np.ndarray:
    offsets = base.unit[users].astype(np.float64) - clusters.centres[cluster].astype(np.float64)
    return (offsets**2).sum(axis=1)


def _report(previous: PreviousSeeds, choice: SeedChoice) -> dict[str, Any]:
    """`calls_saved` counts the seeds that stay: their rationales are there already."""
    kept = np.isin(choice.indices, previous.indices)
    origins = np.array(choice.origins)
    return {
        "previous": len(previous.indices) + previous.left,
        "left_the_base": previous.left,
        "kept": int(kept.sum()),
        "kept_by_origin": dict(sorted(Counter(origins[kept].tolist()).items())),
        "new": int((~kept).sum()),
        "calls_saved": int(kept.sum()),
        "calls_saved_share": round(float(kept.mean()), 6),
    }
