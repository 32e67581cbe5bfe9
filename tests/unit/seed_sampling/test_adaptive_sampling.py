"""The sampling of 3.1.1 against cases worked by hand."""

import numpy as np
import pytest

from components.foundation.errors import InputError
from components.seed_sampling.adaptive_sampling import (
    SamplingPlan,
    allocate_seats,
    plan_sampling,
    sample_important,
    sample_representative,
)


@pytest.mark.parametrize(
    ("users", "fraction", "clusters", "budget", "expected_clusters"),
    [
        (6040, 0.1, 0, 604, 302),  # ML-1M, as in the paper
        (22363, 0.1, 0, 2236, 1118),
        (25, 0.1, 3, 2, 3),  # 2.5 goes to the even neighbour
        (35, 0.1, 3, 4, 3),  # 3.5 as well
        (4, 1.0, 0, 4, 1),  # round(0.2) is 0, one cluster is the least
    ],
)
def test_budget_and_clusters(users, fraction, clusters, budget, expected_clusters):
    assert plan_sampling(users, fraction, clusters) == SamplingPlan(budget, expected_clusters)


@pytest.mark.parametrize(("budget", "seats"), [(604, 302), (5, 3), (1, 1)])
def test_the_representative_half_is_rounded_up(budget, seats):
    assert SamplingPlan(budget, 1).representative_seats == seats


@pytest.mark.parametrize(
    ("users", "fraction", "clusters", "setting"),
    [
        (100, 0.0, 0, "seed_fraction"),
        (100, -0.1, 0, "seed_fraction"),
        (100, 1.01, 0, "seed_fraction"),
        (100, float("nan"), 0, "seed_fraction"),
        (100, 0.001, 0, "seed_fraction"),  # no seed user at all
        (100, 0.1, 101, "clusters"),
        (100, 0.1, -1, "clusters"),
    ],
)
def test_bad_settings_are_named(users, fraction, clusters, setting):
    with pytest.raises(InputError, match=setting):
        plan_sampling(users, fraction, clusters)


@pytest.mark.parametrize(
    ("sizes", "seats", "expected"),
    [
        ([5, 3, 2], 5, [3, 1, 1]),  # shares 2.5, 1.5, 1: one seat is left, and the tie of 0.5 goes to the lower cluster
        ([6, 3, 1], 4, [3, 1, 0]),  # shares 2.4, 1.2, 0.4: the tie of 0.4 goes to the lower cluster
        ([7, 2, 1], 3, [2, 1, 0]),  # shares 2.1, 0.6, 0.3
        ([4, 0, 4], 3, [2, 0, 1]),  # an empty cluster gets nothing; shares 1.5 and 1.5
        ([2, 1], 3, [2, 1]),  # all seats: never more than a cluster's users
    ],
)
def test_seats_by_largest_remainder(sizes, seats, expected):
    assert allocate_seats(np.array(sizes), seats).tolist() == expected


def test_one_seat_goes_to_the_user_nearest_the_centre_and_ties_to_the_lower_index():
    unit = np.array([[0, 9], [1, 0], [-1, 0], [0, 9], [5, 5]], np.float32)
    labels = np.array([0, 1, 1, 0, 1], np.int32)
    centres = np.array([[0, 8], [0, 0]], np.float32)
    chosen = sample_representative(unit, labels, centres, np.array([1, 1]), np.random.default_rng(0))
    assert chosen.tolist() == [0, 1]  # users 0 and 3 are equal; users 1 and 2 are both at distance 1, user 4 is further


def test_more_seats_are_a_uniform_draw_without_replacement():
    unit = np.zeros((4, 1), np.float32)
    labels = np.zeros(4, np.int32)
    counts = np.zeros(4)
    for seed in range(2000):
        chosen = sample_representative(unit, labels, unit[:1], np.array([2]), np.random.default_rng(seed))
        assert len(set(chosen.tolist())) == 2
        counts[chosen] += 1
    # Each user is in half of the draws; five standard deviations of Binomial(2000, 1/2) are 112.
    assert np.abs(counts - 1000).max() < 112


def test_bernoulli_weights_of_one_seat():
    """Users with 1, 1 and 2 interactions: p = 1/4, 1/4, 1/2, by hand.

    Of the eight outcomes of a pass, those that choose k users give each of them the seat with 1/k:
    user 2: 1/2 · (9/16 + 6/16 · 1/2 + 1/16 · 1/3) = 37/96. A pass is empty with 3/4 · 3/4 · 1/2 = 9/32, and is
    repeated; so user 2 has the seat with 37/96 · 32/23 = 37/69, and users 0 and 1 have it with 16/69 each.
    """
    activity = np.array([1, 1, 2])
    generator = np.random.default_rng(0)
    draws = 20_000
    counts = np.zeros(3)
    for _ in range(draws):
        counts[sample_important(activity, np.ones(3, bool), 1, generator)] += 1
    expected = np.array([16 / 69, 16 / 69, 37 / 69])
    deviation = np.sqrt(draws * expected * (1 - expected))
    assert (np.abs(counts - draws * expected) < 5 * deviation).all()


def test_grouped_passes_have_the_distribution_of_plain_passes():
    """The same sampling written as the text says it, one Bernoulli trial a user and pass."""

    def plain(activity, seats, generator):
        chosen = []
        while len(chosen) < seats:
            left = np.setdiff1d(np.arange(len(activity)), chosen)
            selected = left[generator.random(len(left)) < activity[left] / activity[left].sum()]
            chosen += generator.permutation(selected)[: seats - len(chosen)].tolist()
        return chosen

    activity = np.array([1, 1, 1, 2, 2, 5, 8])
    draws = 4000
    generator = np.random.default_rng(1)
    ours, theirs = np.zeros(7), np.zeros(7)
    for _ in range(draws):
        ours[sample_important(activity, np.ones(7, bool), 3, generator)] += 1
        theirs[plain(activity, 3, generator)] += 1
    # The difference of two shares has at most the standard deviation sqrt(2 · 1/4 / draws).
    assert np.abs(ours - theirs).max() / draws < 5 * np.sqrt(0.5 / draws)


def test_important_users_are_available_and_distinct():
    available = np.arange(50) % 2 == 0
    chosen = sample_important(np.arange(1, 51), available, 25, np.random.default_rng(0))
    assert sorted(chosen.tolist()) == list(range(0, 50, 2))
