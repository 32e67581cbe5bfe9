"""The objective of sequences: every state predicts the item that comes next, by cross entropy over all items (4.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def next_item_loss(states: Tensor, table: Tensor, targets: Tensor, positions: float) -> Tensor:
    """Cross entropy over all items, summed over the positions that have a target, per `positions`.

    torch's chunked `linear_cross_entropy` is no slower than materialised logits (`tests/performance/trainer.py`) and
    holds a chunk of them in memory instead of all.

    Args:
        states: float32[B, T, d], a user after each item of a window.
        table: float32[I + 1, d], row 0 is padding.
        targets: int64[B, T], the next items, 0 where there is none.
        positions: what the sum is divided by. One number for all batches: with the mean of each batch, a position of a
            batch of short windows would count for several of another.
    """
    real = targets > 0
    if not real.any():  # a process of several for which a small batch has no window
        return states.sum() * 0
    mean = F.linear_cross_entropy(
        states[real], table[1:], targets[real] - 1, options=torch.nn.LinearCrossEntropyOptions()
    )
    return mean * (real.sum() / positions)
