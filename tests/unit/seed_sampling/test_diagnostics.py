"""Diagnostics by hand."""

import math

import numpy as np
import pytest

from components.seed_sampling import diagnostics
from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.diagnostics import (
    activity_histogram,
    coverage,
    describe,
    measured_users,
    overlap,
    representation_error,
    stability,
)
from components.seed_sampling.nearest import nearest_seeds
from components.seed_sampling.policies import Adaptive, Clusters, SeedChoice, UserBase

# Four users on a circle at 0, 60, 90 and 180 degrees, and one of whom nothing is known.
ANGLES = np.deg2rad([0, 60, 90, 180])
CIRCLE = np.vstack([np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), [[0, 0]]]).astype(np.float32)


def test_the_nearest_seed_by_hand():
    similarity, row = nearest_seeds(CIRCLE, CIRCLE[[0, 2]])
    assert row[:4].tolist() == [0, 1, 1, 1]
    assert similarity == pytest.approx([1, math.cos(math.pi / 6), 1, 0, 0], abs=1e-6)


def test_coverage_by_hand():
    found = coverage(np.array([1, 0.5, 0.25, -0.5], np.float32))
    assert found["threshold"] == 0.5 and found["share"] == 0.5
    assert found["similarity_mean"] == 0.3125 and found["similarity_p50"] == 0.375
    curve = dict(found["curve"])
    assert len(curve) == 51
    assert [curve[threshold] for threshold in (0.0, 0.24, 0.26, 0.5, 0.52, 1.0)] == [0.75, 0.75, 0.5, 0.5, 0.25, 0.25]


def test_a_seed_covers_itself_at_every_threshold():
    """In float32 the cosine of a vector and itself is a little beside 1."""
    unit = normalise_rows(np.random.default_rng(0).normal(size=(500, 64)))
    similarity, _ = nearest_seeds(unit, unit)
    assert similarity.min() < 1
    assert dict(coverage(similarity)["curve"])[1.0] == 1


def test_representation_error_by_hand():
    """Users at 0 and 60 degrees are one cluster with a seed at 0; those at 90 and 180 are another without a seed."""
    base = UserBase(CIRCLE[:4], np.ones(4, np.int64))
    clusters = Clusters(np.int32([0, 0, 1, 1]), np.zeros((2, 2), np.float32))
    choice = SeedChoice(np.array([0]), ["representative"])
    similarity, _ = nearest_seeds(base.unit, base.unit[[0]])
    found = representation_error(base, np.arange(4), similarity, choice, clusters)
    assert found["to_nearest_seed"] == pytest.approx((0 + 1 + math.sqrt(2) + 2) / 4, abs=1e-6)
    assert found["to_seed_of_own_cluster"] == pytest.approx(0.5, abs=1e-6)
    assert found["users_in_clusters_with_seed"] == 0.5
    assert set(representation_error(base, np.arange(4), similarity, choice, None)) == {"to_nearest_seed"}


def test_activity_by_hand():
    choice = SeedChoice(np.array([1, 4]), ["representative", "important"])
    assert activity_histogram(np.array([3, 4, 7, 2, 8]), choice) == [
        {"from": 2, "to": 3, "base": 2, "representative": 0, "important": 0},
        {"from": 4, "to": 7, "base": 2, "representative": 1, "important": 0},
        {"from": 8, "to": 15, "base": 1, "representative": 0, "important": 1},
    ]


def test_overlap():
    """One user has nearly all interactions: the important half wants that one, whoever is chosen already."""
    base = UserBase(np.eye(4, dtype=np.float32), np.array([1, 10**9, 1, 1]))
    both = SeedChoice(np.array([1, 2]), ["representative", "important"])
    assert overlap(base, both, 0) == {"important_seats": 1, "wanted_by_both": 1}
    neither = SeedChoice(np.array([0, 1]), ["representative", "important"])
    assert overlap(base, neither, 0) == {"important_seats": 1, "wanted_by_both": 0}
    assert overlap(base, SeedChoice(np.array([1]), ["random"]), 0) is None


def test_stability_by_hand():
    """Seeds at 0 and 90 degrees, then at 0 and 180: users at 60, 90 and 180 change theirs."""
    base = UserBase(CIRCLE[:4], np.ones(4, np.int64))
    assert stability(base, np.array([0, 2]), np.array([0, 3]), 0) == {
        "jaccard": 0.333333,
        "users_who_keep_their_seed": 0.25,  # the one at 60 degrees is nearer to 90, later to 0
    }
    assert stability(base, np.array([0, 2]), np.array([2, 0]), 0) == {"jaccard": 1.0, "users_who_keep_their_seed": 1.0}


def test_a_large_base_is_measured_on_a_sample(base, monkeypatch):
    policy = Adaptive(base, 10, 5)
    choice = policy.choose(30)
    everybody = describe(base, choice, policy.clusters, 0)
    monkeypatch.setattr(diagnostics, "MEASURED_USERS", 150)
    users = measured_users(base, 0)
    assert len(users) == len(set(users.tolist())) == 150 and (np.diff(users) > 0).all()
    sample = describe(base, choice, policy.clusters, 0)
    assert everybody["users_measured"] == 200 and sample["users_measured"] == 150
    assert sample["coverage"]["similarity_mean"] == pytest.approx(everybody["coverage"]["similarity_mean"], abs=0.02)
    assert sample["activity"] == everybody["activity"]
