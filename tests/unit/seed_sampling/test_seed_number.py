"""The curve over the number of seeds and its knee."""

import numpy as np
import pytest

from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.policies import POLICIES, FacilityLocation, UserBase
from components.seed_sampling.seed_number import curve_budgets, find_knee, seed_number_curve


@pytest.mark.parametrize(
    ("x", "y", "knee"),
    [
        ([1, 2, 3, 4, 5], [0.0, 0.6, 0.8, 0.9, 1.0], 2),  # above the chord by 0, 0.35, 0.3, 0.15, 0
        ([10, 20, 40, 80], [0.1, 0.5, 0.6, 0.62], 20),
        ([1, 2, 3], [0.0, 0.5, 1.0], None),  # a straight line
        ([1, 2, 3], [0.0, 0.1, 1.0], None),  # more seeds add more
        ([1, 2, 3], [0.5, 0.5, 0.5], None),
        ([1, 2], [0.0, 1.0], None),
        ([1, 2, 3], [0.9, 0.8, 0.7], None),
    ],
)
def test_the_knee_by_hand(x, y, knee):
    assert find_knee(x, y) == knee


def test_the_knee_is_where_the_groups_are_used_up():
    """Twelve tight groups: every greedy seed up to the twelfth covers a group, the later ones add nothing much."""
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 30)
    unit = normalise_rows((np.eye(16)[group] + 0.02 * generator.normal(size=(360, 16))).astype(np.float32))
    curve = seed_number_curve(FacilityLocation(UserBase(unit, np.ones(360, np.int64)), 1, 0), 24, 100.0)
    above = [point["seeds"] for point in curve["points"] if point["coverage"] == 1]
    assert min(above) >= 12
    assert curve["knee"] == min(above)


@pytest.mark.parametrize("name", POLICIES)
def test_costs_and_the_budget_itself(base, name):
    curve = seed_number_curve(POLICIES[name](base, 10, 0), 20, 250.5)
    seeds = [point["seeds"] for point in curve["points"]]
    assert seeds == sorted(set(seeds)) and seeds[0] == 1 and 20 in seeds and seeds[-1] == 40
    assert [point["tokens"] for point in curve["points"]] == [round(250.5 * number) for number in seeds]
    assert [point["calls"] for point in curve["points"]] == seeds
    assert curve["points"][-1]["similarity_mean"] > curve["points"][0]["similarity_mean"]


@pytest.mark.parametrize("budget", [1, 2, 100])
def test_never_more_seeds_than_users(budget):
    budgets = curve_budgets(budget, 100)
    assert budgets[0] >= 1 and budgets[-1] <= 100 and budget in budgets
