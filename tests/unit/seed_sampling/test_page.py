"""The page, and the map on it."""

import numpy as np
import pytest

from components.seed_sampling.page import _spanning_axis
from components.seed_sampling.policies import SeedChoice, UserBase
from components.seed_sampling.user_map import map_users


def test_the_map_shows_the_directions_of_most_variance():
    """Along y the users differ most, then along x, and not at all along z."""
    unit = np.float32([[0.1, 0.9, 0.3], [-0.1, 0.9, 0.3], [0.1, -0.9, 0.3], [-0.1, -0.9, 0.3]])
    mapped = map_users(UserBase(unit, np.ones(4, np.int64)), SeedChoice(np.array([2]), ["random"]), 0)
    assert mapped["users"] == [[0.9, 0.1], [0.9, -0.1], [-0.9, 0.1], [-0.9, -0.1]]
    assert mapped["seeds"] == {"random": [[-0.9, 0.1]]} and mapped["variance"] == 1


@pytest.mark.parametrize("unit", [np.ones((5, 3)), np.zeros((5, 3)), np.ones((5, 1))])
def test_equal_users_are_one_point(unit):
    base = UserBase(unit.astype(np.float32), np.ones(5, np.int64))
    mapped = map_users(base, SeedChoice(np.array([0]), ["random"]), 0)
    assert mapped["users"] == [[0, 0]] * 5 and mapped["variance"] is None


def test_a_large_base_is_drawn_in_part():
    base = UserBase(np.random.default_rng(0).normal(size=(2_500, 4)).astype(np.float32), np.ones(2_500, np.int64))
    mapped = map_users(base, SeedChoice(np.arange(600), ["random"] * 600), 0)
    assert len(mapped["users"]) == 2_000 and len(mapped["seeds"]["random"]) == 500


@pytest.mark.parametrize("values", [[0.0], [-0.3, 0.9], [5, 5.00001], [-120.0, 4]])
def test_an_axis_spans_its_values(values):
    axis = _spanning_axis("label", values)
    assert axis.low < min(values) and axis.high > max(values)
    assert 2 <= len(axis.ticks) <= 7 and all(axis.low <= tick <= axis.high for tick, _ in axis.ticks)
