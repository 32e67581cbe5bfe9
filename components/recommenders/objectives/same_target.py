"""DuoRec's regularisation (Qiu et al., WSDM 2022): histories that are followed by the same item are drawn together.

Of a history there are two views: it itself, through the network once more with other components dropped out (the
unsupervised one), and another history of training whose next item is the same (the supervised one). They are a positive
pair, the other views of the batch are negatives of both. Settings of the authors' code that are none here: the product
of two vectors as their similarity, and the temperature 1. Differs from it: views of the same next item, of which a
batch may have several, are no negatives of each other.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences, gather_windows


class SameTargetHistories:
    """Draws, for a place of the training data, a history of another place with the same item."""

    def __init__(self, sequences: InteractionSequences, length: int):
        """Of histories of at most `length` items; a place that begins a user's sequence has none, and is not drawn."""
        self._items = sequences.items
        self._length = length
        place = np.arange(len(sequences.items))
        self._begins = np.repeat(sequences.offsets[:-1], np.diff(sequences.offsets))
        ends = np.repeat(sequences.offsets[:-1] + sequences.train_lengths, np.diff(sequences.offsets))
        places = place[(place > self._begins) & (place < ends)]
        # All places of one item side by side: those of item i are self._places[self._first[i] : self._first[i + 1]].
        self._places = places[np.argsort(sequences.items[places], kind="stable")]
        counts = np.bincount(sequences.items[places], minlength=sequences.n_items + 1)
        self._first = np.concatenate([[0], np.cumsum(counts)])
        self._position = np.zeros(len(place), dtype=np.int64)
        self._position[self._places] = np.arange(len(self._places))

    def draw(self, places: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Places int64[B] with the items at `places` int64[B], each drawn from the others, if there are any."""
        items = self._items[places]
        first, count = self._first[items], self._first[items + 1] - self._first[items]
        step = generator.integers(1, np.maximum(count, 2))  # 1 .. count - 1 places on, in a circle
        return self._places[first + (self._position[places] - first + step) % count]

    def lengths_before(self, places: np.ndarray) -> np.ndarray:
        """How many items `before` gives of each place: int64[B]."""
        return np.minimum(places - self._begins[places], self._length)

    def before(self, places: np.ndarray) -> np.ndarray:
        """The items before each place, the latest ones: int64[B, T], oldest first, 0-padded at the end."""
        lengths = self.lengths_before(places)
        return gather_windows(self._items, places - lengths, lengths, int(lengths.max()))


def same_target_loss(views: Tensor, partners: Tensor, targets: Tensor) -> Tensor:
    """For each pair (views[i], partners[i]), -log softmax of their product among those with views of other targets.

    Args:
        views: float32[B, d], one view of each history.
        partners: float32[B, d], the other view of each.
        targets: int64[B], the item that comes next.

    Returns:
        float32[B], the mean of both directions: views[i] has partners[i] to find among the vectors of both sides, and
        partners[i] has views[i].
    """
    both = torch.cat([views, partners])
    of_both = torch.cat([targets, targets])
    other = torch.arange(len(both), device=both.device).roll(len(views))
    is_no_negative = (of_both[:, None] == of_both).scatter(1, other[:, None], False)
    scores = (both @ both.T).masked_fill(is_no_negative, -torch.inf)
    return F.cross_entropy(scores, other, reduction="none").reshape(2, len(views)).mean(dim=0)
