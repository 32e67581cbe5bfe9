"""The weekly refresh by hand: who stays, who goes, and that nothing changes when nothing has changed."""

import numpy as np
import pytest

from components.seed_sampling.adaptive_sampling import SamplingPlan
from components.seed_sampling.policies import Adaptive, Clusters, UserBase
from components.seed_sampling.refresh import PreviousSeeds, refresh_seeds


def previous_of(choice, base):
    important = np.array([origin == "important" for origin in choice.origins])
    return PreviousSeeds(choice.indices, important, base.activity[choice.indices], 0)


@pytest.mark.parametrize("budget", [2, 21, 60, 200])
@pytest.mark.parametrize("clusters", [1, 10, 150])
def test_equal_embeddings_change_nothing(base, budget, clusters):
    policy = Adaptive(base, clusters, 5)
    choice = policy.choose(budget)
    previous = previous_of(choice, base)
    refreshed, report = refresh_seeds(base, policy.clusters, SamplingPlan(budget, clusters), previous, 77)
    assert set(refreshed.indices.tolist()) == set(choice.indices.tolist())
    before = dict(zip(choice.indices.tolist(), choice.origins, strict=True))
    assert dict(zip(refreshed.indices.tolist(), refreshed.origins, strict=True)) == before
    assert report["kept"] == report["calls_saved"] == budget and report["new"] == 0
    assert report["calls_saved_share"] == 1


@pytest.mark.parametrize("budget", [10, 40, 120])
def test_budget_and_seats_hold_whatever_has_moved(base, budget):
    last_week = Adaptive(base, 10, 5).choose(60)
    moved = base.unit.copy()
    moved[:80] = moved[np.random.default_rng(1).permutation(80)]
    activity = base.activity.copy()
    activity[::3] = 1
    now = UserBase(moved, activity)
    clusters = Adaptive(now, 12, 5).clusters
    previous = PreviousSeeds(last_week.indices, np.arange(60) >= 30, base.activity[last_week.indices], 4)
    choice, report = refresh_seeds(now, clusters, SamplingPlan(budget, 12), previous, 0)
    assert len(set(choice.indices.tolist())) == budget
    seats = budget // 2
    assert choice.origins == ["representative"] * seats + ["important"] * seats
    taken = np.bincount(clusters.labels[choice.indices[:seats]], minlength=12)
    assert taken.tolist() == clusters.seats(seats).tolist()
    assert report["previous"] == 64 and report["left_the_base"] == 4
    assert 0 < report["kept"] < budget and report["kept"] + report["new"] == budget


# Ten users on a line through the cluster's centre, users 0 to 9 at 0.0 to 0.9 of it, and a second cluster far away.
LINE = np.vstack([np.stack([np.arange(10) / 10, np.zeros(10)], axis=1), np.full((10, 2), 50)]).astype(np.float32)
TWO = Clusters(np.repeat(np.int32([0, 1]), 10), np.float32([[0, 0], [50, 50]]))


def refreshed(seeds, important, plan, activity=None, then=None):
    base = UserBase(LINE, np.full(20, 4) if activity is None else activity)
    then = base.activity[seeds] if then is None else np.array(then)
    previous = PreviousSeeds(np.array(seeds), np.array(important), then, 0)
    choice, report = refresh_seeds(base, TWO, plan, previous, 0)
    assert report["kept"] == np.isin(choice.indices, seeds).sum()
    return choice.indices.tolist()


def test_with_one_seat_only_the_nearest_tenth_stays():
    plan = SamplingPlan(2, 2)  # one representative seat; the tie of 10 and 10 users gives it to cluster 0
    assert refreshed([0, 15], [False, True], plan) == [0, 15]
    assert refreshed([1, 15], [False, True], plan) == [0, 15]  # one of ten users is a tenth: user 1 is second


def test_with_more_seats_anybody_stays_and_the_farthest_goes_first():
    assert refreshed([3, 9, 12, 18], [False] * 4, SamplingPlan(8, 2))[:4] == [3, 9, 12, 18]
    kept = refreshed([3, 9, 5, 12], [False] * 4, SamplingPlan(8, 2))[:4]
    assert kept[:3] == [3, 5, 12] and kept[3] in range(10, 20)  # cluster 0 has two seats: user 9 goes


def test_an_important_user_stays_with_half_the_interactions():
    activity = np.full(20, 4)
    activity[15], activity[16] = 6, 5
    plan = SamplingPlan(4, 2)
    assert refreshed([15, 16], [True, True], plan, activity, then=[12, 10])[2:] == [15, 16]
    activity[:15] = activity[17:] = 10**9  # whoever is drawn anew is none of the two
    assert refreshed([15, 16], [True, True], plan, activity, then=[12, 10])[2:] == [15, 16]
    kept, drawn = refreshed([15, 16], [True, True], plan, activity, then=[12, 11])[2:]
    assert kept == 15 and drawn != 16


def test_fewer_important_seats_keep_the_most_active():
    activity = np.full(20, 4)
    activity[15], activity[16] = 6, 5
    assert refreshed([16, 15], [True, True], SamplingPlan(2, 2), activity)[1:] == [15]


def test_a_cluster_full_of_important_seeds_takes_them_for_its_seats():
    """All ten users of cluster 0 are important seeds, and it has two seats of the representative half."""
    choice = refreshed(list(range(10)), [True] * 10, SamplingPlan(16, 2))
    assert len(set(choice)) == 16
    assert sum(user < 10 for user in choice[:8]) == 4
