"""Both k-means: what they find, that they repeat, and what they do with too little."""

import faiss
import numpy as np
import pytest

from components.seed_sampling import clustering
from components.seed_sampling.clustering import (
    assign,
    cluster_many_users,
    cluster_means,
    cluster_users,
    members_of,
    normalise_rows,
)

BOTH = pytest.mark.parametrize("cluster", [cluster_users, cluster_many_users])


def groups(sizes, d=8, spread=0.05, seed=0):
    """Users around well separated directions, and the group of each."""
    generator = np.random.default_rng(seed)
    group = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    matrix = np.eye(d)[group] + spread * generator.normal(size=(len(group), d))
    return normalise_rows(matrix.astype(np.float32)), group


def inertia(unit, labels, centres):
    return float(((unit - centres[labels]) ** 2).sum())


@BOTH
def test_every_user_is_with_the_nearest_centre(cluster):
    unit, _ = groups([30, 200, 70])
    labels, centres = cluster(unit, 5, 3)
    distances = ((unit[:, None] - centres[None]) ** 2).sum(axis=2)
    assert labels.dtype == np.int32 and centres.dtype == np.float32 and centres.shape == (5, 8)
    assert distances[np.arange(len(unit)), labels] == pytest.approx(distances.min(axis=1), abs=1e-5)


@BOTH
def test_one_cluster_is_everybody_and_its_centre_their_mean(cluster):
    unit, _ = groups([5, 9])
    labels, centres = cluster(unit, 1, 0)
    assert not labels.any() and centres[0] == pytest.approx(unit.mean(axis=0), abs=1e-6)


@BOTH
def test_as_many_clusters_as_users(cluster):
    unit, _ = groups([4, 4], spread=0.3)
    labels, centres = cluster(unit, 8, 0)
    assert inertia(unit, labels, centres) == pytest.approx(0, abs=1e-5)


@BOTH
def test_equal_users_are_in_one_cluster_and_the_others_are_empty(cluster):
    labels, centres = cluster(np.tile(np.float32([0.6, 0.8]), (20, 1)), 5, 0)
    assert len(set(labels.tolist())) == 1 and np.isfinite(centres).all()


@BOTH
def test_equal_seeds_give_equal_bytes(cluster):
    unit, _ = groups([40] * 6, spread=0.5)
    first, second, other = (cluster(unit, 12, seed) for seed in (5, 5, 6))
    assert first[0].tobytes() == second[0].tobytes() and first[1].tobytes() == second[1].tobytes()
    assert first[1].tobytes() != other[1].tobytes()


def test_many_users_are_clustered_alike_by_one_thread_and_by_two():
    unit, _ = groups([900] * 6, spread=0.5)
    threads = faiss.omp_get_max_threads()
    results = []
    try:
        for number in (1, 2):
            faiss.omp_set_num_threads(number)
            results.append(cluster_many_users(unit, 40, 0))
    finally:
        faiss.omp_set_num_threads(threads)
    assert results[0][0].tobytes() == results[1][0].tobytes()


def test_centres_of_a_sample_are_mended_over_everybody():
    """With 24 users a centre of 100, against FAISS's own k-means on all users with as many iterations."""
    generator = np.random.default_rng(0)
    unit = normalise_rows((generator.normal(size=(6_000, 16)) * np.linspace(2, 0.2, 16)).astype(np.float32))
    labels, centres = cluster_many_users(unit, 60, 1)
    peer = faiss.Clustering(16, 60)
    peer.niter, peer.seed = clustering.ITERATIONS, 1
    peer.train(unit, faiss.IndexFlatL2(16))
    theirs = faiss.vector_to_array(peer.centroids).reshape(60, 16)
    assert inertia(unit, labels, centres) < 1.03 * inertia(unit, assign(unit, theirs), theirs)


def test_above_the_limit_the_other_kmeans_is_taken(monkeypatch):
    unit, _ = groups([30, 30], spread=0.4)
    monkeypatch.setattr(clustering, "EXACT_USERS", 59)
    assert cluster_users(unit, 3, 0)[1].tobytes() == cluster_many_users(unit, 3, 0)[1].tobytes()


def test_means_by_hand_and_an_empty_cluster_keeps_its_centre():
    unit = np.float32([[1, 0], [0, 1], [0, 3]])
    centres = cluster_means(unit, np.int32([2, 0, 0]), np.float32([[9, 9], [7, 8], [9, 9]]))
    assert centres.tolist() == [[0, 2], [7, 8], [1, 0]]


def test_members_by_hand():
    assert [members.tolist() for members in members_of(np.array([2, 0, 2, 0]), 4)] == [[1, 3], [], [0, 2], []]


def test_clusters_follow_the_cosine_not_the_length():
    vectors = np.array([[1, 0], [100, 1], [0, 1], [1, 90]], np.float32)
    labels, _ = cluster_users(normalise_rows(vectors), 2, seed=0)
    assert labels[0] == labels[1] != labels[2] == labels[3]


def test_a_zero_row_stays_zero():
    unit = normalise_rows(np.array([[3, 4], [0, 0]], np.float32))
    assert unit.tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]
