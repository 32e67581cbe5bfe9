"""Sufficient statistics of a group of users: all that lifts and their variances are made of.

A user is a row of features (clicks on a day, impressions on a day, clicks before the experiment), and a group is given
by the number of its users, the sums of their features and the sums of the products of their features. They add up, so a
table of any length is read once and never held, and every estimate after that is arithmetic on small matrices.

A user who has much of a group's impressions pulls the group's rate to the user's own, and would seem to differ little
from it; one whose covariates are extreme pulls the regression on them likewise. So squares are summed as they are, and
weighted by 1 / (1 - h)² with h the user's leverage, which is HC3 (MacKinnon and White, Journal of Econometrics 1985),
close to the jackknife: once with the leverage on the rate and, for estimates by CUPED, with both leverages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_USERS = 100  # of a cell, in which a large share of the impressions says something
LARGEST_LEVERAGE = 0.999


def leverage(impressions: np.ndarray, totals: np.ndarray, users: np.ndarray) -> np.ndarray:
    """A user's share of all impressions or, where larger, of those of a cell; float64[..., users].

    Args:
        impressions: of each user in each cell, [..., users, cells].
        totals: impressions of the whole arm in each cell, [..., cells].
        users: users of the arm in each cell, [..., cells]; cells of fewer than `LEAST_USERS` are passed over.
    """
    large = (np.asarray(users) >= LEAST_USERS) & (totals > 0)
    shares = impressions * np.where(large, 1 / np.maximum(totals, 1), 0.0)[..., None, :]
    whole = impressions.sum(axis=-1) / np.maximum(totals.sum(axis=-1), 1)[..., None]
    return np.minimum(np.maximum(shares.max(axis=-1), whole), LARGEST_LEVERAGE)


def covariate_leverage(centred: np.ndarray, products: np.ndarray) -> np.ndarray:
    """How far a user alone decides the regression on the covariates, cᵀ (Σ c cᵀ)⁻¹ c; float64[..., users].

    Args:
        centred: covariates of each user less their mean, [..., users, C].
        products: Σ c cᵀ of the users of both arms, each about its arm's mean, [..., C, C].
    """
    return np.einsum("...ui,...ij,...uj->...u", centred, np.linalg.pinv(products, hermitian=True), centred)


@dataclass(frozen=True)
class Moments:
    """Of one group of users, or of many such groups at once along leading axes.

    Attributes:
        users: number of users, float64[...].
        totals: sums of the features over users, float64[..., F].
        products: sums of products of features, float64[..., F, F].
        weighted: sums of products of the features and, last, of 1, each user's weighted by 1 / (1 - h)² with h the
            leverage on the rate; float64[..., F + 1, F + 1].
        weighted_with_covariates: likewise, with the leverage on the regression on the covariates as well.
    """

    users: np.ndarray
    totals: np.ndarray
    products: np.ndarray
    weighted: np.ndarray
    weighted_with_covariates: np.ndarray

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        leverage: np.ndarray | None = None,
        of_covariates: np.ndarray | None = None,
    ) -> "Moments":
        """Of float64[..., users, F], one row for each user, and of their leverages, float64[..., users]; None: 0.

        Args:
            leverage: on the rate, as of `leverage`.
            of_covariates: on the regression, as of `covariate_leverage`.
        """
        users = np.full(rows.shape[:-2], float(rows.shape[-2]))
        inflated = np.concatenate([rows, np.ones((*rows.shape[:-1], 1))], axis=-1)
        if leverage is not None:
            inflated /= (1 - np.minimum(leverage, LARGEST_LEVERAGE))[..., None]
        weighted = _squared(inflated)
        if of_covariates is None:
            return cls(users, rows.sum(axis=-2), _squared(rows), weighted, weighted)
        inflated /= (1 - np.minimum(of_covariates, LARGEST_LEVERAGE))[..., None]
        return cls(users, rows.sum(axis=-2), _squared(rows), weighted, _squared(inflated))

    @classmethod
    def nobody(cls, features: int) -> "Moments":
        """Of no user."""
        return cls.of(np.zeros((0, features)))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.users + other.users,
            self.totals + other.totals,
            self.products + other.products,
            self.weighted + other.weighted,
            self.weighted_with_covariates + other.weighted_with_covariates,
        )

    def combine(self, groups: Sequence[Sequence[int]]) -> "Moments":
        """Of new features, each the sum of a group of the old ones: the days of a stage, for instance."""
        matrix = np.zeros((self.totals.shape[-1], len(groups)))
        for column, features in enumerate(groups):
            matrix[list(features), column] = 1.0
        with_constant = np.zeros((len(matrix) + 1, len(groups) + 1))
        with_constant[:-1, :-1], with_constant[-1, -1] = matrix, 1.0
        return Moments(
            self.users,
            self.totals @ matrix,
            matrix.T @ self.products @ matrix,
            with_constant.T @ self.weighted @ with_constant,
            with_constant.T @ self.weighted_with_covariates @ with_constant,
        )


def _squared(rows: np.ndarray) -> np.ndarray:
    return np.swapaxes(rows, -1, -2) @ rows
