"""Whether the arms are alike in what they cannot have changed, and what is exact where an arm has no outcome at all."""

import math

import numpy as np
from scipy import stats

from serving.experiment.moments import Moments


def covariates_p_value(candidate: Moments, control: Moments, covariates: list[int]) -> float:
    """Of Hotelling's T² test that the covariates have equal means in both arms; 1 where they do not differ at all."""
    users = float(candidate.users), float(control.users)
    means = candidate.totals[covariates] / max(users[0], 1.0), control.totals[covariates] / max(users[1], 1.0)
    products = candidate.products + control.products
    within = products[np.ix_(covariates, covariates)] - sum(
        count * np.outer(mean, mean) for count, mean in zip(users, means, strict=True)
    )
    scale = np.sqrt(np.maximum(np.diag(within), 0.0))
    varying = scale > 0
    correlation = within[np.ix_(varying, varying)] / np.outer(scale[varying], scale[varying])
    rank = int(np.linalg.matrix_rank(correlation)) if varying.any() else 0
    degrees = sum(users) - 2 - rank + 1
    if rank == 0 or degrees <= 0:
        return 1.0
    difference = (means[0] - means[1])[varying] / scale[varying]
    distance = float(difference @ np.linalg.pinv(correlation, rcond=1e-10, hermitian=True) @ difference)
    t_squared = (sum(users) - 2) * distance * users[0] * users[1] / sum(users)
    return float(stats.f.sf(t_squared * degrees / (rank * (sum(users) - 2)), rank, degrees))


def counts_p_value(candidate: np.ndarray, control: np.ndarray) -> float:
    """Of the chi-square test that users fall into classes alike in both arms; 1 with fewer than two classes."""
    counts = np.array([candidate, control], float)
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2 or not counts.sum(axis=1).all():
        return 1.0
    return float(stats.chi2_contingency(counts, correction=False).pvalue)


def exact_p_value(candidate: tuple[int, int], control: tuple[int, int]) -> float:
    """Of Fisher's exact test that users have an outcome alike in both arms; each arm is (with an outcome, users)."""
    rows = [[reached, users - reached] for reached, users in (candidate, control)]
    return float(stats.fisher_exact(rows).pvalue)


def exact_bounds(candidate: tuple[int, int], control: tuple[int, int], alpha: float) -> tuple[float, float]:
    """An interval of the lift of the share of users who have an outcome, where one arm has none.

    Given how many users have one in both arms together, the candidate's are binomial with probability
    r n₁ / (r n₁ + n₂) where r is the ratio of two small shares, so Clopper and Pearson's interval of that probability
    is one of r. An end that the data leave open is -1 or infinity.
    """
    (ours, our_users), (theirs, their_users) = candidate, control
    total = ours + theirs
    if total == 0:
        return -1.0, math.inf
    low = float(stats.beta.ppf(alpha / 2, ours, theirs + 1)) if ours else 0.0
    high = float(stats.beta.isf(alpha / 2, ours + 1, theirs)) if theirs else 1.0
    sizes = their_users / our_users
    return low / (1 - low) * sizes - 1, high / (1 - high) * sizes - 1 if high < 1 else math.inf
