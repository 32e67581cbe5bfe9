"""NeuMF (He et al., WWW 2017): matrix factorisation and a perceptron, each with vectors of its own, in one score."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from components.recommenders.backbones.contract import CollaborativeBackbone

_SCORED_AT_ONCE = 1 << 24  # components of a perceptron's layer


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
        sizes = [self.dimension, *(max(self.dimension >> layer, 1) for layer in range(layers))]
        self.hidden = nn.ModuleList(nn.Linear(size, following) for size, following in pairwise(sizes))
        self.out = nn.Linear(embedding_dimension + sizes[-1], 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, item_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """What is learned, as it is: float32[U, 2 d] and float32[I + 1, 2 d]."""
        return self.user_embedding, item_embeddings

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """float32[..., 2 d] twice, of shapes that fit -> float32[...]."""
        (p, p_of_mlp), (q, q_of_mlp) = users.chunk(2, dim=-1), items.chunk(2, dim=-1)
        shape = torch.broadcast_shapes(p.shape, q.shape)
        hidden = torch.cat([p_of_mlp.expand(shape), q_of_mlp.expand(shape)], dim=-1)
        for layer in self.hidden:
            hidden = torch.relu(layer(self.dropout(hidden)))
        return self.out(torch.cat([p * q, hidden], dim=-1)).squeeze(-1)

    def score_all(self, users: Tensor, items: Tensor) -> Tensor:
        """A few users at a time: the perceptron sees every pair."""
        at_once = max(1, _SCORED_AT_ONCE // (len(items) * self.dimension))
        return torch.cat([self.score(some[:, None], items[None]) for some in users.split(at_once)])
