"""Vectors of all nodes of a graph of any size: one layer after the other, each a stretch of nodes at a time.

A layer of all nodes needs nothing but the layer before it, so no neighbourhood is computed twice, as it would be in
mini-batches of whole neighbourhoods, and none is sampled. In memory are a stretch of nodes, their incoming edges and
the rows of the layer before that these edges name; layers themselves may lie in files.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from components.behavior_encoder.neighbor_sampling import Adjacency, expand_ranges
from components.recommenders.backbones.gat import GATLayer, HeterogeneousGAT, edge_features

Layer = dict[str, np.ndarray]


def layerwise_vectors(
    network: HeterogeneousGAT,
    data: HeteroData,
    now: int,
    latest: int | None = None,
    edges_at_once: int = 1 << 15,
    folder: Path | None = None,
) -> list[Layer]:
    """h^(1) .. h^(L-1) of all nodes, and last the vectors m_u and e_i of the users and items.

    Equal, up to rounding, to `network` applied to the whole graph at once. It leaves the network in evaluation mode.

    Args:
        network: on the device where the layers are computed.
        data: a graph as `graph.read_graph` makes it.
        now: the second the graph is looked at from.
        latest: at most this many of the edges of one type into a node, the latest ones (of a type without times the
            last ones): what bounds the memory that a hub costs. None: all.
        edges_at_once: nodes and incoming edges of a stretch; 64 dimensions take about 1.5 KB each.
        folder: where layers are kept, as memory-mapped .npy files; None: in memory.

    Returns:
        For each layer and node type float32[n, d]. The last holds users and items only.
    """
    network.eval()
    inference = _Inference(network, data, now, latest)
    gat_layers = network.gat_layers()
    for depth, layer in enumerate(gat_layers):
        is_last = depth == len(gat_layers) - 1
        results: Layer = {}
        for kind in layer.norms:
            path = None if folder is None else folder / f"layer{depth + 1}-{kind}.npy"
            results[kind] = _empty((data[kind].num_nodes, network.user.shape[1]), path)
            for nodes in inference.stretches(layer, kind, edges_at_once):
                with torch.no_grad():
                    x = inference.apply(layer, kind, nodes)
                    if is_last:
                        x = network.read_out(kind, x, torch.from_numpy(nodes).to(x.device))
                    results[kind][nodes[0] : nodes[-1] + 1] = x.cpu().numpy()
        inference.layers.append(results)
    return inference.layers


class _Inference:
    """The graph by destination, and the layers computed so far."""

    def __init__(self, network: HeterogeneousGAT, data: HeteroData, now: int, latest: int | None):
        self.network = network
        self.data = data
        self.now = now
        self.latest = latest
        self.layers: list[Layer] = []
        self.incoming = {
            edge_type: Adjacency(data[edge_type].edge_index, data[edge_type].get("time"), data[edge_type[2]].num_nodes)
            for edge_type in data.edge_types
        }

    def apply(self, layer: GATLayer, kind: str, nodes: np.ndarray) -> Tensor:
        """What `layer` makes of nodes of one type."""
        incoming = {edge_type: self._edges(edge_type, nodes) for edge_type in layer.edge_types_into(kind)}
        return layer(kind, self._before(kind, nodes), incoming)

    def stretches(self, layer: GATLayer, kind: str, edges_at_once: int) -> Iterator[np.ndarray]:
        """Consecutive nodes with at most `edges_at_once` nodes and incoming edges, or one node."""
        costs = np.ones(self.data[kind].num_nodes, np.int64)
        for edge_type in layer.edge_types_into(kind):
            costs += self._kept(np.diff(self.incoming[edge_type].pointers))
        ends = np.cumsum(costs)
        start = 0
        while start < len(ends):
            before = ends[start - 1] if start else 0
            end = max(start + 1, int(np.searchsorted(ends, before + edges_at_once, side="right")))
            yield np.arange(start, end)
            start = end

    def _before(self, kind: str, nodes: np.ndarray) -> Tensor:
        """h of nodes in the layer before, float32[n, d]."""
        device = self.network.user.device
        if self.layers:
            return torch.from_numpy(self.layers[-1][kind][nodes]).to(device)
        return self.network.initial(kind, torch.from_numpy(nodes).to(device))

    def _edges(self, edge_type: EdgeType, nodes: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """What `GATLayer` asks for of the edges of one type into `nodes`."""
        adjacency, store, device = self.incoming[edge_type], self.data[edge_type], self.network.user.device
        starts, counts = adjacency.incoming(nodes)
        kept = self._kept(counts)
        places, receivers = expand_ranges(starts + counts - kept, kept)
        sources, positions = np.unique(adjacency.sources[places], return_inverse=True)
        edges = torch.from_numpy(places) if adjacency.permutation is None else adjacency.permutation[places]
        time = store.time[edges] if "time" in store else None
        return (
            self._before(edge_type[0], sources),
            torch.from_numpy(np.stack([positions, receivers])).to(device),
            edge_features(store.weight[edges], time, self.now).to(device),
        )

    def _kept(self, counts: np.ndarray) -> np.ndarray:
        return counts if self.latest is None else np.minimum(counts, self.latest)


def _empty(shape: tuple[int, int], path: Path | None) -> np.ndarray:
    if path is None:
        return np.empty(shape, np.float32)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
