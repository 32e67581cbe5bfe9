"""Sufficient statistics of a group of users: all that lifts and their variances are made of.

A user is a row of features (clicks on a day, impressions on a day, clicks before the experiment), and a group is told
by the number of its users, the sums of their features and the sums of the products of their features. They add up, so a
table of any length is read once and never held, and every estimate after that is arithmetic on small matrices.

A user who has much of a group's impressions pulls the group's rate to the user's own, and would seem to differ little
from it. So products are weighted as the jackknife has it: with h the user's share of the impressions, what the user
moves the rate by is 1 / (1 - h) times as much when the rate is that of all the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_USERS = 100  # of a cell, in which a large share of the impressions says something
LARGEST_LEVERAGE = 0.999


def leverage(impressions: np.ndarray, totals: np.ndarray, users: np.ndarray) -> np.ndarray:
    """A user's largest share of the impressions of a cell, float64[..., users].

    Args:
        impressions: of each user in each cell, [..., users, cells].
        totals: impressions of the whole arm in each cell, [..., cells].
        users: users of the arm in each cell, [..., cells]; cells of fewer than `LEAST_USERS` are passed over.
    """
    known = (np.asarray(users) >= LEAST_USERS) & (totals > 0)
    shares = impressions * np.where(known, 1 / np.maximum(totals, 1), 0.0)[..., None, :]
    return np.minimum(shares.max(axis=-1), LARGEST_LEVERAGE)


@dataclass(frozen=True)
class Moments:
    """Of one group of users, or of many such groups at once along leading axes.

    Attributes:
        users: number of users, float64[...].
        totals: sums of the features over users, float64[..., F].
        products: sums of products of features, float64[..., F, F], each user's inflated by the user's leverage.
    """

    users: np.ndarray
    totals: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, leverage: np.ndarray | None = None) -> "Moments":
        """Of float64[..., users, F], one row for each user, and their leverages h, float64[..., users]; None: 0."""
        users = np.full(rows.shape[:-2], float(rows.shape[-2]))
        inflated = rows if leverage is None else rows / (1 - leverage)[..., None]
        return cls(users, rows.sum(axis=-2), np.swapaxes(inflated, -1, -2) @ inflated)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.users + other.users, self.totals + other.totals, self.products + other.products)

    def combine(self, groups: Sequence[Sequence[int]]) -> "Moments":
        """Of new features, each the sum of a group of the old ones: the days of a stage, for instance."""
        matrix = np.zeros((self.totals.shape[-1], len(groups)))
        for column, features in enumerate(groups):
            matrix[list(features), column] = 1.0
        return Moments(self.users, self.totals @ matrix, matrix.T @ self.products @ matrix)
