"""The one evaluator: full ranking over all items, no sampled negatives (section 4.1), under a protocol with a name."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from components.foundation.errors import InputError
from components.recommenders.collaborative_ranker import CollaborativeRanker
from components.recommenders.configuration import OPEN, RECBOLE
from components.recommenders.interaction_sequences import InteractionSequences, gather_windows
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
    """Rank of each evaluated user's held-out items among all candidates.

    Attributes:
        values: int64[B], from 0, where every user has one; int64[B, n] where users have several, -1 in the places of
            those that a user has fewer.
        lists: int64[B, k] item indices, the best candidates of each user, best first, 0 where a user has fewer of them;
            no column where none were kept.
    """

    values: np.ndarray
    lists: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def _by_target(self) -> np.ndarray:
        return self.values if self.values.ndim == 2 else self.values[:, None]

    def hit_ratio(self, cutoff: int = CUTOFF) -> float:
        """HR@k: share of users with a target among the first k. With one target a user, this is recall@k too."""
        ranks = self._by_target()
        return float(((ranks >= 0) & (ranks < cutoff)).any(axis=1).mean())

    def ndcg_by_user(self, cutoff: int = CUTOFF) -> np.ndarray:
        """Sum of 1 / log2(rank + 2) over the targets among the first k, per what it is at most: float64[U].

        At most, all targets come first; with one target a user that is 1.
        """
        ranks = self._by_target()
        gains = np.where((ranks >= 0) & (ranks < cutoff), 1.0 / np.log2(np.maximum(ranks, 0) + 2.0), 0.0).sum(axis=1)
        best = np.cumsum(1.0 / np.log2(np.arange(cutoff) + 2.0))
        return gains / best[np.clip((ranks >= 0).sum(axis=1), 1, cutoff) - 1]

    def ndcg(self, cutoff: int = CUTOFF) -> float:
        """NDCG@k, the mean of `ndcg_by_user`."""
        return float(self.ndcg_by_user(cutoff).mean())

    def mrr(self, cutoff: int = CUTOFF) -> float:
        """MRR@k: mean of 1 / (rank + 1) of the first target if it is among the first k, else 0."""
        ranks = self._by_target()
        first = np.where(ranks >= 0, ranks, np.iinfo(np.int64).max - 1).min(axis=1)
        return float(np.where(first < cutoff, 1.0 / (first + 1.0), 0.0).mean())

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
    """Rank the `valid` or the `test` items of users by the scores of any recommender.

    Args:
        score: gives users' scores of all items, from what they had before the targets.
        masks_seen: whether what a user had before the targets is no candidate; a target itself always is one.
        users: int64[B], those to evaluate; None: all.
        list_length: recommendations to keep of each user.

    Raises:
        ValueError: a score is not finite.
    """
    users = np.arange(sequences.n_users) if users is None else users
    begins, counts = sequences.held_out(split)
    width = int(counts[users].max())
    ranks, lists = [], []
    for start in range(0, len(users), _EVALUATION_BATCH):
        batch = users[start : start + _EVALUATION_BATCH]
        scores = score(batch)
        if not torch.isfinite(scores).all():
            raise ValueError("scores are not finite")
        items = gather_windows(sequences.items, begins[batch], counts[batch], width)
        target = torch.from_numpy(items - 1).to(scores.device)  # -1: none
        if masks_seen:
            seen = tuple(
                part.to(scores.device) for part in _seen(sequences, batch, (begins - sequences.offsets[:-1])[batch])
            )
            of_targets = scores.gather(1, target.clamp(min=0))
            scores = scores.index_put(seen, scores.new_tensor(-torch.inf))
            has = torch.nonzero(target >= 0, as_tuple=True)
            scores[has[0], target[has]] = of_targets[has]
        of_batch = torch.full_like(target, -1)
        for place in range(width):
            rows = target[:, place] >= 0
            of_batch[rows, place] = ranks_of_targets(scores[rows], target[rows, place])
        ranks.append(of_batch.cpu())
        best = scores.topk(min(list_length, scores.shape[1]), dim=1)
        lists.append(torch.where(torch.isneginf(best.values), 0, best.indices + 1).cpu())
    values = torch.cat(ranks).numpy()
    return Ranks(values[:, 0] if width == 1 else values, torch.cat(lists).numpy())


def _seen(sequences: InteractionSequences, users: np.ndarray, ends: np.ndarray) -> tuple[Tensor, Tensor]:
    """Row (position in `users`) and column (item, from 0) of each of the first `ends[b]` visits of users[b]."""
    rows = np.repeat(np.arange(len(users)), ends)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(ends) - ends, ends)
    items = sequences.items[np.repeat(sequences.offsets[users], ends) + within]
    return torch.from_numpy(rows), torch.from_numpy(items - 1)


@torch.no_grad()
def rank_held_out(
    ranker: Ranker | CollaborativeRanker,
    sequences: InteractionSequences,
    rationales: RationaleAssignments,
    split: str,
    protocol: str = RECBOLE,
    users: np.ndarray | None = None,
    list_length: int = 0,
) -> Ranks:
    """Rank the `valid` or the `test` items of users with a ranker, given everything that came before them.

    A collaborative ranker is given no item that the user had before, under either protocol: RecBole evaluates
    collaborative models so.

    Args:
        users: int64[B], those to evaluate; None: all.
        list_length: recommendations to keep of each user.

    Raises:
        InputError: the ranker knows its users by their numbers, and these are others.
        ValueError: a score is not finite.
    """
    was_training = ranker.training
    ranker.eval()
    if isinstance(ranker, CollaborativeRanker):
        score = _collaborative_scorer(ranker, sequences, rationales)
    else:
        score = _sequence_scorer(ranker, sequences, rationales, split)
    masks_seen = protocol == OPEN or isinstance(ranker, CollaborativeRanker)
    ranks = rank_targets(score, sequences, split, masks_seen, users, list_length)
    ranker.train(was_training)
    return ranks


def _sequence_scorer(
    ranker: Ranker, sequences: InteractionSequences, rationales: RationaleAssignments, split: str
) -> Scorer:
    ends = sequences.held_out(split)[0] - sequences.offsets[:-1]
    table = ranker.item_table()
    device = table.device

    def score(batch: np.ndarray) -> Tensor:
        history = torch.from_numpy(sequences.recent_items(batch, ends[batch], ranker.config.history_length))
        rationale = rationales.of_users(torch.from_numpy(batch)).to(device) if ranker.reads_rationales else None
        user, _ = ranker.current_user(table, history.to(device), rationale)
        return user @ table[1:].T  # the padding item is no candidate

    return score


def _collaborative_scorer(
    ranker: CollaborativeRanker, sequences: InteractionSequences, rationales: RationaleAssignments
) -> Scorer:
    if sequences.n_users != ranker.config.users:
        raise InputError(
            f"backbone {ranker.config.backbone}: has vectors of the {ranker.config.users} users of its training, not "
            f"of the {sequences.n_users} of this data"
        )
    user_vectors, item_vectors = ranker.vectors()
    device = item_vectors.device

    def score(batch: np.ndarray) -> Tensor:
        numbers = torch.from_numpy(batch)
        rationale = rationales.of_users(numbers).to(device) if ranker.reads_rationales else None
        users = ranker.fused(user_vectors[numbers.to(device)], rationale)
        return ranker.backbone.score_all(users, item_vectors[1:])  # the padding item is no candidate

    return score
