"""NeuMF (He et al., WWW 2017): matrix factorisation and a perceptron, each with vectors of its own, in one score."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.recommenders.backbones.contract import CollaborativeBackbone

_SCORED_AT_ONCE = 1 << 20  # components of a layer of the perceptron: more of them do not stay in the cache


class NeuMF(CollaborativeBackbone):
    """y = w . [p_u * q_i, MLP([p'_u, q'_i])].

    A user's vector is [p_u, p'_u] and an item's [q_i, q'_i], d components each. The perceptron begins with 2 d units
    and halves them in every layer. Differs from the original: both parts are trained together from the start, not each
    alone first.
    """

    def __init__(self, embedding_dimension: int, layers: int, dropout: float, users: int, items: int, pairs: Tensor):
        """`pairs` is not read: there is no graph."""
        super().__init__()
        self.dimension = 2 * embedding_dimension
        self.user_embedding = nn.Parameter(torch.randn(users, self.dimension) * 0.02)
        sizes = [max(self.dimension >> layer, 1) for layer in range(layers)]
        self.first = nn.Linear(self.dimension, self.dimension)
        self.hidden = nn.ModuleList(nn.Linear(size, following) for size, following in pairwise(sizes))
        self.out = nn.Linear(embedding_dimension + sizes[-1], 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, item_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """What is learned, as it is: float32[U, 2 d] and float32[I + 1, 2 d]."""
        return self.user_embedding, item_embeddings

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """float32[B, 2 d] and float32[B, 2 d] -> float32[B]."""
        (p, p_of_mlp), (q, q_of_mlp) = users.chunk(2, dim=1), items.chunk(2, dim=1)
        products = (p * q) @ self.out.weight[0, : p.shape[1]]
        return products + self._perceptron(*self._first_layer(p_of_mlp, q_of_mlp))

    def score_all(self, users: Tensor, items: Tensor) -> Tensor:
        """A few users at a time: the perceptron sees every pair, but for its first layer, which is a sum."""
        (p, p_of_mlp), (q, q_of_mlp) = users.chunk(2, dim=1), items.chunk(2, dim=1)
        products = (p * self.out.weight[0, : p.shape[1]]) @ q.T
        of_users, of_items = self._first_layer(p_of_mlp, q_of_mlp)
        at_once = max(1, _SCORED_AT_ONCE // of_items.numel())
        return products + torch.cat([self._perceptron(some[:, None], of_items) for some in of_users.split(at_once)])

    def _first_layer(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What users and items, float32[.., d], bring to the first layer, float32[.., 2 d]: it adds the two up."""
        of_users, of_items = self.first.weight.chunk(2, dim=1)
        return F.linear(self.dropout(users), of_users, self.first.bias), F.linear(self.dropout(items), of_items)

    def _perceptron(self, users: Tensor, items: Tensor) -> Tensor:
        """Its part of the score, and the bias of all: float32[..] of what `_first_layer` gives, in shapes that fit."""
        hidden = torch.relu(users + items)
        for layer in self.hidden:
            hidden = torch.relu(layer(self.dropout(hidden)))
        return hidden @ self.out.weight[0, -hidden.shape[-1] :] + self.out.bias
