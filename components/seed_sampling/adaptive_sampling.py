"""The parts of adaptive seed sampling (RELAND 3.1.1, made exact): S = S_R ∪ S_I, representative and important users.

A user is named by its index, 0 to |U| - 1, in ascending order of user id.
"""

from dataclasses import dataclass

import numpy as np

from components.foundation.errors import InputError
from components.seed_sampling.clustering import members_of

DEFAULT_CLUSTER_SHARE = 0.05  # K = round(0.05 × |U|): 302 for ML-1M, as in the paper; 1,118 for Beauty (1,120 there)


@dataclass(frozen=True)
class SamplingPlan:
    """How many users are sampled, and how: the budget B and the number of clusters K."""

    budget: int
    clusters: int

    @property
    def representative_seats(self) -> int:
        """ceil(B / 2); the important users get the rest."""
        return (self.budget + 1) // 2


def plan_sampling(n_users: int, seed_fraction: float, clusters: int) -> SamplingPlan:
    """B = round(seed fraction × |U|) and K, which is round(0.05 × |U|), at least 1, where `clusters` is 0.

    `round` is Python's, so a half goes to the even neighbour.

    Raises:
        InputError: the fraction is outside (0, 1] or yields no seed user, or there are fewer users than clusters.
    """
    if not 0 < seed_fraction <= 1:
        raise InputError(f"seed_fraction is {seed_fraction}, expected a number above 0 and at most 1")
    if clusters < 0:
        raise InputError(f"clusters is {clusters}, expected a positive number, or 0 for 5% of the users")
    budget = round(seed_fraction * n_users)
    if budget == 0:
        raise InputError(f"seed_fraction {seed_fraction} of {n_users} users is no seed user at all")
    chosen_clusters = clusters or max(1, round(DEFAULT_CLUSTER_SHARE * n_users))
    if n_users < chosen_clusters:
        raise InputError(f"clusters is {chosen_clusters}, but there are only {n_users} users")
    return SamplingPlan(budget, chosen_clusters)


def allocate_seats(sizes: np.ndarray, seats: int) -> np.ndarray:
    """N_k in proportion to |C_k| by largest remainder, ties to the lower k; int64[K] that sums to `seats`.

    N_k never exceeds |C_k| as long as `seats` does not exceed the number of users. All in integers, so that a remainder
    is exact.
    """
    quotas, remainders = np.divmod(sizes.astype(np.int64) * seats, int(sizes.sum()))
    left = seats - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:left]] += 1
    return quotas


def sample_representative(
    unit: np.ndarray, labels: np.ndarray, centres: np.ndarray, seats: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """S_R: from a cluster with one seat the user nearest its centre (ties: lower index), from one with more a uniform
    draw without replacement; user indices, int64[sum of `seats`]."""
    members = members_of(labels, len(seats))
    chosen = [np.empty(0, np.int64)]
    for cluster in np.flatnonzero(seats):
        users = members[cluster]
        if seats[cluster] == 1:
            offsets = unit[users].astype(np.float64) - centres[cluster].astype(np.float64)
            chosen.append(users[[np.argmin((offsets**2).sum(axis=1))]])
        else:
            chosen.append(generator.choice(users, size=seats[cluster], replace=False))
    return np.concatenate(chosen)


def sample_important(
    activity: np.ndarray, available: np.ndarray, seats: int, generator: np.random.Generator
) -> np.ndarray:
    """S_I (Eq. 2): Bernoulli passes over the users not yet chosen until `seats` users are chosen.

    In each pass every user not yet chosen is chosen with p_u = |D_u| / Σ|D_u|, the sum over the users not yet chosen;
    so a pass chooses one user on average. If the last pass chooses more users than there are seats left, a uniform draw
    of its users takes them.

    A pass does not visit every user. Users with equal |D_u| have equal p_u, and the successes of n independent trials
    with one probability are Binomial(n, p) in number and, given the number, a uniform subset; drawing these two is the
    same distribution at a cost that grows with the number of *different* values of |D_u|, not with |U|.

    Args:
        activity: |D_u| of every user, int64[|U|], all at least 1.
        available: the users who may be chosen, bool[|U|].

    Returns:
        User indices in the order of their passes, int64[seats].
    """
    candidates = np.flatnonzero(available)
    if seats > len(candidates):
        raise ValueError(f"{seats} seats for {len(candidates)} users")
    if (activity[candidates] < 1).any():
        raise ValueError("a user without interactions has no place in the sampling")
    by_activity = candidates[np.argsort(activity[candidates], kind="stable")]
    values, sizes = np.unique(activity[candidates], return_counts=True)
    groups = np.split(by_activity, np.cumsum(sizes)[:-1])  # users of equal |D_u|; the first sizes[g] are not chosen yet

    chosen: list[int] = []
    while len(chosen) < seats:
        probabilities = np.minimum(1, values / (values @ sizes))  # above 1 only where nobody of the group is left
        successes = generator.binomial(sizes, probabilities)
        selected: list[int] = []
        for group in np.flatnonzero(successes):
            users = groups[group]
            places = generator.choice(sizes[group], size=successes[group], replace=False)
            selected += users[places].tolist()
            for place in sorted(places.tolist(), reverse=True):  # the last not yet chosen takes the chosen one's place
                sizes[group] -= 1
                users[place] = users[sizes[group]]
        left = seats - len(chosen)
        chosen += selected if len(selected) <= left else generator.permutation(selected)[:left].tolist()
    return np.array(chosen, np.int64)
