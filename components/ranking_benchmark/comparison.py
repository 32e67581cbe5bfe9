"""What a benchmark's cells say together: means over seeds with intervals, and differences that are more than chance."""

import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from components.ranking_benchmark.grid import split_variant
from components.recommenders.variants import VARIANTS

LEVEL = 0.05
METRIC = "ndcg@10"


def mean_and_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean over seeds and its 95% interval by Student's t; of a single seed there is none."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"mean": mean, "interval": None, "seeds": len(values)}
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": mean, "interval": [mean - half, mean + half], "seeds": len(values)}


def paired(variant: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Difference of a metric, tested over users and over seeds.

    A difference that holds for these users but not for another seed of training is not shown, nor one that every seed
    gives because of a handful of users: the p value is the larger one of two paired t-tests, one over users, each with
    the mean of the seeds, one over seeds, each with the mean of the users (an intersection-union test).

    Args:
        variant: float64[S, U], the metric of each user for each seed.
        other: float64[S, U], of the same users and seeds.

    Returns:
        "difference", "relative" (to the other's mean; None where that is 0), "interval" of 95% over users, "p_users",
        "p_seeds" (None with one seed) and "p".
    """
    difference = variant - other
    by_user, by_seed = difference.mean(axis=0), difference.mean(axis=1)
    mean, base = float(difference.mean()), float(other.mean())
    n_users = by_user.size
    spread = float(by_user.std(ddof=1)) / n_users**0.5 if n_users > 1 else 0.0
    half = float(stats.t.ppf(0.975, n_users - 1)) * spread if n_users > 1 else 0.0
    p_users = _p_value(by_user)
    p_seeds = _p_value(by_seed) if by_seed.size > 1 else None
    return {
        "difference": mean,
        "relative": mean / base if base else None,
        "interval": [mean - half, mean + half],
        "p_users": p_users,
        "p_seeds": p_seeds,
        "p": max(p_users, p_seeds or 0.0),
    }


def _p_value(differences: np.ndarray) -> float:
    """Two-sided, that the mean is 0; 1 where nothing differs or there is a single value."""
    if differences.size < 2 or not differences.any():
        return 1.0
    if not differences.std():
        return 0.0  # the same difference, other than 0, everywhere
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm, 1979): step down, never smaller than the one before, at most 1."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for step, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def rivals(variant: str, there: Collection[str]) -> list[str]:
    """The variants that one has to beat, as a grid names them: `reland@NAME` is `reland` on the features NAME.

    On other features than the data set's own, it has to beat itself on those, and the rivals of the variant: on the
    same features where they are among `there`, otherwise on the data set's own. A control that reads what is known of
    seed users has to be on the same features.
    """
    name, features = split_variant(variant)
    if not features:
        return list(VARIANTS[name].against)
    named = [name]
    for rival in VARIANTS[name].against:
        on_same = f"{rival}@{features}"
        named.append(on_same if on_same in there or VARIANTS[rival].reads_seed_users else rival)
    return named


def compare_variants(ranks: Mapping[tuple[str, str, str, int], np.ndarray]) -> list[dict[str, Any]]:
    """Every variant against each that it has to beat (`variants.Variant.against`), where both were run.

    Args:
        ranks: int[U] of (data set, backbone, variant, seed), under one protocol.

    Returns:
        `paired`, with "data", "backbone", "variant", "against", "seeds", "p_holm" over all of them, and "verdict".
    """
    seeds_of: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for data, backbone, variant, seed in ranks:
        seeds_of[data, backbone, variant].append(seed)
    comparisons = []
    for (data, backbone, variant), seeds in seeds_of.items():
        for other in rivals(variant, {name for *where, name in seeds_of if where == [data, backbone]}):
            common = sorted(set(seeds) & set(seeds_of.get((data, backbone, other), [])))
            if not common:
                continue
            gains = [np.stack([_gain(ranks[data, backbone, one, seed]) for seed in common]) for one in (variant, other)]
            place: dict[str, Any] = {"data": data, "backbone": backbone, "variant": variant, "against": other}
            comparisons.append({**place, "seeds": len(common), **paired(*gains)})
    for comparison, adjusted in zip(comparisons, holm([one["p"] for one in comparisons]), strict=True):
        comparison["p_holm"] = adjusted
        comparison["verdict"] = "no difference shown"
        if adjusted < LEVEL and comparison["seeds"] > 1:
            comparison["verdict"] = "better" if comparison["difference"] > 0 else "worse"
    return comparisons


def _gain(ranks: np.ndarray) -> np.ndarray:
    """NDCG@10 of each user."""
    return np.where(ranks < 10, 1.0 / np.log2(ranks + 2.0), 0.0)
