"""What a backbone of rankers does (`tests/contract/test_backbones.py` holds every one to it).

There are two kinds. A sequence backbone computes a user from the history, so that it has a vector for everybody. A
collaborative backbone has learned a vector of each user of the training, and knows nobody else.
"""

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


class CollaborativeBackbone(nn.Module, ABC):
    """Gives each user of the training a vector, and each item; one call makes all of them.

    Its constructor takes the settings that its registry entry names, `users`, `items` and `pairs` int64[2, M], the
    users (from 0) and items (from 1) of the training visits, of which no other graph is made.

    Attributes:
        dimension: D, components of the vectors that are compared.
        user_embedding: float32[U, n d], what is learned of the users; an item has as many components.
    """

    dimension: int
    user_embedding: nn.Parameter

    @abstractmethod
    def forward(self, item_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """e_u of all users float32[U, D] and e_i of all items float32[I + 1, D].

        Args:
            item_embeddings: float32[I + 1, n d], row 0 is padding.
        """

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """How well users and items fit, pair by pair: float32[B, D] and float32[B, D] -> float32[B]."""
        return (users * items).sum(dim=1)

    def score_all(self, users: Tensor, items: Tensor) -> Tensor:
        """How well each user and each item fit: float32[B, D] and float32[I, D] -> float32[B, I]."""
        return users @ items.T
