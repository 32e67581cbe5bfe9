"""The long tail of users or items, exactly, from a summary whose size does not grow with their number.

The summary says how many holders (users or items) have each number of interactions. Distinct numbers that add up to at
most N are at most sqrt(2 N): 20 million interactions give at most 6,325 of them, and usually a few hundred.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CountDistribution:
    """How many holders have how many interactions.

    Attributes:
        counts: int64[n], distinct numbers of interactions, descending, all positive.
        holders: int64[n], how many users (or items) have that number.
    """

    counts: np.ndarray
    holders: np.ndarray

    @property
    def total(self) -> int:
        """How many users (or items) there are."""
        return int(self.holders.sum())

    def count_at(self, ranks: np.ndarray) -> np.ndarray:
        """Interactions of the holder at each rank, int64; rank 1 has most."""
        return self.counts[np.searchsorted(np.cumsum(self.holders), ranks)]

    def held_by_top(self, holders: np.ndarray) -> np.ndarray:
        """Share of all interactions, 0 to 1, that the first `holders` ranks have; `holders` may be 0."""
        ranks = np.concatenate([[0], np.cumsum(self.holders)])
        interactions = np.concatenate([[0], np.cumsum(self.holders * self.counts)])
        # Between two entries every holder has the same count, so the sum is linear there and this is exact.
        return np.interp(holders, ranks, interactions) / interactions[-1]

    def below(self, count: int) -> int:
        """How many have fewer interactions than `count`."""
        return int(self.holders[self.counts < count].sum())


def rank_curve(distribution: CountDistribution, points: int) -> list[list[int]]:
    """[rank, interactions] at up to `points` ranks, even on a logarithmic scale, the first and the last among them."""
    ranks = np.unique(np.geomspace(1, distribution.total, points).round().astype(np.int64))
    return np.stack([ranks, distribution.count_at(ranks)], axis=1).tolist()


def share_curve(distribution: CountDistribution, percents: list[float]) -> list[list[float]]:
    """[x, percentage of the interactions that the top x percent have], x percent rounded up to whole holders."""
    # The small subtraction keeps 7% of 100, which is 7.000000000000001 in floating point, at 7 holders.
    holders = np.ceil(np.array(percents) / 100 * distribution.total - 1e-9).astype(np.int64)
    return np.stack([percents, (100 * distribution.held_by_top(holders)).round(2)], axis=1).tolist()


def doubling_bins(distribution: CountDistribution) -> list[tuple[int, int, int]]:
    """(from, to, holders): how many have 1, 2 to 3, 4 to 7, ... interactions, from the fewest there are to the most."""
    first, last = int(distribution.counts[-1]).bit_length() - 1, int(distribution.counts[0]).bit_length() - 1
    bins = []
    for exponent in range(first, last + 1):
        low, high = 2**exponent, 2 ** (exponent + 1) - 1
        bins.append((low, high, distribution.below(high + 1) - distribution.below(low)))
    return bins
