"""The lift of a ratio metric, and how sure it is where the users, not the impressions, were randomised.

CTR and CVR are ratios of sums over users, R = Σ y_u / Σ x_u, and a user's impressions are anything but independent. The
delta method (Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018) replaces R by its linear
part: user u moves it by (y_u - R x_u) / Σ x, whatever the number of their impressions, and so, with n users,

    var(R) = n / (n - 1) Σ_u (y_u - R x_u)² / (Σ x)²

Several strata (the stages of a ramp) are standardised to one mix, R = Σ_s w_s R_s with the same w_s for both arms, s's
share of the denominators of both arms together. So an arm that grows on days when everybody clicks more does not look
better for it (Simpson's paradox), and a user in several strata is still one user: their parts are added before they are
squared. The lift is R_candidate / R_control - 1; intervals are those of its logarithm, which is closer to normal.

CUPED (Deng, Xu, Kohavi and Walker, WSDM 2013) takes from that logarithm what covariates c of before the experiment
explain of it, θ · (mean c of the candidate's users - mean c of the control's), whose expectation is 0. θ minimises the
variance, which is then 1 - ρ² of what it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from serving.experiment.moments import Moments


@dataclass(frozen=True)
class Effect:
    """Of one comparison, or of many at once; every array has the leading axes of the moments it is made of.

    Where an arm has no denominator or no numerator, and so no lift, the arrays hold "not a number".

    Attributes:
        candidate_rate, control_rate: R of the arms, standardised.
        log_lift: log(R_candidate / R_control), adjusted by the covariates where there are any.
        variance: of `log_lift`.
        unadjusted_variance: of `log_lift` without covariates.
    """

    candidate_rate: np.ndarray
    control_rate: np.ndarray
    log_lift: np.ndarray
    variance: np.ndarray
    unadjusted_variance: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """Relative: 0.03 is three percent more than the control."""
        return np.expm1(self.log_lift)

    @property
    def p_value(self) -> np.ndarray:
        """Two-sided, of no lift; of one look at the end that was fixed before."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2 * stats.norm.sf(np.abs(self.log_lift) / np.sqrt(self.variance))

    def interval(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Of the lift, with level 1 - alpha."""
        half = stats.norm.isf(alpha / 2) * np.sqrt(self.variance)
        with np.errstate(over="ignore"):
            return np.expm1(self.log_lift - half), np.expm1(self.log_lift + half)


def estimate(
    candidate: Moments,
    control: Moments,
    numerators: Sequence[int],
    denominators: Sequence[int],
    covariates: Sequence[int] = (),
) -> Effect:
    """The effect on the ratio of features, standardised over strata.

    Args:
        numerators: the feature that is y in each stratum.
        denominators: the feature that is x in each stratum.
        covariates: features that the experiment cannot have changed; none: no adjustment.
    """
    x = np.stack([arm.totals[..., denominators] for arm in (candidate, control)])
    y = np.stack([arm.totals[..., numerators] for arm in (candidate, control)])
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = (x > 0).all(axis=0)  # a stratum without one of the arms compares nothing
        mix = x.sum(axis=0) * shared
        weights = mix / mix.sum(axis=-1, keepdims=True)
        strata_rates = np.where(shared, y / x, 0.0)
        rates = (weights * strata_rates).sum(axis=-1)
        # What a unit of y or of x moves the logarithm of an arm's rate by.
        slopes = np.where(shared, weights / x, 0.0) / rates[..., None]
    per_arm = [
        _Influence(arm, numerators, denominators, slopes[index], strata_rates[index])
        for index, arm in enumerate((candidate, control))
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        log_lift = np.where((rates > 0).all(axis=0), np.log(rates[0] / rates[1]), np.nan)
    unadjusted = per_arm[0].variance + per_arm[1].variance
    if not covariates:
        return Effect(rates[0], rates[1], log_lift, unadjusted, unadjusted)
    shift, gained = _adjustment(per_arm, list(covariates))
    return Effect(rates[0], rates[1], log_lift - shift, np.maximum(unadjusted - gained, 0.0), unadjusted)


class _Influence:
    """How each user of an arm moves the logarithm of the arm's rate, as a linear function of the user's features."""

    def __init__(
        self,
        moments: Moments,
        numerators: Sequence[int],
        denominators: Sequence[int],
        slopes: np.ndarray,
        rates: np.ndarray,
    ):
        self.moments = moments
        self.coefficients = np.zeros_like(moments.totals)
        self.coefficients[..., numerators] = slopes
        with np.errstate(invalid="ignore"):
            self.coefficients[..., denominators] -= slopes * rates
        self._bessel = moments.users / np.maximum(moments.users - 1, 1)

    @property
    def variance(self) -> np.ndarray:
        squares = np.einsum("...i,...ij,...j->...", self.coefficients, self.moments.products, self.coefficients)
        # One user tells nothing of how users differ.
        return np.where(self.moments.users > 1, self._bessel * np.maximum(squares, 0.0), np.nan)

    def with_covariates(self, covariates: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of the covariates [..., C], their variance [..., C, C], and covariance with the rate [..., C]."""
        users = np.maximum(self.moments.users, 1)[..., None]
        means = self.moments.totals[..., covariates] / users
        centred = (
            self.moments.products[..., covariates, :][..., covariates]
            - users[..., None] * means[..., :, None] * means[..., None, :]
        )
        # The influences of an arm's users sum to 0, so the products need no centring.
        products = np.einsum("...ij,...j->...i", self.moments.products[..., covariates, :], self.coefficients)
        bessel = self._bessel[..., None]
        return means, bessel[..., None] * centred / users[..., None] ** 2, bessel * products / users


def _adjustment(per_arm: list[_Influence], covariates: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """What the covariates explain of the log lift, and of its variance."""
    (candidate_mean, *candidate), (control_mean, *control) = (arm.with_covariates(covariates) for arm in per_arm)
    variance, covariance = (ours + theirs for ours, theirs in zip(candidate, control, strict=True))
    # To a scale of 1, so that what counts as singular does not depend on units; a constant covariate explains nothing.
    scale = np.sqrt(np.diagonal(variance, axis1=-2, axis2=-1))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = np.nan_to_num(variance / (scale[..., :, None] * scale[..., None, :]))
    scaled = np.nan_to_num(covariance / scale)
    theta = np.einsum("...ij,...j->...i", np.linalg.pinv(correlation, rcond=1e-10, hermitian=True), scaled) / scale
    shift = (theta * (candidate_mean - control_mean)).sum(axis=-1)
    return shift, (theta * np.nan_to_num(covariance)).sum(axis=-1)
