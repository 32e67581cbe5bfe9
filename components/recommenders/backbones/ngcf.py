"""NGCF (Wang et al., SIGIR 2019): graph convolution with weights, and products of neighbours in its messages."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.recommenders.backbones.lightgcn import GraphBackbone, propagate

_SLOPE = 0.2  # of LeakyReLU, as in the authors' code


class NGCF(GraphBackbone):
    """With L = D^(-1/2) A D^(-1/2), layer k computes

        E^(k) = dropout(LeakyReLU(W1 (L + I) E^(k-1) + W2 (L E^(k-1) * E^(k-1)))),

    and users and items are compared by E^(0) and the rows of E^(1) .. E^(K), of length 1 each, side by side.

    Differs from the original: no dropout of nodes, which it uses for some data sets only.
    """

    def __init__(self, embedding_dimension: int, layers: int, dropout: float, users: int, items: int, pairs: Tensor):
        super().__init__(users, items, pairs, embedding_dimension)
        self.dimension = embedding_dimension * (layers + 1)
        self.sums = nn.ModuleList(nn.Linear(embedding_dimension, embedding_dimension) for _ in range(layers))
        self.products = nn.ModuleList(nn.Linear(embedding_dimension, embedding_dimension) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, item_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """float32[I + 1, d] -> users float32[U, (K + 1) d] and items float32[I + 1, (K + 1) d]."""
        x = self.nodes(item_embeddings)
        layers = [x]
        for of_sum, of_product in zip(self.sums, self.products, strict=True):
            received = propagate(self.adjacency(), x)
            x = self.dropout(F.leaky_relu(of_sum(received + x) + of_product(received * x), _SLOPE))
            layers.append(F.normalize(x, dim=1))
        return self.split(torch.cat(layers, dim=1))
