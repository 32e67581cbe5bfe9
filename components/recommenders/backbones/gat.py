"""Heterogeneous graph attention: the behavior encoder of the paper's deployment (section 5; Eq. 1 of section 3.1.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv
from torch_geometric.typing import EdgeType

USER = "user"
READ_OUT = (USER, "item")  # the node types that get a vector in the end
EDGE_FEATURES = 2
SECONDS_OF_A_DAY = 86_400


class HeterogeneousGAT(nn.Module):
    """GATv2 (Brody et al., ICLR 2022) with parameters of its own for each edge type and layer.

    With N_r(i) the sources of the edges of type r into node i, f_ij the features of an edge (`edge_features`) and
    || over the heads, layer l computes

        a_ij   = softmax_{j in N_r(i)}  a_r . LeakyReLU(W_r h_j + V_r h_i + U_r f_ij)
        g_i    = sum_r  || sum_{j in N_r(i)} a_ij W_r h_j  + b_r
        h_i'   = LayerNorm(h_i + dropout(ELU(g_i)))

    and after the last layer m_u = R_user h_u, e_i = R_item h_i + h^(0)_i; a link (u, i) scores m_u . e_i. The h^(0)_i
    gives each item a say of its own from the first step on, before the layers have learned to pass it through.

    h^(0) is a learned vector for each item and entity, and *one* learned vector for all users: what tells users apart
    is what they are connected to. So the network does not grow with the users, and a user who came after the training
    has a vector as soon as there is one interaction.

    GATv2 stands in for the GAT that the paper names (Velickovic et al., ICLR 2018), whose attention ranks neighbours
    in one order for all nodes. Not covered: profiles of users, texts of items (their topics are nodes), attention
    over edge types, which are added up.
    """

    def __init__(
        self,
        n_nodes: dict[str, int],
        edge_types: list[EdgeType],
        dimension: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
    ):
        """Parameters for a graph of `n_nodes` nodes of each type, connected by `edge_types`.

        Raises:
            ValueError: `dimension` is no multiple of `heads`.
        """
        super().__init__()
        if dimension % heads:
            raise ValueError(f"a dimension of {dimension} cannot be divided among {heads} heads")
        self.user = nn.Parameter(torch.randn(1, dimension) * 0.1)
        embeddings = {kind: nn.Embedding(count, dimension) for kind, count in n_nodes.items() if kind != USER}
        for embedding in embeddings.values():
            nn.init.normal_(embedding.weight, std=0.1)
        self.embeddings = nn.ModuleDict(embeddings)
        # The last layer is read out at users and items: edges into other types would change nothing.
        last = [edge_type for edge_type in edge_types if edge_type[2] in READ_OUT]
        self.layers = nn.ModuleList(
            GATLayer(edge_types if layer < layers - 1 else last, dimension, heads, dropout) for layer in range(layers)
        )
        self.read_outs = nn.ModuleDict({kind: nn.Linear(dimension, dimension, bias=False) for kind in READ_OUT})

    def gat_layers(self) -> "list[GATLayer]":
        """The layers; each knows which node types it computes (`norms`)."""
        return [layer for layer in self.layers if isinstance(layer, GATLayer)]

    def initial(self, kind: str, numbers: Tensor) -> Tensor:
        """h^(0) of nodes int64[n] of one type: float32[n, d]."""
        return self.user.expand(len(numbers), -1) if kind == USER else self.embeddings[kind](numbers)

    def forward(
        self,
        nodes: dict[str, Tensor],
        edge_index: dict[EdgeType, Tensor],
        features: dict[EdgeType, Tensor],
        sampled_nodes: dict[str, list[int]] | None = None,
        sampled_edges: dict[EdgeType, list[int]] | None = None,
    ) -> dict[str, Tensor]:
        """Vectors of the users and items of a graph, or of the seeds of a mini-batch of it.

        Args:
            nodes: the number of each node in the whole graph, int64[n], for each node type.
            edge_index: int64[2, E] positions in `nodes`, for each edge type.
            features: `edge_features`, float32[E, 2], for each edge type.
            sampled_nodes: how many nodes each hop of a neighbour sampler added, the seeds first; with it and
                `sampled_edges`, a layer computes only what the seeds depend on.
            sampled_edges: how many edges each hop added.

        Returns:
            For "user" and "item" float32[n, d] in the order of `nodes`, of a mini-batch those of the seeds.
        """
        # Disjoint subgraphs hold a node many times, and before the first layer all users are one: the first layer
        # sends from the distinct ones, x[kind][rows[kind]] is what there is of `nodes`.
        rows, x = {}, {}
        for kind, numbers in nodes.items():
            numbers = torch.zeros_like(numbers) if kind == USER else numbers
            distinct, rows[kind] = torch.unique(numbers, return_inverse=True)
            x[kind] = self.initial(kind, distinct)
        for depth, layer in enumerate(self.gat_layers()):
            received = {}
            for kind in layer.norms:
                n_nodes = len(nodes[kind])
                if sampled_nodes is not None:
                    n_nodes = sum(sampled_nodes[kind][: -1 - depth])
                h = x[kind][:n_nodes] if depth else x[kind][rows[kind][:n_nodes]]
                incoming = {}
                for edge_type in layer.edge_types_into(kind):
                    n_edges = edge_index[edge_type].shape[1]
                    if sampled_edges is not None:
                        n_edges = sum(sampled_edges[edge_type][: len(sampled_edges[edge_type]) - depth])
                    sources, destinations = edge_index[edge_type][:, :n_edges]
                    if depth == 0:
                        sources = rows[edge_type[0]][sources]
                    links = torch.stack([sources, destinations])
                    incoming[edge_type] = (x[edge_type[0]], links, features[edge_type][:n_edges])
                received[kind] = layer(kind, h, incoming)
            x = received
        return {kind: self.read_out(kind, x[kind], nodes[kind][: len(x[kind])]) for kind in READ_OUT}

    def read_out(self, kind: str, x: Tensor, numbers: Tensor) -> Tensor:
        """m_u or e_i, float32[n, d], of what the last layer gives for the nodes `numbers`, int64[n]."""
        vectors = self.read_outs[kind](x)
        return vectors if kind == USER else vectors + self.initial(kind, numbers)


class GATLayer(nn.Module):
    """One layer: attention over the edges of each type, added up, residual, layer norm."""

    def __init__(self, edge_types: list[EdgeType], dimension: int, heads: int, dropout: float):
        super().__init__()
        self.edge_types = edge_types
        # Users and items pass through every layer, connected or not.
        kinds = sorted({edge_type[2] for edge_type in edge_types} | set(READ_OUT))
        self.convolutions = nn.ModuleDict(
            {
                _name(edge_type): GATv2Conv(
                    (dimension, dimension),
                    dimension // heads,
                    heads,
                    edge_dim=EDGE_FEATURES,
                    add_self_loops=False,
                    dropout=dropout,
                )
                for edge_type in edge_types
            }
        )
        self.norms = nn.ModuleDict({kind: nn.LayerNorm(dimension) for kind in kinds})
        self.dropout = nn.Dropout(dropout)

    def edge_types_into(self, kind: str) -> list[EdgeType]:
        """The edge types whose targets are nodes of this kind."""
        return [edge_type for edge_type in self.edge_types if edge_type[2] == kind]

    def forward(self, kind: str, x: Tensor, incoming: dict[EdgeType, tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """h' of nodes of one type: float32[n, d].

        Args:
            kind: their type.
            x: their h, float32[n, d].
            incoming: for each edge type into `kind`, h of the sources float32[m, d], edges int64[2, E] from positions
                there to positions in `x`, and edge features float32[E, 2].
        """
        received = torch.zeros_like(x)
        for edge_type, (sources, edge_index, features) in incoming.items():
            received = received + self.convolutions[_name(edge_type)]((sources, x), edge_index, features)
        return self.norms[kind](x + self.dropout(F.elu(received)))


def edge_features(weight: Tensor, time: Tensor | None, now: Tensor | int) -> Tensor:
    """What attention sees of an edge: float32[E, 2], its weight and log(1 + its age in days), 0 where it has no time.

    Args:
        weight: float32[E].
        time: int64[E], seconds, or None for a type without times.
        now: the second the graph is looked at from, for all edges or int64[E].
    """
    age = torch.zeros_like(weight) if time is None else (now - time).clamp(min=0).to(weight.dtype) / SECONDS_OF_A_DAY
    return torch.stack([weight, age.log1p()], dim=1)


def _name(edge_type: EdgeType) -> str:
    return "__".join(edge_type)
