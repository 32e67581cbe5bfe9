"""Tests of balance and of arms without outcomes, by hand and by what other packages say."""

import math

import numpy as np
import pytest
from scipy import stats

from serving.experiment.balance import counts_p_value, covariates_p_value, exact_bounds, exact_p_value
from serving.experiment.moments import Moments, covariate_leverage


def test_one_covariate_is_students_test() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(0.3, 1, (40, 1)), generator.normal(0, 1, (60, 1))
    p_value = covariates_p_value(Moments.of(ours), Moments.of(theirs), [0])
    assert p_value == pytest.approx(stats.ttest_ind(ours[:, 0], theirs[:, 0]).pvalue)


def test_covariates_that_repeat_each_other_count_once() -> None:
    generator = np.random.default_rng(1)
    ours, theirs = generator.normal(0.3, 1, (40, 1)), generator.normal(0, 1, (60, 1))
    once = covariates_p_value(Moments.of(ours), Moments.of(theirs), [0])
    doubled = [Moments.of(np.column_stack([rows, 2 * rows, np.ones(len(rows))])) for rows in (ours, theirs)]
    assert covariates_p_value(*doubled, [0, 1, 2]) == pytest.approx(once)
    assert covariates_p_value(*doubled, [2]) == 1


def test_the_level_of_the_balance_test_holds() -> None:
    generator = np.random.default_rng(2)
    rows = generator.poisson(generator.gamma(0.5, 4.0, (400, 300, 1)), (400, 300, 3)).astype(float)
    alarms = [covariates_p_value(Moments.of(of[:150]), Moments.of(of[150:]), [0, 1, 2]) < 0.05 for of in rows]
    assert 0.02 < np.mean(alarms) < 0.08


def test_shares_of_classes_by_hand() -> None:
    # χ² = 4 · 5² / 25 = 4 with one degree of freedom; the class without users does not count.
    assert counts_p_value(np.array([30, 20, 0]), np.array([20, 30, 0])) == pytest.approx(math.erfc(math.sqrt(2)))
    assert counts_p_value(np.array([5.0]), np.array([9.0])) == 1


def test_exact_answers_by_hand() -> None:
    # Of 4 users with an outcome among 4 + 4, all are the control's: 2 / C(8, 4).
    assert exact_p_value((0, 4), (4, 4)) == pytest.approx(2 / math.comb(8, 4))
    # With all 3 on one side, Clopper and Pearson's end is (α/2)^(1/3); arms of 100 and 200 users.
    end = 0.025 ** (1 / 3)
    assert exact_bounds((0, 100), (3, 200), 0.05) == pytest.approx((-1, (1 - end) / end * 2 - 1))
    assert exact_bounds((3, 100), (0, 200), 0.05) == pytest.approx((end / (1 - end) * 2 - 1, math.inf))
    assert exact_bounds((0, 100), (0, 200), 0.05) == (-1, math.inf)


def test_leverages_of_a_regression_add_up_to_its_covariates() -> None:
    rows = np.random.default_rng(3).normal(size=(20, 3))
    centred = rows - rows.mean(axis=0)
    assert covariate_leverage(centred, centred.T @ centred).sum() == pytest.approx(3)
