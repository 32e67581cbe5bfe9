"""The lift of a ratio metric, and how sure it is where the users, not the impressions, were randomised.

CTR and CVR are ratios of sums over users, R = Σ y_u / Σ x_u, and a user's impressions are anything but independent. The
delta method (Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018) replaces R by its linear
part: user u moves it by (y_u - R x_u) / Σ x, whatever the number of their impressions, and so, with n users,

    var(R) = n / (n - 1) Σ_u (y_u - R x_u)² / (Σ x)²

A mean over users is the ratio whose x_u are 1. Several strata (the stages of a ramp) are standardised to one mix,
R = Σ_s w_s R_s with the same w_s for both arms, s's share of the denominators of both arms together. So an arm that
grows on days when everybody clicks more does not look better for it (Simpson's paradox), and a user in several strata
is still one user: their parts are added before they are squared. The lift is R_candidate / R_control - 1; intervals
are those of its logarithm, which is closer to normal.

CUPED (Deng, Xu, Kohavi and Walker, WSDM 2013) takes from that logarithm what covariates c of before the experiment
explain of it, θ · (mean c of the candidate's users - mean c of the control's), whose expectation is 0. θ minimises the
variance, which is then 1 - ρ² of what it was.

In small experiments the sum of squares is too small and θ fits chance, so each user's square is weighted by the user's
leverage (see `moments`), and quantiles are Student's, with the degrees of freedom of Welch and Satterthwaite less one
for each covariate.
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
        degrees: degrees of freedom of `variance`.
    """

    candidate_rate: np.ndarray
    control_rate: np.ndarray
    log_lift: np.ndarray
    variance: np.ndarray
    unadjusted_variance: np.ndarray
    degrees: np.ndarray

    @property
    def lift(self) -> np.ndarray:
        """Relative: 0.03 is three percent more than the control."""
        return np.expm1(self.log_lift)

    @property
    def p_value(self) -> np.ndarray:
        """Two-sided, of no lift; of one look at the end that was fixed before."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2 * stats.t.sf(np.abs(self.log_lift) / np.sqrt(self.variance), self.degrees)

    def interval(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Of the lift, with level 1 - alpha."""
        half = stats.t.isf(alpha / 2, self.degrees) * np.sqrt(self.variance)
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
    rates, per_arm = _influences(candidate, control, numerators, denominators)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_lift = np.where((rates > 0).all(axis=0), np.log(rates[0] / rates[1]), np.nan)
    unadjusted = per_arm[0].variance + per_arm[1].variance
    if not covariates:
        return Effect(rates[0], rates[1], log_lift, unadjusted, unadjusted, _degrees(per_arm, 0))
    theta = _theta(per_arm, list(covariates))
    residual = [arm.without(list(covariates), theta) for arm in per_arm]
    shift = (theta * (per_arm[0].means(list(covariates)) - per_arm[1].means(list(covariates)))).sum(axis=-1)
    variance = residual[0].variance + residual[1].variance
    return Effect(rates[0], rates[1], log_lift - shift, variance, unadjusted, _degrees(residual, len(covariates)))


@dataclass(frozen=True)
class Trend:
    """How the logarithm of a lift changes from one day to the next.

    Attributes:
        slope: log lift a day; None with fewer than two days that have a lift.
        p_value: two-sided, of no change.
    """

    slope: float | None
    p_value: float | None


def trend(candidate: Moments, control: Moments, numerators: Sequence[int], denominators: Sequence[int]) -> Trend:
    """The least-squares slope over days of their log lifts, whose variance allows for users who come on several.

    Args:
        numerators, denominators: the features of each day, in order, evenly spaced.
    """
    used, log_lifts, parts = [], [], []
    for day, (numerator, denominator) in enumerate(zip(numerators, denominators, strict=True)):
        rates, per_arm = _influences(candidate, control, [numerator], [denominator])
        if (rates > 0).all():
            used.append(day)
            log_lifts.append(float(np.log(rates[0] / rates[1])))
            parts.append(per_arm)
    if len(used) < 2:
        return Trend(None, None)
    centred = np.array(used) - np.mean(used)
    weights = centred / (centred**2).sum()
    per_arm = [
        _Influence(
            arm,
            sum(weight * part[index].coefficients for weight, part in zip(weights, parts, strict=True)),
            arm.weighted,
        )
        for index, arm in enumerate((candidate, control))
    ]
    slope = float(weights @ np.array(log_lifts))
    variance = float(per_arm[0].variance + per_arm[1].variance)
    if not variance > 0:
        return Trend(slope, None)
    return Trend(slope, float(2 * stats.t.sf(abs(slope) / np.sqrt(variance), _degrees(per_arm, 0))))


