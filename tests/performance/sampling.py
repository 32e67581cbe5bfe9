"""Seed sampling of an industrial base: how long it takes, how much memory, and how good its clusters are.

    python -m tests.performance.sampling [--quick] --json FILE

1. Seconds from the vectors of 2 million users, 64 numbers each, to 75,000 adaptive seeds with K = 37,500 clusters, and
   the peak memory of the process, the vectors included. There is no other sampler to compare with: the peers are the
   limits of 900 seconds (in proportion to the users, where fewer are sampled) and 6 GiB.
2. Inertia of our k-means for large bases (centres trained on a sample, then one iteration over everybody) against that
   of FAISS's k-means on all users, with the same K and as many iterations, on 53 users a cluster as above. A ratio of
   1 / 1.03 is an inertia 3% above FAISS's.

The vectors are random: groups of users of different sizes around directions whose later coordinates matter less, as
those of a trained encoder do.
"""

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from components.seed_sampling.clustering import (
    EXACT_USERS,
    ITERATIONS,
    assign,
    cluster_many_users,
    normalise_rows,
)
from components.seed_sampling.policies import Adaptive, UserBase
from tests.performance.report import Figure, write_report

DIMENSION = 64
GROUPS = 2_000
CHUNK = 100_000  # users made at once, so that making them is not the peak
SECONDS, GIB, INERTIA = 900.0, 6.0, 1.03


@dataclass(frozen=True)
class Size:
    """How much is sampled, and on how much the inertia is compared."""

    users: int
    seeds: int
    clusters: int
    compared_users: int
    compared_clusters: int


FULL = Size(2_000_000, 75_000, 37_500, 100_000, 1_875)
QUICK = Size(60_000, 2_250, 1_125, 20_000, 375)


def make_vectors(users: int, seed: int) -> np.ndarray:
    """Unit vectors, float32[users, 64]."""
    generator = np.random.default_rng(seed)
    scale = (1 / np.sqrt(1 + np.arange(DIMENSION))).astype(np.float32)
    centres = generator.standard_normal((GROUPS, DIMENSION), np.float32)
    shares = generator.dirichlet(np.full(GROUPS, 0.5))
    vectors = np.empty((users, DIMENSION), np.float32)
    for start in range(0, users, CHUNK):
        part = vectors[start : start + CHUNK]
        group = generator.choice(GROUPS, len(part), p=shares)
        spread = generator.standard_normal(part.shape, np.float32)
        part[:] = normalise_rows((centres[group] + np.float32(0.6) * spread) * scale)
    return vectors


def sampling(size: Size) -> list[Figure]:
    activity = np.random.default_rng(1).geometric(0.05, size.users)
    base = UserBase(make_vectors(size.users, 0), activity)
    assert size.users > EXACT_USERS, "this is to measure what large bases get"
    begin = time.perf_counter()
    choice = Adaptive(base, size.clusters, 0).choose(size.seeds)
    seconds = time.perf_counter() - begin
    assert len(np.unique(choice.indices)) == size.seeds
    what = f"{size.seeds:,} seeds of {size.users:,} users, {size.clusters:,} clusters"
    limit = SECONDS * size.users / FULL.users
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        Figure(f"{what}, seconds; the peer is the limit", seconds, limit, "lower", 1.0),
        Figure(f"{what}, peak GiB of the process; the peer is the limit", peak, GIB, "lower", 1.0),
    ]


def inertia(size: Size) -> Figure:
    unit = make_vectors(size.compared_users, 2)
    labels, centres = cluster_many_users(unit, size.compared_clusters, 0)
    peer = faiss.Clustering(DIMENSION, size.compared_clusters)
    peer.niter, peer.seed, peer.max_points_per_centroid = ITERATIONS, 0, size.compared_users
    peer.train(unit, faiss.IndexFlatL2(DIMENSION))
    theirs = faiss.vector_to_array(peer.centroids).reshape(size.compared_clusters, DIMENSION)
    return Figure(
        f"k-means inertia a user, {size.compared_users:,} users, {size.compared_clusters:,} clusters, "
        f"{ITERATIONS} iterations; the peer is FAISS on all users",
        mean_squared_distance(unit, labels, centres),
        mean_squared_distance(unit, assign(unit, theirs), theirs),
        "lower",
        1 / INERTIA,
    )


def mean_squared_distance(unit: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> float:
    return float(((unit - centres[labels]) ** 2).sum(axis=1).mean(dtype=np.float64))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.sampling", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    figures = [*sampling(size), inertia(size)]
    packages = ["faiss-cpu", "numpy", "scikit-learn", "scipy"]
    write_report(arguments.json, figures, "tests.performance.sampling", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
