"""Sufficient statistics of a group of users: all that lifts and their variances are made of.

A user is a row of features (clicks on a day, impressions on a day, clicks before the experiment), and a group is told
by the number of its users, the sums of their features and the sums of the products of their features. They add up, so a
table of any length is read once and never held, and every estimate after that is arithmetic on small matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Of one group of users, or of many such groups at once along leading axes.

    Attributes:
        users: number of users, float64[...].
        totals: sums of the features over users, float64[..., F].
        products: sums of products of features, float64[..., F, F].
    """

    users: np.ndarray
    totals: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Moments":
        """Of float64[..., users, F], one row for each user."""
        users = np.full(rows.shape[:-2], float(rows.shape[-2]))
        return cls(users, rows.sum(axis=-2), np.swapaxes(rows, -1, -2) @ rows)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.users + other.users, self.totals + other.totals, self.products + other.products)

    def combine(self, groups: Sequence[Sequence[int]]) -> "Moments":
        """Of new features, each the sum of a group of the old ones: the days of a stage, for instance."""
        matrix = np.zeros((self.totals.shape[-1], len(groups)))
        for column, features in enumerate(groups):
            matrix[list(features), column] = 1.0
        return Moments(self.users, self.totals @ matrix, matrix.T @ self.products @ matrix)