class _Influence:
    """How each user of an arm moves the logarithm of the arm's rate, as a linear function of the user's features.

    `coefficients` has one for each feature and, last, the constant; `weighted` is one of the two of `Moments`.
    """

    def __init__(self, moments: Moments, coefficients: np.ndarray, weighted: np.ndarray):
        self.moments = moments
        self.coefficients = coefficients
        self._weighted = weighted
        self._bessel = moments.users / np.maximum(moments.users - 1, 1)

    @property
    def variance(self) -> np.ndarray:
        squares = np.einsum("...i,...ij,...j->...", self.coefficients, self._weighted, self.coefficients)
        # One user tells nothing of how users differ.
        return np.where(self.moments.users > 1, self._bessel * np.maximum(squares, 0.0), np.nan)

    def means(self, covariates: list[int]) -> np.ndarray:
        """Means of the covariates, [..., C]."""
        return self.moments.totals[..., covariates] / np.maximum(self.moments.users, 1)[..., None]

    def variance_of(self, covariates: list[int]) -> np.ndarray:
        """Variance of the covariates' means, [..., C, C]."""
        means, users = self.means(covariates), np.maximum(self.moments.users, 1)[..., None, None]
        products = self.moments.products[..., covariates, :][..., covariates]
        centred = products - users * means[..., :, None] * means[..., None, :]
        return self._bessel[..., None, None] * centred / users**2

    def covariance_with(self, covariates: list[int]) -> np.ndarray:
        """Covariance of the covariates' means with the logarithm of the rate, [..., C]."""
        # The influences of an arm's users sum to 0, so the products need no centring.
        products = np.einsum("...ij,...j->...i", self.moments.products[..., covariates, :], self.coefficients[..., :-1])
        return self._bessel[..., None] * products / np.maximum(self.moments.users, 1)[..., None]

    def without(self, covariates: list[int], theta: np.ndarray) -> "_Influence":
        """What is left of the influences when θ times the covariates is taken away."""
        slopes = theta / np.maximum(self.moments.users, 1)[..., None]
        rest = self.coefficients.copy()
        rest[..., covariates] -= slopes
        rest[..., -1] += (slopes * self.means(covariates)).sum(axis=-1)
        return _Influence(self.moments, rest, self.moments.weighted_with_covariates)


def _influences(
    candidate: Moments, control: Moments, numerators: Sequence[int], denominators: Sequence[int]
) -> tuple[np.ndarray, list[_Influence]]:
    """The rates of the arms, [2, ...], and the influences of the users of each."""
    arms = (candidate, control)
    x = np.stack([arm.totals[..., denominators] for arm in arms])
    y = np.stack([arm.totals[..., numerators] for arm in arms])
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = (x > 0).all(axis=0)  # a stratum without one of the arms compares nothing
        mix = x.sum(axis=0) * shared
        weights = mix / mix.sum(axis=-1, keepdims=True)
        strata_rates = np.where(shared, y / x, 0.0)
        rates = (weights * strata_rates).sum(axis=-1)
        # What a unit of y or of x moves the logarithm of an arm's rate by.
        slopes = np.where(shared, weights / x, 0.0) / rates[..., None]
    influences = []
    for index, arm in enumerate(arms):
        coefficients = np.zeros((*arm.totals.shape[:-1], arm.totals.shape[-1] + 1))
        coefficients[..., numerators] = slopes[index]
        with np.errstate(invalid="ignore"):
            coefficients[..., denominators] -= slopes[index] * strata_rates[index]
        influences.append(_Influence(arm, coefficients, arm.weighted))
    return rates, influences


def _theta(per_arm: list[_Influence], covariates: list[int]) -> np.ndarray:
    """What of the log lift a unit of the difference of each covariate's means explains, [..., C]."""
    variance = per_arm[0].variance_of(covariates) + per_arm[1].variance_of(covariates)
    covariance = per_arm[0].covariance_with(covariates) + per_arm[1].covariance_with(covariates)
    # To a scale of 1, so that what counts as singular does not depend on units; a constant covariate explains nothing.
    scale = np.sqrt(np.diagonal(variance, axis1=-2, axis2=-1))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = np.nan_to_num(variance / (scale[..., :, None] * scale[..., None, :]))
    scaled = np.nan_to_num(covariance / scale)
    return np.einsum("...ij,...j->...i", np.linalg.pinv(correlation, rcond=1e-10, hermitian=True), scaled) / scale


def _degrees(per_arm: list[_Influence], covariates: int) -> np.ndarray:
    """Of Welch and Satterthwaite, less one for each covariate; 1 at least."""
    variances = [arm.variance for arm in per_arm]
    total = variances[0] + variances[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = sum(
            variance**2 / np.maximum(arm.moments.users - 1, 1) for variance, arm in zip(variances, per_arm, strict=True)
        )
        degrees = np.where(parts > 0, total**2 / parts, sum(arm.moments.users for arm in per_arm) - 2)
    return np.maximum(degrees - covariates, 1.0)
