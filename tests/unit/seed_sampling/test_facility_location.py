"""Greedy facility location against exhaustive search, plain greedy, and cases by hand."""

from itertools import combinations, islice

import numpy as np
import pytest

from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.facility_location import LazyGreedy, greedy_order


def random_users(n, d, seed):
    return normalise_rows(np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32))


def greedy(unit):
    """Picks and gains of one part, each pick covering before the next."""
    part = LazyGreedy(unit)
    while (pick := part.pick()) is not None:
        yield pick
        part.cover(unit[[pick[0]]])


def covered(unit, seeds):
    return np.maximum(0, (unit.astype(np.float64) @ unit[list(seeds)].astype(np.float64).T).max(axis=1)).sum()


@pytest.mark.parametrize("seed", range(5))
def test_every_lazy_pick_is_one_that_plain_greedy_makes(seed):
    """Two users who would help each other alone add exactly the same, so plain greedy's pick need not be unique."""
    unit = random_users(60, 5, seed)
    chosen, total = [], 0.0
    for candidate, gain in islice(greedy(unit), 40):
        best = max(covered(unit, [*chosen, user]) for user in range(60) if user not in chosen)
        chosen.append(candidate)
        assert covered(unit, chosen) == pytest.approx(best, abs=1e-4)
        assert gain == pytest.approx(best - total, abs=1e-4)
        total = best


@pytest.mark.parametrize("seed", range(10))
def test_at_least_63_percent_of_the_best_there_is(seed):
    unit = random_users(12, 3, seed)
    chosen = [candidate for candidate, _ in islice(greedy(unit), 3)]
    best = max(covered(unit, seeds) for seeds in combinations(range(12), 3))
    assert (1 - 1 / np.e) * best <= covered(unit, chosen) <= best + 1e-9


def test_two_groups_by_hand():
    """Three users along x, the middle one exactly; two along y. The middle one first, then one of the pair."""
    unit = normalise_rows(np.float32([[10, 1, 0], [10, 0, 0], [10, -1, 0], [0, 0, 1], [0, 0, 1]]))
    picks = list(greedy(unit))
    assert [candidate for candidate, _ in picks[:2]] == [1, 3]  # users 3 and 4 are equal: the lower index
    assert picks[0][1] == pytest.approx(1 + 2 * 10 / np.sqrt(101), abs=1e-5)
    assert picks[1][1] == pytest.approx(2, abs=1e-6)
    assert sorted(candidate for candidate, _ in picks) == list(range(5))


def test_gains_never_grow():
    unit = random_users(200, 6, 0)
    gains = [gain for _, gain in greedy(unit)]
    assert len(gains) == 200 and (np.diff(gains) < 1e-4).all()


def test_opposite_users_and_zero_rows_harm_nobody():
    unit = np.float32([[1, 0], [-1, 0], [0, 0], [1, 0]])
    picks = list(greedy(unit))
    assert [candidate for candidate, _ in picks] == [0, 1, 2, 3]
    assert [gain for _, gain in picks] == pytest.approx([2, 1, 0, 0])


def test_one_part_is_plain_greedy_and_no_seed_decides_it():
    unit = random_users(80, 4, 1)
    order = [candidate for candidate, _ in greedy(unit)]
    assert list(greedy_order(unit, 80, 0)) == list(greedy_order(unit, 80, 7)) == order


@pytest.mark.parametrize("largest", [1, 7, 40, 79])
def test_every_user_of_every_part_is_picked_once(largest):
    assert sorted(greedy_order(random_users(80, 4, 1), largest, 0)) == list(range(80))


def test_what_seeds_of_other_parts_cover_adds_nothing():
    """Sixty users of one taste and twenty of another: the larger taste comes first, unless somebody covers it."""
    part = LazyGreedy(np.repeat(np.eye(2, dtype=np.float32), [60, 20], axis=0))
    part.cover(np.float32([[1, 0]]))
    assert part.pick() == (60, 20)


@pytest.mark.parametrize("budget", [20, 60, 150])
def test_parts_cover_better_than_chance_and_not_far_from_one(budget):
    generator = np.random.default_rng(0)
    tastes = np.eye(12)[generator.geometric(0.2, 600) % 12]
    unit = normalise_rows((tastes + 0.3 * generator.normal(size=(600, 12))).astype(np.float32))
    one, five = (covered(unit, list(islice(greedy_order(unit, part, 0), budget))) for part in (600, 120))
    chance = covered(unit, generator.permutation(600)[:budget])
    assert max(chance, 0.93 * one) < five < one
