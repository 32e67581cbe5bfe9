"""The one trainer of rankers: every position of every window predicts the next item, cross entropy over all items.

The hot loop: torch's chunked `linear_cross_entropy`, which is no slower than materialised logits
(`tests/performance/trainer.py`) and holds a chunk of them in memory instead of all; batches of windows of similar
length, which waste little on padding; and a learning rate that falls to zero, so that the last epochs settle.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.foundation.errors import InputError
from components.foundation.progress import say
from components.recommenders.configuration import TrainingConfig
from components.recommenders.evaluation import CUTOFF, rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences, gather_windows
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments

_BATCHES_SORTED_TOGETHER = 16


@dataclass(frozen=True)
class TrainingResult:
    """Validation metrics at the chosen checkpoint, and the whole curve (one entry an evaluation)."""

    steps: int
    passes: float
    best_step: int
    validation: dict[str, float]
    curve: list[dict[str, float]]


def train_ranker(
    ranker: Ranker, sequences: InteractionSequences, rationales: RationaleAssignments, config: TrainingConfig
) -> TrainingResult:
    """Train in place by cross entropy (section 4.1); the ranker ends with the weights of the best validation NDCG@10.

    Reads training interactions, and the validation item of each user to choose the checkpoint; never a test item.
    """
    torch.manual_seed(config.seed)
    generator = np.random.default_rng(config.seed)
    _, _, window_lengths = _windows(sequences, ranker.config.history_length, generator)
    if not len(window_lengths):
        raise InputError("training data: no user has two training interactions, so there is nothing to predict")
    steps_per_epoch = math.ceil(len(window_lengths) / config.batch_size)
    positions_per_batch = float(window_lengths.sum()) / steps_per_epoch
    total_steps = config.epochs * max(steps_per_epoch, config.minimum_steps_per_epoch)
    evaluate_at = {math.ceil(total_steps * (k + 1) / config.evaluations) for k in range(config.evaluations)}
    optimizer = torch.optim.AdamW(ranker.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    curve: list[dict[str, float]] = []
    best_score, best_step, best_weights = -1.0, 0, copy.deepcopy(ranker.state_dict())
    losses: list[float] = []
    ranker.train()
    batches = endless_batches(sequences, ranker.config.history_length, config.batch_size, generator)
    for step in range(1, total_steps + 1):
        users, inputs, targets = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, total_steps)
        loss = _loss(ranker, inputs, targets, rationales.of_users(users), positions_per_batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ranker.parameters(), config.gradient_norm)
        optimizer.step()
        losses.append(loss.item())
        if step in evaluate_at:
            metrics = rank_held_out(ranker, sequences, rationales, "valid").metrics()
            curve.append({"step": step, "loss": float(np.mean(losses)), **metrics})
            say(
                f"{ranker.config.variant}: step {step}/{total_steps}, loss {curve[-1]['loss']:.3f}, "
                f"validation NDCG@{CUTOFF} {metrics[f'ndcg@{CUTOFF}']:.4f}"
            )
            losses.clear()
            if metrics[f"ndcg@{CUTOFF}"] > best_score:
                best_score, best_step = metrics[f"ndcg@{CUTOFF}"], step
                best_weights = copy.deepcopy(ranker.state_dict())
    ranker.load_state_dict(best_weights)
    ranker.eval()
    chosen = next(point for point in curve if point["step"] == best_step)
    return TrainingResult(
        steps=total_steps,
        passes=total_steps / steps_per_epoch,
        best_step=best_step,
        validation={name: chosen[name] for name in (f"hr@{CUTOFF}", f"ndcg@{CUTOFF}")},
        curve=curve,
    )


def _schedule(step: int, total_steps: int) -> float:
    """Linear warm-up over the first 4% of the steps, then linear decay to zero."""
    warm_up = max(1, round(0.04 * total_steps))
    return min(step / warm_up, (total_steps - step) / max(1, total_steps - warm_up))


def _loss(ranker: Ranker, inputs: Tensor, targets: Tensor, rationale: Tensor, positions_per_batch: float) -> Tensor:
    """Cross entropy summed over all real positions, per `positions_per_batch`; int64[B, T] each, 0 is padding.

    A batch of short windows has fewer positions than one of long ones; the mean of each batch would make every position
    of a short window count for several.
    """
    table = ranker.item_encoder()
    states, _ = ranker.user_states(table, inputs, rationale)
    return next_item_loss(states, table, targets, positions_per_batch)


def next_item_loss(states: Tensor, table: Tensor, targets: Tensor, positions: float) -> Tensor:
    """Cross entropy over all items, summed over the positions that have a target, per `positions`.

    Args:
        states: float32[B, T, d], a user after each item of a window.
        table: float32[I + 1, d], row 0 is padding.
        targets: int64[B, T], the next items, 0 where there is none.
    """
    real = targets > 0
    mean = F.linear_cross_entropy(
        states[real], table[1:], targets[real] - 1, options=torch.nn.LinearCrossEntropyOptions()
    )
    return mean * (real.sum() / positions)


def endless_batches(
    sequences: InteractionSequences, length: int, batch_size: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of epoch after epoch; see `_epoch`."""
    while True:
        yield from _epoch(sequences, length, batch_size, generator)


def _epoch(
    sequences: InteractionSequences, length: int, batch_size: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of (users int64[B], inputs int64[B, T], targets int64[B, T]) that visit every training position.

    A long sequence is cut into windows at a new random offset each epoch, so that a position is not always seen with
    the same amount of history.
    """
    users, starts, lengths = _windows(sequences, length, generator)
    order = generator.permutation(len(users))
    group = batch_size * _BATCHES_SORTED_TOGETHER
    batches = []
    for first in range(0, len(order), group):
        together = order[first : first + group]
        together = together[np.argsort(lengths[together], kind="stable")]
        batches += [together[k : k + batch_size] for k in range(0, len(together), batch_size)]
    for k in generator.permutation(len(batches)):
        batch = batches[k]
        width = int(lengths[batch].max())
        inputs = gather_windows(sequences.items, starts[batch], lengths[batch], width)
        targets = gather_windows(sequences.items, starts[batch] + 1, lengths[batch], width)
        yield torch.from_numpy(users[batch]), torch.from_numpy(inputs), torch.from_numpy(targets)


def _windows(
    sequences: InteractionSequences, length: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, start in `sequences.items` and number of inputs of each window, at most `length` inputs a window.

    A user with n training items has n - 1 inputs (each predicts its successor). The first window is cut at a random
    length, the others follow without a gap, and the last one reaches back to full length: it is the one that looks most
    like what is asked when serving.
    """
    inputs = np.maximum(sequences.train_lengths - 1, 0)
    first = np.where(inputs > length, generator.integers(1, length + 1, size=len(inputs)), inputs)
    further = -(-(inputs - first) // length)  # ceiling
    users = np.repeat(np.arange(sequences.n_users), 1 + further)
    number = np.arange(len(users)) - np.repeat(np.cumsum(1 + further) - (1 + further), 1 + further)
    begin = np.where(number == 0, 0, first[users] + (number - 1) * length)
    end = np.where(number == 0, first[users], np.minimum(begin + length, inputs[users]))
    begin = np.where(end == inputs[users], np.maximum(end - length, 0), begin)
    used = end > begin  # a user with a single training item has nothing to predict
    return users[used], (sequences.offsets[:-1][users] + begin)[used], (end - begin)[used]
