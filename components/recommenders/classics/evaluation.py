"""Ranking of held-out items by a classic recommender, with the evaluator of all recommenders."""

import numpy as np
import torch

from components.recommenders.classics.contract import ClassicRecommender
from components.recommenders.configuration import OPEN
from components.recommenders.evaluation import Ranks, rank_targets
from components.recommenders.interaction_sequences import InteractionSequences


def rank_by_classic(
    recommender: ClassicRecommender, sequences: InteractionSequences, split: str, protocol: str, list_length: int = 0
) -> Ranks:
    """Rank the `valid` or the `test` item of every user, given everything that came before it.

    Args:
        protocol: which items are candidates (`configuration.PROTOCOLS`).
        list_length: how many of the best items are kept of each user.
    """
    ends = sequences.train_lengths + (1 if split == "test" else 0)

    def score(users: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(recommender.score(users, ends[users]))

    return rank_targets(score, sequences, split, protocol == OPEN, list_length=list_length)
