"""Users' visits as sparse matrices, one row a user and one column an item, and their largest entries."""

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from components.recommenders.interaction_sequences import InteractionSequences


def training_visits(sequences: InteractionSequences) -> csr_array:
    """How often each user visited each item in training: float32[U, I], the item of index i + 1 in column i."""
    users, items = sequences.training_pairs()
    ones = np.ones(len(users), np.float32)
    return csr_array((ones, (users, items - 1)), shape=(sequences.n_users, sequences.n_items))


def weighted_histories(sequences: InteractionSequences, users: np.ndarray, ends: np.ndarray, decay: float) -> csr_array:
    """The first `ends[b]` visits of users[b], the latest with weight 1 and each other with `decay` times the next's.

    Weights of several visits of one item add up: float32[B, I], the item of index i + 1 in column i.
    """
    rows = np.repeat(np.arange(len(users)), ends)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(ends) - ends, ends)
    items = sequences.items[np.repeat(sequences.offsets[users], ends) + within]
    weights = (decay ** (np.repeat(ends, ends) - 1 - within)).astype(np.float32)
    return csr_array((weights, (rows, items - 1)), shape=(len(users), sequences.n_items))


def keep_largest(matrix: csr_array, count: int) -> csr_array:
    """The `count` largest of the stored entries of each row; of equal ones those of the lower columns."""
    matrix.sort_indices()
    bounds = matrix.indptr
    kept = [
        np.sort(np.argsort(-matrix.data[start:end], kind="stable")[:count]) + start for start, end in pairwise(bounds)
    ]
    positions = np.concatenate([np.empty(0, np.int64), *kept])
    starts = np.concatenate([[0], np.cumsum(np.minimum(np.diff(bounds), count))])
    return csr_array((matrix.data[positions], matrix.indices[positions], starts), shape=matrix.shape)
