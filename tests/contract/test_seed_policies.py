"""One behaviour suite over all policies of seed sampling."""

import numpy as np
import pytest

from components.foundation.errors import InputError
from components.seed_sampling import policies
from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.nearest import nearest_seeds
from components.seed_sampling.policies import POLICIES, UserBase, find_policy

ORIGINS = {
    "adaptive": {"representative", "important"},
    "random": {"random"},
    "representative": {"representative"},
    "important": {"important"},
    "facility_location": {"facility_location"},
}
EVERY = pytest.mark.parametrize("name", POLICIES)


def make_base(users=200, seed=3):
    generator = np.random.default_rng(seed)
    matrix = np.eye(8)[generator.integers(0, 8, users)] + 0.3 * generator.normal(size=(users, 8))
    return UserBase(normalise_rows(matrix.astype(np.float32)), generator.integers(3, 60, users))


def test_every_policy_is_in_the_suite():
    assert set(ORIGINS) == set(POLICIES)


@EVERY
@pytest.mark.parametrize("budget", [2, 20, 71, 200])
def test_the_budget_is_filled_with_distinct_users(name, budget):
    choice = POLICIES[name](make_base(), 10, 5).choose(budget)
    assert len(choice.indices) == len(choice.origins) == budget
    assert len(set(choice.indices.tolist())) == budget
    assert choice.indices.min() >= 0 and choice.indices.max() < 200
    assert set(choice.origins) == ORIGINS[name]


@EVERY
def test_it_repeats_and_does_not_depend_on_what_was_chosen_before(name):
    first, second = POLICIES[name](make_base(), 10, 5), POLICIES[name](make_base(), 10, 5)
    second.choose(60)
    assert first.choose(30).indices.tolist() == second.choose(30).indices.tolist() == first.choose(30).indices.tolist()


@EVERY
def test_another_seed_chooses_other_users(name):
    chosen = [POLICIES[name](make_base(), 10, seed).choose(30).indices.tolist() for seed in (5, 6)]
    # Facility location is decided by the vectors alone while all users are one part.
    assert (chosen[0] == chosen[1]) == (name == "facility_location")


@EVERY
def test_equal_users_duplicates_and_zero_rows_are_users_like_others(name):
    for unit in (np.ones((20, 4)) / 2, np.zeros((20, 4)), np.repeat(np.eye(4), 5, axis=0)):
        base = UserBase(unit.astype(np.float32), np.full(20, 3))
        choice = POLICIES[name](base, 5, 0).choose(10)
        assert len(set(choice.indices.tolist())) == 10


@EVERY
def test_one_cluster_one_seed_one_user(name):
    base = UserBase(np.float32([[0.6, 0.8]]), np.array([3]))
    assert POLICIES[name](base, 1, 0).choose(1).indices.tolist() == [0]


@EVERY
def test_above_the_users_that_are_looked_at_together(name, monkeypatch):
    monkeypatch.setattr(policies, "GREEDY_USERS", 50)
    choice = POLICIES[name](make_base(), 10, 5).choose(40)
    assert len(set(choice.indices.tolist())) == 40
    assert choice.indices.max() > 100


def test_facility_location_covers_best():
    base = make_base()
    similarity = {
        name: nearest_seeds(base.unit, base.unit[policy(base, 10, 5).choose(20).indices])[0].mean()
        for name, policy in POLICIES.items()
    }
    assert max(similarity, key=similarity.__getitem__) == "facility_location"


def test_only_policies_that_cluster_have_clusters():
    base = make_base()
    clusters = {name: policy(base, 7, 5).clusters for name, policy in POLICIES.items()}
    assert {name for name, found in clusters.items() if found} == {"adaptive", "representative"}
    assert clusters["adaptive"].labels.shape == (200,) and clusters["adaptive"].centres.shape == (7, 8)


def test_important_users_are_the_active_ones():
    base = UserBase(make_base().unit, np.repeat([1, 1000], [190, 10]))
    chosen = POLICIES["important"](base, 10, 0).choose(10).indices
    assert (chosen >= 190).sum() >= 8


def test_an_unknown_policy():
    with pytest.raises(InputError, match="seed_policy 'best': expected one of adaptive, random, representative"):
        find_policy("best")
