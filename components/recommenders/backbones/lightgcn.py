"""LightGCN (He et al., SIGIR 2020), the behavior encoder of the paper's offline experiments and one of its backbones.

Embeddings smoothed over the user-item graph: E^(k+1) = D^(-1/2) A D^(-1/2) E^(k), read out as mean_k E^(k).
"""

import warnings

import torch
from torch import Tensor, nn

from components.recommenders.backbones.contract import CollaborativeBackbone


class _SymmetricPropagation(torch.autograd.Function):
    """A @ x for a symmetric sparse A; the gradient is A @ g, so no transpose of A is ever built.

    torch transposes a CSR matrix anew in each backward pass, which costs several times the product itself
    (`tests/performance/trainer.py`).
    """

    @staticmethod
    def forward(ctx, adjacency: Tensor, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.adjacency = adjacency
        return adjacency @ x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor]:  # type: ignore[no-untyped-def]
        return None, ctx.adjacency @ gradient.contiguous()


def propagate(adjacency: Tensor, x: Tensor) -> Tensor:
    """D^(-1/2) A D^(-1/2) x, for a `normalized_adjacency` and float32[N, d]."""
    return _SymmetricPropagation.apply(adjacency, x)


def light_convolution(adjacency: Tensor, x: Tensor, layers: int) -> Tensor:
    """The mean of x and what `layers` propagations make of it, float32[N, d]."""
    total = x
    for _ in range(layers):
        x = propagate(adjacency, x)
        total = total + x
    return total / (layers + 1)


class LightGCN(nn.Module):
    """The behavior encoder: all nodes have embeddings of their own.

    Nodes are the users (0 .. U-1) followed by the items (U .. U+I-1). Not covered: node features and edge types.
    """

    def __init__(self, n_users: int, n_items: int, dimension: int, layers: int):
        super().__init__()
        self.n_users = n_users
        self.layers = layers
        self.embedding = nn.Parameter(torch.randn(n_users + n_items, dimension) * 0.1)

    def forward(self, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """User vectors float32[U, d] and item vectors float32[I, d] for a `normalized_adjacency`."""
        mean = light_convolution(adjacency, self.embedding, self.layers)
        return mean[: self.n_users], mean[self.n_users :]

    @torch.no_grad()
    def layer_embeddings(self, adjacency: Tensor) -> list[Tensor]:
        """E^(0) .. E^(K), each float32[U + I, d]."""
        layers = [self.embedding.detach()]
        for _ in range(self.layers):
            layers.append(adjacency @ layers[-1])
        return layers


class GraphBackbone(CollaborativeBackbone):
    """A backbone over the graph of users and items; the padding item is a node without edges."""

    pairs: Tensor

    def __init__(self, users: int, items: int, pairs: Tensor, embedding_dimension: int):
        super().__init__()
        self.user_embedding = nn.Parameter(torch.randn(users, embedding_dimension) * 0.02)
        self.register_buffer("pairs", pairs)
        self._items = items
        self._adjacency: Tensor | None = None

    def adjacency(self) -> Tensor:
        """`normalized_adjacency` of the pairs, on their device; made once."""
        if self._adjacency is None or self._adjacency.device != self.pairs.device:
            users, items = self.pairs.cpu()
            made = normalized_adjacency(users, items, len(self.user_embedding), self._items + 1)
            self._adjacency = made.to(self.pairs.device)
        return self._adjacency

    def nodes(self, item_embeddings: Tensor) -> Tensor:
        """E^(0) of users and items: float32[U + I + 1, d]."""
        return torch.cat([self.user_embedding, item_embeddings])

    def split(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes float32[U + I + 1, D] as users float32[U, D] and items float32[I + 1, D]."""
        return nodes[: len(self.user_embedding)], nodes[len(self.user_embedding) :]


class LightGCNBackbone(GraphBackbone):
    """Users and items by the mean over the layers; the items' first embeddings are those of the item encoder."""

    def __init__(self, embedding_dimension: int, layers: int, users: int, items: int, pairs: Tensor):
        super().__init__(users, items, pairs, embedding_dimension)
        self.dimension = embedding_dimension
        self.layers = layers

    def extra_repr(self) -> str:
        """What `print` shows beside the modules, of which there are none."""
        return f"{self.dimension}, layers={self.layers}"

    def forward(self, item_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """float32[I + 1, d] -> users float32[U, d] and items float32[I + 1, d]."""
        return self.split(light_convolution(self.adjacency(), self.nodes(item_embeddings), self.layers))


def normalized_adjacency(users: Tensor, items: Tensor, n_users: int, n_items: int) -> Tensor:
    """D^(-1/2) A D^(-1/2) of the bipartite graph as sparse CSR float32[U+I, U+I]; repeated pairs count once.

    Args:
        users: int64[M], 0 .. U-1.
        items: int64[M], 0 .. I-1.
    """
    n = n_users + n_items
    pairs = torch.unique(users * n_items + items)
    rows, columns = pairs // n_items, pairs % n_items + n_users
    indices = torch.cat([torch.stack([rows, columns]), torch.stack([columns, rows])], dim=1)
    degree = torch.bincount(indices[0], minlength=n).clamp(min=1).to(torch.float32)
    values = (degree[indices[0]] * degree[indices[1]]).rsqrt()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_coo_tensor(indices, values, (n, n), check_invariants=True).coalesce().to_sparse_csr()
