"""Lift, sequential test, sample ratio and power: answers worked by hand, and what must hold for any numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serving.experiment.lift import estimate, trend
from serving.experiment.moments import Moments
from serving.experiment.power import minimum_detectable_lift, users_needed
from serving.experiment.sample_ratio import sample_ratio_p_value
from serving.experiment.sequential import confidence_sequence, mixture_p_value

COUNTS = arrays(np.int64, st.tuples(st.integers(2, 12), st.just(3)), elements=st.integers(1, 50))


def of(*rows: tuple[float, ...]) -> Moments:
    """One row for each user."""
    return Moments.of(np.array(rows, float))


def test_moments_are_sums_of_features_and_of_their_products() -> None:
    moments = of((1, 2), (3, 4))
    assert moments.users == 2
    assert moments.totals.tolist() == [4, 6]
    assert moments.products.tolist() == [[10, 14], [14, 20]]


def test_moments_add_up_and_combine_as_the_rows_do() -> None:
    rows = np.random.default_rng(0).integers(0, 9, (20, 4)).astype(float)
    added = Moments.of(rows[:7]) + Moments.of(rows[7:])
    combined = added.combine([[0, 2], [3]])
    direct = Moments.of(np.column_stack([rows[:, 0] + rows[:, 2], rows[:, 3]]))
    assert combined.users == direct.users
    np.testing.assert_allclose(combined.totals, direct.totals)
    np.testing.assert_allclose(combined.products, direct.products)


def test_the_delta_method_by_hand() -> None:
    # R = 4/6; the users' parts y - R x are -1/3 and 1/3; var(R) = 2/1 · (2/9) / 6² = 1/81, over R² that is 1/36.
    # The control's users have the same rate, so it has no variance.
    effect = estimate(of((1, 2), (3, 4)), of((1, 4), (1, 4)), [0], [1])
    assert effect.candidate_rate == pytest.approx(2 / 3)
    assert effect.control_rate == pytest.approx(1 / 4)
    assert effect.lift == pytest.approx(8 / 3 - 1)
    assert effect.variance == pytest.approx(1 / 36)
    low, high = effect.interval(0.05)
    # All variance is of two users, so there is one degree of freedom: Student's t is then Cauchy's distribution.
    assert effect.degrees == pytest.approx(1)
    assert low == pytest.approx(8 / 3 * math.exp(-12.7062 / 6) - 1, rel=1e-4)
    assert high == pytest.approx(8 / 3 * math.exp(12.7062 / 6) - 1, rel=1e-4)
    assert effect.p_value == pytest.approx(1 - 2 / math.pi * math.atan(6 * math.log(8 / 3)))


def test_strata_are_standardised_so_that_pooling_them_would_reverse_the_sign() -> None:
    # Columns: clicks and impressions of stage 1, then of stage 2. +20% in each, but the candidate grew when rates fell.
    candidate = of((6, 50, 12, 500), (6, 50, 12, 500))
    control = of((50, 500, 1, 50), (50, 500, 1, 50))
    assert estimate(candidate, control, [0, 2], [1, 3]).lift == pytest.approx(0.2)
    pooled = estimate(candidate.combine([[0, 2], [1, 3]]), control.combine([[0, 2], [1, 3]]), [0], [1])
    assert pooled.lift == pytest.approx(36 / 102 - 1)


def test_a_stratum_of_one_arm_alone_compares_nothing() -> None:
    both = estimate(of((1, 2, 0, 0), (3, 4, 0, 0)), of((1, 4, 9, 9), (1, 4, 9, 9)), [0, 2], [1, 3])
    alone = estimate(of((1, 2), (3, 4)), of((1, 4), (1, 4)), [0], [1])
    assert both.log_lift == pytest.approx(float(alone.log_lift))
    assert both.variance == pytest.approx(float(alone.variance))


@pytest.mark.parametrize("empty", [(0, 0), (0, 5)], ids=["no impression", "no click"])
def test_an_arm_without_outcomes_has_no_lift(empty: tuple[int, int]) -> None:
    effect = estimate(of(empty, empty), of((1, 4), (2, 4)), [0], [1])
    assert np.isnan(effect.lift)
    assert np.isnan(effect.interval(0.05)).all()
    assert np.isnan(effect.p_value)


def test_one_user_tells_no_variance() -> None:
    assert np.isnan(estimate(of((1, 2)), of((1, 4), (2, 4)), [0], [1]).variance)


def test_cuped_takes_away_what_the_covariate_explains() -> None:
    # Rates are 1/2 in both arms, and a user's part y - x/2 is the covariate: nothing is left.
    rows = [(4 + c, 8, c) for c in (-2, -1, 1, 2)]
    effect = estimate(of(*rows), of(*rows), [0], [1], [2])
    assert effect.unadjusted_variance > 0.01
    assert effect.variance == pytest.approx(0, abs=1e-12)
    assert effect.log_lift == pytest.approx(0)


def test_cuped_moves_the_lift_by_the_difference_of_the_covariates() -> None:
    # Users of the candidate clicked more, by what they did before as well: R = 5/8 against 4/8.
    candidate = of(*[(5 + c, 8, c + 1) for c in (-2, -1, 1, 2)])
    control = of(*[(4 + c, 8, c) for c in (-2, -1, 1, 2)])
    plain, adjusted = estimate(candidate, control, [0], [1]), estimate(candidate, control, [0], [1], [2])
    assert plain.log_lift == pytest.approx(math.log(5 / 4))
    # Both slopes c -> part / (n R x̄) are 1/(4·5) and 1/(4·4) a user; θ is their mean weighted equally, times n.
    theta = (1 / 5 + 1 / 4) / 2
    assert adjusted.log_lift == pytest.approx(math.log(5 / 4) - theta * 1)


def test_a_constant_covariate_changes_nothing() -> None:
    rows = [(1, 2, 7), (3, 4, 7), (2, 5, 7)]
    plain, adjusted = (estimate(of(*rows), of(*rows[::-1]), [0], [1], covariates) for covariates in ([], [2]))
    assert adjusted.variance == pytest.approx(float(plain.variance))
    assert adjusted.log_lift == pytest.approx(float(plain.log_lift))


@settings(deadline=None)
@given(candidate=COUNTS, control=COUNTS)
def test_properties_of_an_estimate(candidate: np.ndarray, control: np.ndarray) -> None:
    ours, theirs = Moments.of(candidate.astype(float)), Moments.of(control.astype(float))
    effect, turned = estimate(ours, theirs, [0], [1]), estimate(theirs, ours, [0], [1])
    assert effect.variance >= -1e-12
    assert effect.log_lift == pytest.approx(-float(turned.log_lift))
    assert effect.variance == pytest.approx(float(turned.variance))
    adjusted = estimate(ours, theirs, [0], [1], [2])
    assert -1e-9 <= adjusted.variance <= effect.variance + 1e-9
    # A user's impressions count as one user's, however they are divided among features.
    split = [
        Moments.of(np.column_stack([rows[:, :2] // 2, rows[:, :2] - rows[:, :2] // 2]).astype(float))
        for rows in (candidate, control)
    ]
    again = estimate(*(moments.combine([[0, 2], [1, 3]]) for moments in split), [0], [1])
    assert again.variance == pytest.approx(float(effect.variance))


def test_many_experiments_at_once_are_as_one_by_one() -> None:
    rows = np.random.default_rng(1).integers(1, 9, (2, 5, 30, 5)).astype(float)
    together = estimate(Moments.of(rows[0]), Moments.of(rows[1]), [0, 1], [2, 3], [4])
    for index in range(5):
        alone = estimate(Moments.of(rows[0, index]), Moments.of(rows[1, index]), [0, 1], [2, 3], [4])
        assert together.log_lift[index] == pytest.approx(float(alone.log_lift))
        assert together.variance[index] == pytest.approx(float(alone.variance))


def test_the_mixture_test_by_hand() -> None:
    # With V = τ² = 1, Λ = sqrt(1/2) exp(θ²/4), which is 20 at θ² = 4 log(20 sqrt(2)).
    theta = math.sqrt(4 * math.log(20 * math.sqrt(2)))
    looks = mixture_p_value(np.array([0.0, theta, 0.0]), np.ones(3), 1.0)
    assert looks == pytest.approx([1.0, 0.05, 0.05])  # what was found once stays found
    assert confidence_sequence(np.ones(1), 1.0, 0.05) == pytest.approx(theta)


def test_a_look_without_an_estimate_is_none() -> None:
    looks = mixture_p_value(np.array([np.nan, 5.0]), np.array([np.nan, 1.0]), 1.0)
    assert looks[0] == 1.0
    assert looks[1] < 0.05


@given(log_lift=st.floats(-3, 3), variance=st.floats(1e-6, 10), tau=st.floats(1e-3, 1), alpha=st.floats(1e-3, 0.5))
def test_the_confidence_sequence_is_what_the_test_does_not_reject(
    log_lift: float, variance: float, tau: float, alpha: float
) -> None:
    half = float(confidence_sequence(np.array([variance]), tau, alpha)[0])
    if abs(abs(log_lift) - half) > 1e-6 * half:
        rejected = mixture_p_value(np.array([log_lift]), np.array([variance]), tau)[0] < alpha
        assert rejected == (abs(log_lift) > half)


def test_the_sample_ratio_by_hand() -> None:
    # χ² = 2 · 100² / 5,000 = 4, with one degree of freedom.
    assert sample_ratio_p_value(5_100, 4_900, 0.5) == pytest.approx(math.erfc(math.sqrt(2)))
    assert sample_ratio_p_value(100, 900, 0.1) == pytest.approx(1.0)
    assert sample_ratio_p_value(0, 0, 0.5) == 1.0


def test_power_by_hand() -> None:
    # n = 2 ((1.95996 + 0.84162) / 0.1)² = 1,569.8
    assert users_needed(1.0, math.expm1(0.1), alpha=0.05, power=0.8) == 1_570
    assert users_needed(1.0, math.expm1(-0.1), alpha=0.05, power=0.8) == 1_570
    assert minimum_detectable_lift(1.0, 1_570, 1_570, 0.05, 0.8) == pytest.approx(math.expm1(0.1), rel=1e-3)
    assert minimum_detectable_lift(1.0, 1_000, 0, 0.05, 0.8) != minimum_detectable_lift(1.0, 1_000, 9, 0.05, 0.8)
    with pytest.raises(ValueError, match="lift of 0"):
        users_needed(1.0, 0.0, 0.05, 0.8)


@pytest.mark.parametrize(("users", "deviation"), [(2, 30.0), (100_000_000, 0.5), (10, 1e-6)])
def test_detectable_lifts_of_any_size(users: int, deviation: float) -> None:
    expected = math.expm1((1.959964 + 0.841621) * deviation * math.sqrt(2 / users))
    assert minimum_detectable_lift(deviation, users, users, 0.05, 0.8) == pytest.approx(expected, rel=1e-2)


def test_cuped_in_an_arm_of_few_users_loses_degrees_of_freedom() -> None:
    rows = np.random.default_rng(4).integers(1, 9, (2, 20, 4)).astype(float)
    plain, adjusted = (
        estimate(Moments.of(rows[0]), Moments.of(rows[1]), [0], [1], covariates) for covariates in ([], [2, 3])
    )
    assert 19 <= float(plain.degrees) <= 38
    assert float(adjusted.degrees) <= 36


def test_a_trend_by_hand() -> None:
    # Rates double from one day to the next in one arm and stay in the other: the slope is log 2.
    ours, theirs = of((1, 10, 2, 10), (3, 10, 6, 10)), of((2, 10, 2, 10), (2, 10, 2, 10))
    found = trend(ours, theirs, [0, 2], [1, 3])
    assert found.slope == pytest.approx(math.log(2))
    # Both days move together with the users: what a user adds to the slope is 0, so it has no variance and no p value.
    assert found.p_value is None
    assert trend(ours, theirs, [0], [1]).slope is None
