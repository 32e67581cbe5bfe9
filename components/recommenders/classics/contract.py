"""What a classic recommender does (`tests/contract/test_classics.py` holds every one to it)."""

from abc import ABC, abstractmethod

import numpy as np


class ClassicRecommender(ABC):
    """A recommender without a neural network, fitted when it is made.

    Its constructor takes the sequences, whose training visits alone it is fitted on, the settings that its registry
    entry names, and the seed of everything random in it: equal arguments give equal scores.
    """

    @abstractmethod
    def score(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Scores of all items for some users, from the items that each of them had so far: float32[B, I], finite.

        Column i is the item of index i + 1. A user without any visit so far has the same scores as every other such
        user.

        Args:
            users: int64[B], users of the sequences.
            ends: int64[B]; the first ends[b] visits of users[b] are the history, which may go on after the training
                visits.
        """
