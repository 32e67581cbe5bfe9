"""The one evaluator: full ranking over all items, no sampled negatives (section 4.1), under a protocol with a name."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from components.recommenders.configuration import OPEN, RECBOLE
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments

CUTOFF = 10
_EVALUATION_BATCH = 512

# Users, numbers from 0 -> their scores of all items, float32[B, I].
Scorer = Callable[[np.ndarray], Tensor]


def describe_protocol(protocol: str) -> str:
    """A protocol in words, for reports."""
    masked = {RECBOLE: "no item left out", OPEN: "items the user had before left out"}[protocol]
    return f"leave-one-out, full ranking, {masked} ({protocol})"


@dataclass(frozen=True)
class Ranks:
    """Rank of each evaluated user's held-out item among all candidates; one target a user.

    Attributes:
        values: int64[B], from 0.
        lists: int64[B, k] item indices, the best candidates of each user, best first, 0 where a user has fewer of them;
            no column where none were kept.
    """

    values: np.ndarray
    lists: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def hit_ratio(self, cutoff: int = CUTOFF) -> float:
        """HR@k: share of users whose target is among the first k. With one target a user, this is recall@k too."""
        return float((self.values < cutoff).mean())

    def ndcg_by_user(self, cutoff: int = CUTOFF) -> np.ndarray:
        """1 / log2(rank + 2) where the target is among the first k, else 0: float64[U] (its ideal DCG is 1)."""
        return np.where(self.values < cutoff, 1.0 / np.log2(self.values + 2.0), 0.0)

    def ndcg(self, cutoff: int = CUTOFF) -> float:
        """NDCG@k, the mean of `ndcg_by_user`."""
        return float(self.ndcg_by_user(cutoff).mean())

    def mrr(self, cutoff: int = CUTOFF) -> float:
        """MRR@k: mean of 1 / (rank + 1) where the target is among the first k, else 0."""
        return float(np.where(self.values < cutoff, 1.0 / (self.values + 1.0), 0.0).mean())

    def metrics(self) -> dict[str, float]:
        """Hit ratio and NDCG at `CUTOFF`, by the names that reports use."""
        return {f"hr@{CUTOFF}": self.hit_ratio(), f"ndcg@{CUTOFF}": self.ndcg()}


def ranks_of_targets(scores: Tensor, targets: Tensor) -> Tensor:
    """How many *other* items score at least as high as the target: int64[B]. A tie counts against the ranker.

    Args:
        scores: float32[B, I], one column an item; minus infinity for an item that is no candidate.
        targets: int64[B], columns.

    Raises:
        ValueError: a score is not a number or plus infinity, or a target is no candidate.
    """
    of_target = scores.gather(1, targets[:, None])
    if scores.isnan().any() or torch.isposinf(scores).any() or torch.isneginf(of_target).any():
        raise ValueError("scores are not finite")
    return (scores >= of_target).sum(dim=1) - 1


@torch.no_grad()
def rank_targets(
    score: Scorer,
    sequences: InteractionSequences,
    split: str,
    masks_seen: bool,
    users: np.ndarray | None = None,
    list_length: int = 0,
) -> Ranks:
    """Rank the `valid` or the `test` item of users by the scores of any recommender.

    Args:
        score: gives users' scores of all items, from what they had before the target.
        masks_seen: whether what a user had before the target is no candidate; the target itself always is one.
        users: int64[B], those to evaluate; None: all.
        list_length: recommendations to keep of each user.

    Raises:
        ValueError: a score is not finite.
    """
    users = np.arange(sequences.n_users) if users is None else users
    ends = sequences.train_lengths + (1 if split == "test" else 0)
    targets = sequences.items[sequences.offsets[:-1] + ends]
    ranks, lists = [], []
    for start in range(0, len(users), _EVALUATION_BATCH):
        batch = users[start : start + _EVALUATION_BATCH]
        scores = score(batch)
        if not torch.isfinite(scores).all():
            raise ValueError("scores are not finite")
        target = torch.from_numpy(targets[batch] - 1).to(scores.device)
        if masks_seen:
            rows, seen = _seen(sequences, batch, ends[batch])
            own = scores.gather(1, target[:, None])
            scores = scores.index_put((rows.to(scores.device), seen.to(scores.device)), scores.new_tensor(-torch.inf))
            scores.scatter_(1, target[:, None], own)
        ranks.append(ranks_of_targets(scores, target).cpu())
        best = scores.topk(min(list_length, scores.shape[1]), dim=1)
        lists.append(torch.where(torch.isneginf(best.values), 0, best.indices + 1).cpu())
    return Ranks(torch.cat(ranks).numpy(), torch.cat(lists).numpy())


def _seen(sequences: InteractionSequences, users: np.ndarray, ends: np.ndarray) -> tuple[Tensor, Tensor]:
    """Row (position in `users`) and column (item, from 0) of each of the first `ends[b]` visits of users[b]."""
    rows = np.repeat(np.arange(len(users)), ends)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(ends) - ends, ends)
    items = sequences.items[np.repeat(sequences.offsets[users], ends) + within]
    return torch.from_numpy(rows), torch.from_numpy(items - 1)


@torch.no_grad()
def rank_held_out(
    ranker: Ranker,
    sequences: InteractionSequences,
    rationales: RationaleAssignments,
    split: str,
    protocol: str = RECBOLE,
    users: np.ndarray | None = None,
    list_length: int = 0,
) -> Ranks:
    """Rank the `valid` or the `test` item of users with a ranker, given everything that came before it.

    Args:
        users: int64[B], those to evaluate; None: all.
        list_length: recommendations to keep of each user.

    Raises:
        ValueError: a score is not finite.
    """
    ends = sequences.train_lengths + (1 if split == "test" else 0)
    was_training = ranker.training
    ranker.eval()
    table = ranker.item_table()
    device = table.device

    def score(batch: np.ndarray) -> Tensor:
        history = torch.from_numpy(sequences.recent_items(batch, ends[batch], ranker.config.history_length))
        rationale = rationales.of_users(torch.from_numpy(batch)).to(device) if ranker.reads_rationales else None
        user, _ = ranker.current_user(table, history.to(device), rationale)
        return user @ table[1:].T  # the padding item is no candidate

    ranks = rank_targets(score, sequences, split, protocol == OPEN, users, list_length)
    ranker.train(was_training)
    return ranks
