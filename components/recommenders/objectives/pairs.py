"""The objectives of collaborative backbones: a user's item against one that the user has not (section 4.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor

_DRAWS = 8  # of an item, at most


def bpr_loss(chosen: Tensor, others: Tensor) -> Tensor:
    """Bayesian personalised ranking (Rendle et al., UAI 2009): -log sigmoid(y_ui - y_uj), float32[B].

    Args:
        chosen: float32[B], scores y_ui of items that the users have.
        others: float32[B], scores y_uj of items that they have not.
    """
    return -F.logsigmoid(chosen - others)


def logistic_loss(chosen: Tensor, others: Tensor) -> Tensor:
    """Binary cross entropy of both (He et al., WWW 2017): -(log sigmoid(y_ui) + log(1 - sigmoid(y_uj))) / 2.

    Arguments and result as of `bpr_loss`.
    """
    return -(F.logsigmoid(chosen) + F.logsigmoid(-others)) / 2


class UnchosenItems:
    """Draws items that users have not chosen.

    On dense data it matters: of ML-1M's pairs a twentieth is chosen, of popular items half, and each such negative
    pulls the wrong way.
    """

    def __init__(self, users: Tensor, items: Tensor, n_items: int):
        """`users` and `items` int64[M], both from 0, the pairs that are chosen."""
        self._n_items = n_items
        self._chosen = torch.unique(users * n_items + items)  # ascending

    def draw(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """An item (from 0) for each of `users` int64[B], drawn again while it is one that the user has chosen.

        After `_DRAWS` a user who has chosen nearly everything keeps what was drawn last.
        """
        drawn = torch.randint(self._n_items, users.shape, generator=generator)
        last = len(self._chosen) - 1
        for _ in range(_DRAWS - 1):
            keys = users * self._n_items + drawn
            places = torch.searchsorted(self._chosen, keys).clamp(max=last)
            again = torch.nonzero(self._chosen[places] == keys)[:, 0]
            if not len(again):
                break
            drawn[again] = torch.randint(self._n_items, again.shape, generator=generator)
        return drawn
