"""The one evaluator: full ranking over all items, no sampled negatives (section 4.1)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments

PROTOCOL = "leave-one-out, full ranking"
CUTOFF = 10
_EVALUATION_BATCH = 512


@dataclass(frozen=True)
class Ranks:
    """Rank of each user's held-out item among all items, int64[U], from 0; one target a user."""

    values: np.ndarray

    def hit_ratio(self, cutoff: int = CUTOFF) -> float:
        """HR@k: share of users whose target is among the first k."""
        return float((self.values < cutoff).mean())

    def ndcg_by_user(self, cutoff: int = CUTOFF) -> np.ndarray:
        """1 / log2(rank + 2) where the target is among the first k, else 0: float64[U] (its ideal DCG is 1)."""
        return np.where(self.values < cutoff, 1.0 / np.log2(self.values + 2.0), 0.0)

    def ndcg(self, cutoff: int = CUTOFF) -> float:
        """NDCG@k, the mean of `ndcg_by_user`."""
        return float(self.ndcg_by_user(cutoff).mean())

    def metrics(self) -> dict[str, float]:
        """Hit ratio and NDCG at `CUTOFF`, by the names that reports use."""
        return {f"hr@{CUTOFF}": self.hit_ratio(), f"ndcg@{CUTOFF}": self.ndcg()}


def ranks_of_targets(scores: Tensor, targets: Tensor) -> Tensor:
    """How many *other* items score at least as high as the target: int64[B]. A tie counts against the ranker.

    Args:
        scores: float32[B, I], one column an item.
        targets: int64[B], columns.

    Raises:
        ValueError: a score is not finite (it would compare as false, and so rank first).
    """
    if not torch.isfinite(scores).all():
        raise ValueError("scores are not finite")
    return (scores >= scores.gather(1, targets[:, None])).sum(dim=1) - 1


@torch.no_grad()
def rank_held_out(
    ranker: Ranker, sequences: InteractionSequences, rationales: RationaleAssignments, split: str
) -> Ranks:
    """Rank the `valid` or the `test` item of every user among all items, given everything that came before it."""
    ends = sequences.train_lengths + (1 if split == "test" else 0)
    targets = torch.from_numpy(sequences.items[sequences.offsets[:-1] + ends])
    was_training = ranker.training
    ranker.eval()
    table = ranker.item_encoder()
    device = table.device
    ranks = []
    for start in range(0, sequences.n_users, _EVALUATION_BATCH):
        users = np.arange(start, min(start + _EVALUATION_BATCH, sequences.n_users))
        history = torch.from_numpy(sequences.recent_items(users, ends[users], ranker.config.history_length))
        rationale = rationales.of_users(torch.from_numpy(users)).to(device) if ranker.reads_rationales else None
        user, _ = ranker.current_user(table, history.to(device), rationale)
        scores = user @ table[1:].T  # the padding item is no candidate
        ranks.append(ranks_of_targets(scores, targets[users].to(device) - 1).cpu())
    ranker.train(was_training)
    return Ranks(torch.cat(ranks).numpy())
