"""Cross entropy over the next item and a sample of the others, for catalogues that are too large for all of them."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences


def sampled_softmax_loss(
    states: Tensor, table: Tensor, targets: Tensor, sampled: Tensor, corrections: Tensor | None, positions: float
) -> Tensor:
    """Cross entropy over the target and the sampled items, summed over the positions that have a target.

    One sample is shared by a whole batch, as in Jean et al. (ACL 2015), so a step costs one matrix product. A position
    does not meet its own target among the sampled items (an accidental hit is left out).

    Args:
        states: float32[B, T, d], a user after each item of a window.
        table: float32[I + 1, d], row 0 is padding.
        targets: int64[B, T], the next items, 0 where there is none.
        sampled: int64[N], items, drawn with replacement.
        corrections: float32[I + 1], log of the probability with which each item is drawn, which is subtracted from its
            score (Bengio & Senecal, 2008); None where all items are drawn alike.
        positions: what the sum is divided by (`next_item_loss`).
    """
    real = targets > 0
    if not real.any():  # a process of several for which a small batch has no window
        return states.sum() * 0
    chosen = targets[real]
    # The rows of both are gathered at once: one dense gradient of the table instead of two.
    rows = F.embedding(torch.cat([chosen, sampled]), table)
    shift = None if corrections is None else (corrections[chosen], corrections[sampled])
    return _SampledCrossEntropy.apply(states[real], rows, chosen, sampled, shift) / positions


class ItemSampler:
    """Draws the items that the batches of a training are compared with.

    Attributes:
        corrections: float32[I + 1], log of the probability of each item; None where all are drawn alike.
    """

    corrections: Tensor | None

    def __init__(self, sequences: InteractionSequences, count: int, sampling: str, device: str):
        """`count` items a step; by `sampling` uniform, or as often as they are in the training data.

        An item that no training visit has is drawn as if it had one.
        """
        self._items = sequences.n_items
        self._count = count
        self._device = device
        self._cumulative = self.corrections = None
        if sampling == "popularity":
            _, items = sequences.training_pairs()
            visits = np.maximum(np.bincount(items, minlength=self._items + 1), 1).astype(np.float64)
            visits[0] = 0  # padding
            self._cumulative = torch.from_numpy(visits.cumsum() / visits.sum())
            visits[0] = 1
            self.corrections = torch.from_numpy(np.log(visits / visits[1:].sum())).float().to(device)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Items of a step: int64[count], from 1, with replacement."""
        if self._cumulative is None:
            sampled = torch.randint(1, self._items + 1, (self._count,), generator=generator)
        else:
            position = torch.rand(self._count, dtype=torch.float64, generator=generator)
            sampled = torch.searchsorted(self._cumulative, position, right=True).clamp(max=self._items)
        return sampled.to(self._device)


class _SampledCrossEntropy(torch.autograd.Function):
    """The sum over P positions of log(exp(s.y) + sum_n exp(s.x_n)) - s.y, its P x N matrix held once.

    Autograd would keep the scores, the masked scores and the probabilities, each of the size of the largest tensor
    of the step.
    """

    @staticmethod
    def forward(ctx, states, rows, chosen, sampled, shift):  # type: ignore[no-untyped-def]
        targets, negatives = rows[: len(chosen)], rows[len(chosen) :]
        target_scores = (states * targets).sum(dim=1)
        scores = states @ negatives.T  # [P, N]
        if shift is not None:
            target_scores = target_scores - shift[0]
            scores -= shift[1]
        scores.masked_fill_(chosen[:, None] == sampled, -torch.inf)
        highest = torch.maximum(scores.amax(dim=1), target_scores)
        probabilities = scores.sub_(highest[:, None]).exp_()
        own = (target_scores - highest).exp()
        total = probabilities.sum(dim=1) + own
        ctx.save_for_backward(states, rows, probabilities.div_(total[:, None]), own / total)
        return (total.log() + highest - target_scores).sum()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        states, rows, probabilities, own = ctx.saved_tensors
        targets, negatives = rows[: len(states)], rows[len(states) :]
        missing = (own - 1)[:, None]
        for_states = torch.addmm(missing * targets, probabilities, negatives)
        for_rows = torch.cat([missing * states, probabilities.T @ states])
        return gradient * for_states, gradient * for_rows, None, None, None
