"""The contrastive regularisation of DuoRec (Qiu et al., WSDM 2022): histories that one item follows are drawn together.

A user's vector is compared with the vector of another history that was followed by the same item (a supervised
positive), both with their own dropout (an unsupervised one), against the other users of the batch. It spreads the
vectors of items and users, which a sequence encoder alone lets collapse into a narrow cone.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences, gather_windows


class SameTargetHistories:
    """Training histories by the item that followed them."""

    def __init__(self, sequences: InteractionSequences):
        self._items = sequences.items
        within = np.arange(len(self._items)) - np.repeat(sequences.offsets[:-1], np.diff(sequences.offsets))
        lengths = np.repeat(sequences.train_lengths, np.diff(sequences.offsets))
        places = np.flatnonzero((within > 0) & (within < lengths))  # of training visits that have a history
        self._places = places[np.argsort(self._items[places], kind="stable")]
        self._history = within[self._places]
        counts = np.bincount(self._items[places], minlength=sequences.n_items + 1)
        self._first = np.cumsum(counts) - counts
        self._counts = counts

    def draw(self, targets: Tensor, length: int, generator: torch.Generator) -> Tensor:
        """One history for each target, uniformly of those it followed, which may be the one it was taken from.

        Args:
            targets: int64[B], items that follow some training history.
            length: items of a history at most, the latest ones.

        Returns:
            int64[B, T], oldest first, 0-padded at the end.
        """
        wanted = targets.cpu().numpy()
        drawn = torch.rand(len(wanted), dtype=torch.float64, generator=generator).numpy()
        chosen = self._first[wanted] + (drawn * self._counts[wanted]).astype(np.int64)
        lengths = np.minimum(self._history[chosen], length)
        starts = self._places[chosen] - lengths
        return torch.from_numpy(gather_windows(self._items, starts, lengths, int(lengths.max())))


def same_target_loss(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """InfoNCE between two views of a batch, by the dot product, temperature 1.

    Mean over the 2B vectors v of -log softmax(v . w) at v's other view; the other w are those whose target is another
    item, of both views.

    Args:
        first: float32[B, d].
        second: float32[B, d].
        targets: int64[B], the item that followed both.
    """
    size = len(targets)
    views = torch.cat([first, second])
    other = torch.arange(2 * size, device=views.device).roll(size)
    items = targets.repeat(2)
    no_rival = (items[:, None] == items).scatter(1, other[:, None], False)
    return F.cross_entropy((views @ views.T).masked_fill(no_rival, -torch.inf), other)
