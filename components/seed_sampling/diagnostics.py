"""How well the seed users represent all users.

Similarity is the cosine by which users are matched (Eq. 3); a seed user is its own nearest seed. Above `MEASURED_USERS`
users, figures about all users are measured on a uniform sample of that size; the standard error of a share is then at
most 0.2 percentage points.
"""

from typing import Any

import numpy as np

from components.seed_sampling.adaptive_sampling import sample_important
from components.seed_sampling.clustering import members_of
from components.seed_sampling.nearest import nearest_seeds
from components.seed_sampling.policies import Clusters, SeedChoice, UserBase

MEASURED_USERS = 100_000
COVERAGE_SIMILARITY = 0.5  # cosine to the nearest seed from which a user is covered; the curve shows other thresholds
CURVE_STEPS = 50
ROUNDING = 1e-6  # of a cosine in float32


def measured_users(base: UserBase, seed: int) -> np.ndarray:
    """Indices, ascending, of the users that diagnostics measure: all users, or a uniform sample."""
    if len(base) <= MEASURED_USERS:
        return np.arange(len(base))
    return np.sort(np.random.default_rng(seed).choice(len(base), MEASURED_USERS, replace=False))


def describe(base: UserBase, choice: SeedChoice, clusters: Clusters | None, seed: int) -> dict[str, Any]:
    """All figures of one choice of seeds, ready for JSON."""
    users = measured_users(base, seed)
    similarity, _ = nearest_seeds(base.unit[users], base.unit[choice.indices])
    return {
        "users_measured": len(users),
        "coverage": coverage(similarity),
        "representation_error": representation_error(base, users, similarity, choice, clusters),
        "activity": activity_histogram(base.activity, choice),
        "overlap": overlap(base, choice, seed),
    }


def covered_share(similarity: np.ndarray) -> float:
    """Share of users whose nearest seed has at least `COVERAGE_SIMILARITY`, from their similarities float32[n]."""
    return _rounded(np.mean(similarity >= np.float32(COVERAGE_SIMILARITY - ROUNDING)))


def coverage(similarity: np.ndarray) -> dict[str, Any]:
    """Share of users whose nearest seed is similar enough, from their similarities float32[n].

    `curve` is [threshold, share of users at or above it], thresholds from 0 to 1.
    """
    ascending = np.sort(similarity)
    thresholds = np.arange(CURVE_STEPS + 1) / CURVE_STEPS
    # Rounding leaves many a seed's similarity to itself a little below 1.
    at_least = (thresholds - ROUNDING).astype(ascending.dtype)
    shares = 1 - np.searchsorted(ascending, at_least, side="left") / len(ascending)
    return {
        "threshold": COVERAGE_SIMILARITY,
        "share": covered_share(similarity),
        "similarity_mean": _rounded(similarity.mean(dtype=np.float64)),
        "similarity_p50": _rounded(np.percentile(similarity, 50)),
        "similarity_p05": _rounded(np.percentile(similarity, 5)),
        "curve": np.stack([thresholds, shares], axis=1).round(6).tolist(),
    }


def representation_error(
    base: UserBase, users: np.ndarray, similarity: np.ndarray, choice: SeedChoice, clusters: Clusters | None
) -> dict[str, Any]:
    """Mean distance, on the unit sphere, from a user to its nearest seed and to its cluster's nearest seed.

    The distance of two unit vectors is sqrt(2 - 2 cos), 0 to 2. Users of clusters without a seed are counted by
    `users_in_clusters_with_seed` and are in the first mean alone. Without clusters there is no second.
    """
    result: dict[str, Any] = {"to_nearest_seed": _rounded(_distance(similarity).mean())}
    if clusters is None:
        return result
    of_cluster = np.full(len(users), -np.inf, np.float32)
    seeds_of, users_of = (
        members_of(clusters.labels[indices], len(clusters.centres)) for indices in (choice.indices, users)
    )
    for seeds, places in zip(seeds_of, users_of, strict=True):
        if len(seeds) and len(places):
            cosines = base.unit[users[places]] @ base.unit[choice.indices[seeds]].T
            of_cluster[places] = cosines.max(axis=1)
    within = np.isfinite(of_cluster)
    result["to_seed_of_own_cluster"] = _rounded(_distance(of_cluster[within]).mean()) if within.any() else None
    result["users_in_clusters_with_seed"] = _rounded(within.mean())
    return result


def activity_histogram(activity: np.ndarray, choice: SeedChoice) -> list[dict[str, Any]]:
    """How many users of the base, and how many seeds of each origin, have 1, 2 to 3, 4 to 7, ... interactions."""
    exponents = np.frexp(activity.astype(np.float64))[1] - 1  # 2^e <= |D_u| < 2^(e + 1)
    origins = np.array(choice.origins)
    seeds = exponents[choice.indices]
    return [
        {
            "from": 2**exponent,
            "to": 2 ** (exponent + 1) - 1,
            "base": int((exponents == exponent).sum()),
            **{origin: int((seeds[origins == origin] == exponent).sum()) for origin in dict.fromkeys(choice.origins)},
        }
        for exponent in range(int(exponents.min()), int(exponents.max()) + 1)
    ]


def overlap(base: UserBase, choice: SeedChoice, seed: int) -> dict[str, int] | None:
    """How many users both halves would choose; None where the choice has one half only.

    The halves are disjoint because the important half is drawn from the users whom the representative half left. Here
    it is drawn again from all users.
    """
    origins = np.array(choice.origins)
    representative, important = (choice.indices[origins == name] for name in ("representative", "important"))
    if not len(representative) or not len(important):
        return None
    everybody = np.ones(len(base), bool)
    wanted = sample_important(base.activity, everybody, len(important), np.random.default_rng([seed, 1]))
    return {"important_seats": len(important), "wanted_by_both": len(np.intersect1d(representative, wanted))}


def stability(base: UserBase, previous: np.ndarray, current: np.ndarray, seed: int) -> dict[str, Any]:
    """How many of last week's seeds stay; both arguments are indices of this week's base.

    `jaccard` is |both| / |either|. `users_who_keep_their_seed` is the share of users who, with this week's vectors, are
    matched to the same seed among last week's seeds and among this week's.
    """
    both = len(np.intersect1d(previous, current))
    users = measured_users(base, seed)
    before, now = (seeds[nearest_seeds(base.unit[users], base.unit[seeds])[1]] for seeds in (previous, current))
    return {
        "jaccard": _rounded(both / (len(previous) + len(current) - both)),
        "users_who_keep_their_seed": _rounded(np.mean(before == now)),
    }


def _distance(cosine: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(0, 2 - 2 * cosine.astype(np.float64)))


def _rounded(value: Any) -> float:
    return round(float(value), 6)
