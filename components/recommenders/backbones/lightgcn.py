"""LightGCN (He et al., SIGIR 2020), the behavior encoder of the paper's offline experiments."""

import warnings

import torch
from torch import Tensor, nn


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


class LightGCN(nn.Module):
    """Embeddings smoothed over the user-item graph: E^(k+1) = D^(-1/2) A D^(-1/2) E^(k), read out as mean_k E^(k).

    Nodes are the users (0 .. U-1) followed by the items (U .. U+I-1). Not covered: node features and edge types.
    """

    def __init__(self, n_users: int, n_items: int, dimension: int, layers: int):
        super().__init__()
        self.n_users = n_users
        self.layers = layers
        self.embedding = nn.Parameter(torch.randn(n_users + n_items, dimension) * 0.1)

    def forward(self, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """User vectors float32[U, d] and item vectors float32[I, d] for a `normalized_adjacency`."""
        layer = self.embedding
        total = layer
        for _ in range(self.layers):
            layer = _SymmetricPropagation.apply(adjacency, layer)
            total = total + layer
        mean = total / (self.layers + 1)
        return mean[: self.n_users], mean[self.n_users :]

    @torch.no_grad()
    def layer_embeddings(self, adjacency: Tensor) -> list[Tensor]:
        """E^(0) .. E^(K), each float32[U + I, d]."""
        layers = [self.embedding.detach()]
        for _ in range(self.layers):
            layers.append(adjacency @ layers[-1])
        return layers


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
