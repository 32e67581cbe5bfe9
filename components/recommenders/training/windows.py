"""Batches of windows of training sequences: the same step has the same batch, however often training was interrupted.

Batches are of windows of similar length, which waste little on padding.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences, gather_windows

_BATCHES_SORTED_TOGETHER = 16
Windows = tuple[np.ndarray, np.ndarray, np.ndarray]  # user, start in `sequences.items`, number of inputs; int64[W] each


class WindowBatches:
    """The batch of every step: epochs follow each other in an order that the seed decides.

    A long sequence is cut into windows at a new random offset each epoch, so that a position is not always seen with
    the same amount of history.
    """

    def __init__(self, sequences: InteractionSequences, length: int, batch_size: int, seed: int):
        """Batches of `batch_size` windows, each of at most `length` inputs."""
        self._sequences = sequences
        self._length = length
        self._batch_size = batch_size
        self._seed = seed
        self._batches: Iterator[Windows] = iter(())
        self._next_step = 0

    def of_step(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Users int64[B], inputs int64[B, T] and targets int64[B, T] of a step (from 1), 0-padded at the end."""
        if step != self._next_step:  # the first step, or a training that goes on: those before are passed over
            self._batches = self._all_batches()
            for _ in range(step - 1):
                next(self._batches)
        self._next_step = step + 1
        users, starts, lengths = next(self._batches)
        width = int(lengths.max())
        inputs = gather_windows(self._sequences.items, starts, lengths, width)
        targets = gather_windows(self._sequences.items, starts + 1, lengths, width)
        return torch.from_numpy(users), torch.from_numpy(inputs), torch.from_numpy(targets)

    def _all_batches(self) -> Iterator[Windows]:
        generator = np.random.default_rng(self._seed)
        while True:
            yield from epoch_of_batches(self._sequences, self._length, self._batch_size, generator)


def epoch_of_batches(
    sequences: InteractionSequences, length: int, batch_size: int, generator: np.random.Generator
) -> Iterator[Windows]:
    """The windows of one epoch in batches; together they have every training position as an input."""
    users, starts, lengths = cut_windows(sequences, length, generator)
    order = generator.permutation(len(users))
    group = batch_size * _BATCHES_SORTED_TOGETHER
    batches = []
    for first in range(0, len(order), group):
        together = order[first : first + group]
        together = together[np.argsort(lengths[together], kind="stable")]
        batches += [together[k : k + batch_size] for k in range(0, len(together), batch_size)]
    for k in generator.permutation(len(batches)):
        batch = batches[k]
        yield users[batch], starts[batch], lengths[batch]


def cut_windows(sequences: InteractionSequences, length: int, generator: np.random.Generator) -> Windows:
    """User, start in `sequences.items` and number of inputs of each window, at most `length` inputs a window.

    A user with n training items has n - 1 inputs (each predicts its successor). The first window is cut at a random
    length, the others follow without a gap, and the last one reaches back to full length: it is the one most like
    the histories that serving sends.
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
