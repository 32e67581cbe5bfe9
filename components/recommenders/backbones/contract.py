"""What a backbone of rankers does (`tests/contract/test_backbones.py` holds every one to it)."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class SequenceBackbone(nn.Module, ABC):
    """Turns the items of a history into e_u (section 2), after each of them.

    Its constructor takes the settings that its registry entry names, and `length`, the longest history it may be given.
    """

    @abstractmethod
    def forward(self, item_embeddings: Tensor) -> Tensor:
        """e_u after each of the T items: float32[B, T, d] -> float32[B, T, d].

        Items come oldest first and are padded at the end with anything. State t depends on items 1 .. t alone, so
        padding changes nothing before it, and a batch may be cut to its longest history.
        """
