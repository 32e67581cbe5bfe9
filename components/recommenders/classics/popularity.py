"""Popularity: everybody is recommended what was visited most in training."""

import numpy as np

from components.recommenders.classics.configuration import PopularitySettings
from components.recommenders.classics.contract import ClassicRecommender
from components.recommenders.interaction_sequences import InteractionSequences


class Popularity(ClassicRecommender):
    """Scores an item by its number of training visits."""

    def __init__(self, sequences: InteractionSequences, settings: PopularitySettings, seed: int):
        _, items = sequences.training_pairs()
        self._visits = np.bincount(items, minlength=sequences.n_items + 1)[1:].astype(np.float32)

    def score(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The same for every user."""
        return np.tile(self._visits, (len(users), 1))
