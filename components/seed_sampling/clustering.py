"""K-means of users on the unit sphere: scikit-learn's for small user bases, FAISS's for large ones."""

import warnings

import faiss
import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from components.foundation.progress import say

EXACT_USERS = 50_000  # up to here scikit-learn's k-means, run to its end
TRAINED_USERS_PER_CLUSTER = 24  # above: how many users a centre is trained on before the passes over everybody
ITERATIONS = 10


def normalise_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 (a zero row stays zero), float32[n, d].

    Matching is by cosine (Eq. 3); on unit rows the distance to a centre orders users as the cosine to it does, so the
    clusters are of the geometry in which the seed users will be searched.
    """
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def cluster_users(unit: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """K-means: the cluster of every user, int32[|U|], and the centres, float32[K, d]. A cluster may be empty.

    Equal seeds give equal bytes on one machine: up to `EXACT_USERS` whatever the number of threads, above that with as
    many threads as before.
    """
    if len(unit) <= EXACT_USERS:
        # Threads add their partial sums in the order in which they finish: only one thread is repeatable.
        with threadpool_limits(limits=1), warnings.catch_warnings():
            # Where users have equal vectors, some clusters stay empty.
            warnings.filterwarnings("ignore", message="Number of distinct clusters")
            model = KMeans(clusters, n_init=1, random_state=seed).fit(unit)
        return model.labels_.astype(np.int32), model.cluster_centers_
    return cluster_many_users(unit, clusters, seed)


def cluster_many_users(unit: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's k-means by FAISS on a uniform sample of the users, then one iteration of it over everybody.

    An iteration costs |U| × K × d multiply-adds, which for 2 million users and 37,500 clusters is minutes; so the
    centres are found on `TRAINED_USERS_PER_CLUSTER` × K users. Such centres fit the sample better than the base; the
    means over everybody correct most of that (`tests/performance/sampling.py` measures the rest). FAISS sums the users
    of a centre in their order, in one thread, so the number of threads changes nothing.
    """
    trainer = faiss.Clustering(unit.shape[1], clusters)
    trainer.niter = ITERATIONS
    trainer.seed = seed
    trainer.min_points_per_centroid = 1  # else FAISS warns about few users
    trainer.max_points_per_centroid = TRAINED_USERS_PER_CLUSTER  # FAISS draws the sample; default 256
    say(f"k-means: training {clusters} centres on {min(len(unit), TRAINED_USERS_PER_CLUSTER * clusters)} users")
    trainer.train(unit, faiss.IndexFlatL2(unit.shape[1]))
    centres = faiss.vector_to_array(trainer.centroids).reshape(clusters, -1)
    say(f"k-means: the means over all {len(unit)} users")
    centres = cluster_means(unit, assign(unit, centres), centres)
    say("k-means: the cluster of every user")
    return assign(unit, centres), centres


def assign(unit: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre to every row, int32[n]; exact."""
    index = faiss.IndexFlatL2(centres.shape[1])
    index.add(centres)
    _, labels = index.search(unit, 1)
    return labels[:, 0].astype(np.int32)


def cluster_means(unit: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The mean of each cluster's users, float32[K, d]; where it has none, its row of `centres`."""
    rows = np.arange(len(unit) + 1)
    membership = sparse.csr_array((np.ones(len(unit), np.float32), labels, rows), shape=(len(unit), len(centres)))
    sums = membership.T @ unit
    sizes = np.bincount(labels, minlength=len(centres))
    return np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres).astype(np.float32)


def members_of(labels: np.ndarray, clusters: int) -> list[np.ndarray]:
    """Positions of each cluster's entries in `labels`, ascending: K arrays, of which some may be empty."""
    by_cluster = np.argsort(labels, kind="stable")
    return np.split(by_cluster, np.cumsum(np.bincount(labels, minlength=clusters))[:-1])
