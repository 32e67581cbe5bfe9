"""User-based nearest neighbours: a user is recommended what the users with the most similar histories visited.

Cosine similarity of histories and a sum over the nearest users, as in Sarwar et al. (EC 2000); shrinkage as in
Ferrari Dacrema et al. (RecSys 2019). The history of the user who asks is weighted by recency, as in the session-based
neighbours of Ludewig & Jannach (UMUAI 2018).
"""

import numpy as np
from scipy.sparse import csr_array

from components.recommenders.classics.configuration import UserKNNSettings
from components.recommenders.classics.contract import ClassicRecommender
from components.recommenders.classics.visits import keep_largest, training_visits, weighted_histories
from components.recommenders.interaction_sequences import InteractionSequences


class UserKNN(ClassicRecommender):
    """Scores an item by the sum of the similarities of the nearest users, times each one's training visits of it.

    The similarity of a history h to another user's training visits v is h·v / (|h| |v| + shrinkage). A user is no
    neighbour of itself, nor is one without a common item.
    """

    def __init__(self, sequences: InteractionSequences, settings: UserKNNSettings, seed: int):
        self._sequences = sequences
        self._settings = settings
        self._visits = training_visits(sequences)
        self._by_item = self._visits.T.tocsr()
        self._lengths = _row_lengths(self._visits)

    def score(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Similarities to the nearest users times their visits."""
        histories = weighted_histories(self._sequences, users, ends, self._settings.decay)
        common = (histories @ self._by_item).tocoo()
        is_other = common.col != users[common.row]
        rows, others = common.row[is_other], common.col[is_other]
        divisors = _row_lengths(histories)[rows] * self._lengths[others] + self._settings.shrinkage
        similarities = csr_array((common.data[is_other] / divisors, (rows, others)), shape=common.shape)
        return (keep_largest(similarities, self._settings.neighbours) @ self._visits).toarray().astype(np.float32)


def _row_lengths(matrix: csr_array) -> np.ndarray:
    """Euclidean length of each row."""
    return np.sqrt((matrix * matrix).sum(axis=1))
