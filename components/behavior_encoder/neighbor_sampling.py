"""Mini-batches of a heterogeneous graph: for each seed node a few of its neighbours, a few of theirs, and so on.

PyG's loaders (`NodeLoader`, `LinkLoader`) take any `BaseSampler`. PyG's own is compiled code that lives in pyg-lib,
which cannot be installed everywhere: `neighbor_sampler` picks it where it is, and `VectorizedNeighborSampler`, which is
NumPy and pandas, elsewhere and wherever sampling looks at time.

torch-sparse, which PyG would fall back to, is not picked: in Floyd's algorithm its release 0.6.18 draws below j where
it must draw up to j, so that one neighbour drawn from many is never the last of them.
"""

from typing import Literal

import numpy as np
import pandas as pd
import torch
import torch_geometric.typing
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NeighborSampler,
    NodeSamplerInput,
)
from torch_geometric.sampler.base import NumNeighbors
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample
from torch_geometric.typing import EdgeType

FanOut = list[int] | dict[EdgeType, list[int]]  # neighbours per hop, for all edge types or for each; -1: all of them


def neighbor_sampler(
    data: HeteroData, num_neighbors: FanOut, time_attr: str | None = None, seed: int = 0
) -> BaseSampler:
    """The fastest installed sampler that supports these arguments.

    PyG's compiled sampler ignores `seed`: it draws from torch's generator. It is not used to sample by time, since it
    promises "an earlier or equal timestamp", and the edge of the very second of the seed may be the one to predict.
    """
    if torch_geometric.typing.WITH_PYG_LIB and time_attr is None:
        return NeighborSampler(data, num_neighbors)
    return VectorizedNeighborSampler(data, num_neighbors, time_attr, seed)


class VectorizedNeighborSampler(BaseSampler):
    """Uniform neighbour sampling without replacement over compressed columns (CSC), without a loop over nodes.

    For each edge type (s, r, d), hop h and node of type d that hop h - 1 reached first, a uniform subset of
    `num_neighbors[h]` of its incoming edges, or all where there are fewer. Subsets are drawn by Floyd's algorithm
    (Bentley & Floyd, CACM 1987), one step for all nodes at once, so a node costs its draws and not its degree: one draw
    from a hub with a million edges reads one of them. (A number below the degree is made of 53 random bits, so it is
    uniform up to a part in 2^53 / degree.)

    With `time_attr`, an edge whose type has that attribute is seen only from seeds with a *later* time; an edge of a
    type without it is always seen. Each seed then gets a subgraph of its own (PyG calls that disjoint), since what
    may be seen differs from seed to seed.

    The n-th call on equal `seed` gives equal samples. `calls` counts the calls; who resumes a training sets it. Workers
    of a data loader draw apart from each other, each from the seed that its loader gave it.

    Memory: 8 bytes a node for each edge type that ends there; edges are read where they are when they are sorted by
    destination and time, as `read_graph` sorts them, and are copied (16 bytes each, 24 with time) otherwise.
    """

    def __init__(self, data: HeteroData, num_neighbors: FanOut, time_attr: str | None = None, seed: int = 0):
        self.node_types, self.edge_types = data.metadata()
        self.num_nodes: dict[str, int] = {name: data[name].num_nodes for name in self.node_types}
        self.num_neighbors = NumNeighbors(num_neighbors).get_values(self.edge_types)
        self.num_hops = max((len(counts) for counts in self.num_neighbors.values()), default=0)
        self.is_temporal = time_attr is not None
        self.seed = seed
        self.calls = 0
        if time_attr is not None and not any(time_attr in data[edge_type] for edge_type in self.edge_types):
            raise ValueError(f"no edge type has the time attribute {time_attr!r}")
        self._adjacency = {
            edge_type: Adjacency(
                data[edge_type].edge_index,
                data[edge_type].get(time_attr) if time_attr is not None else None,
                self.num_nodes[edge_type[2]],
            )
            for edge_type in self.edge_types
        }

    @property
    def edge_permutation(self) -> dict[EdgeType, Tensor | None]:
        """By edge type, which edge of the graph each sorted edge is; None where the graph has them sorted."""
        return {edge_type: adjacency.permutation for edge_type, adjacency in self._adjacency.items()}

    def sample_from_nodes(self, index: NodeSamplerInput, **_: object) -> HeteroSamplerOutput:
        """Sample around seed nodes, as PyG's loaders call it."""
        return node_sample(index, self.sample)

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> HeteroSamplerOutput:
        """As PyG's: seeds are both ends of the given edges, and of negatives, which are drawn from all nodes."""
        with torch.random.fork_rng(devices=[]):  # PyG draws negatives from torch's own generator
            torch.default_generator.manual_seed(int(self._generator("negatives").integers(2**63)))
            return edge_sample(index, self.sample, self.num_nodes, self.is_temporal, None, neg_sampling)

    def _generator(self, purpose: Literal["neighbors", "negatives"]) -> np.random.Generator:
        worker = torch.utils.data.get_worker_info()
        return np.random.default_rng([self.seed, worker.seed if worker else 0, self.calls, purpose == "negatives"])

    def sample(self, seeds: dict[str, Tensor], seed_times: dict[str, Tensor] | None = None) -> HeteroSamplerOutput:
        """The neighbourhood of seed nodes of some types: what both of PyG's calls come down to.

        Args:
            seeds: int64[S] for each node type that has any.
            seed_times: int64[S], what each seed may not see yet, for a sampler with a time attribute. The subgraphs
                (`batch`) are numbered in the order of the seeds, one type after the other.
        """
        if self.is_temporal and seed_times is None:
            raise ValueError(
                "a sampler with a time attribute needs the time of each seed (input_time, edge_label_time)"
            )
        generator = self._generator("neighbors")
        self.calls += 1
        # What has been reached, by node type: (number of the seed whose subgraph it is in, or 0) and the node.
        nodes = {name: np.empty(0, np.int64) for name in self.node_types}
        batches = {name: np.empty(0, np.int64) for name in self.node_types}
        limits = np.empty(0, np.int64)  # the time of each seed
        for name, chosen in seeds.items():
            nodes[name] = chosen.numpy()
            if self.is_temporal and seed_times is not None:
                batches[name] = len(limits) + np.arange(len(chosen))
                limits = np.concatenate([limits, seed_times[name].numpy()])
            else:
                batches[name] = np.zeros(len(chosen), np.int64)

        node_counts = {name: [len(nodes[name])] for name in self.node_types}
        rows: dict[EdgeType, list[np.ndarray]] = {edge_type: [] for edge_type in self.edge_types}
        columns: dict[EdgeType, list[np.ndarray]] = {edge_type: [] for edge_type in self.edge_types}
        edges: dict[EdgeType, list[np.ndarray]] = {edge_type: [] for edge_type in self.edge_types}
        begins = dict.fromkeys(self.node_types, 0)  # where the nodes start that the hop before reached first
        for hop in range(self.num_hops):
            for edge_type, adjacency in self._adjacency.items():
                begin = begins[edge_type[2]]
                frontier, frontier_batches = nodes[edge_type[2]][begin:], batches[edge_type[2]][begin:]
                starts, counts = adjacency.incoming(frontier, limits[frontier_batches] if self.is_temporal else None)
                drawn, places = sample_ranges(starts, counts, self.num_neighbors[edge_type][hop], generator)
                edges[edge_type].append(drawn)
                columns[edge_type].append(begin + places)
            begins = {name: len(nodes[name]) for name in self.node_types}
            for name in self.node_types:
                outgoing = [edge_type for edge_type in self.edge_types if edge_type[0] == name]
                reached = [self._adjacency[edge_type].sources[edges[edge_type][-1]] for edge_type in outgoing]
                owners = [batches[edge_type[2]][columns[edge_type][-1]] for edge_type in outgoing]
                numbers, nodes[name], batches[name] = _number(
                    nodes[name], batches[name], reached, owners, self.num_nodes[name]
                )
                for edge_type, part in zip(outgoing, numbers, strict=True):
                    rows[edge_type].append(part)
                node_counts[name].append(len(nodes[name]) - begins[name])

        return HeteroSamplerOutput(
            node={name: torch.from_numpy(nodes[name]) for name in self.node_types},
            row={edge_type: _joined(parts) for edge_type, parts in rows.items()},
            col={edge_type: _joined(parts) for edge_type, parts in columns.items()},
            edge={edge_type: _joined(parts) for edge_type, parts in edges.items()},
            batch={name: torch.from_numpy(batches[name]) for name in self.node_types} if self.is_temporal else None,
            num_sampled_nodes=node_counts,
            num_sampled_edges={edge_type: [len(part) for part in parts] for edge_type, parts in edges.items()},
        )


class Adjacency:
    """The edges of one type by destination and, where they have a time, by time within it.

    Attributes:
        sources: int64[E].
        times: int64[E], or None.
        pointers: int64[n + 1]; the edges into node v are pointers[v] .. pointers[v + 1] - 1.
        permutation: int64[E], which edge of the data each one is; None where the data has them in this order.
    """

    def __init__(self, edge_index: Tensor, time: Tensor | None, n_destinations: int):
        sources, destinations = edge_index.numpy()
        times = None if time is None else time.numpy()
        order = _order_by_destination(destinations, times)
        self.sources = sources if order is None else sources[order]
        self.times = times if order is None or times is None else times[order]
        self.permutation = None if order is None else torch.from_numpy(order)
        self.pointers = np.zeros(n_destinations + 1, np.int64)
        np.cumsum(np.bincount(destinations, minlength=n_destinations), out=self.pointers[1:])

    def incoming(self, nodes: np.ndarray, limits: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Where the edges into each of `nodes` start, and how many there are; with `limits`, how many earlier ones."""
        starts, ends = self.pointers[nodes], self.pointers[nodes + 1]
        if self.times is not None and limits is not None:
            ends = first_not_before(self.times, starts, ends, limits)
        return starts, ends - starts


def first_not_before(times: np.ndarray, starts: np.ndarray, ends: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """For each b the first place in starts[b] .. ends[b] where times, ascending there, is at least limits[b]: int64[B].

    Bisection of all ranges at once: as many steps as the longest has binary digits.
    """
    low, high = starts.copy(), ends.copy()
    unsettled = np.flatnonzero(low < high)
    while len(unsettled):
        middle = (low[unsettled] + high[unsettled]) // 2
        earlier = times[middle] < limits[unsettled]
        low[unsettled[earlier]] = middle[earlier] + 1
        high[unsettled[~earlier]] = middle[~earlier]
        unsettled = unsettled[low[unsettled] < high[unsettled]]
    return low


def expand_ranges(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers starts[b] .. starts[b] + counts[b] - 1, int64[M], and for each the b of its range, int64[M]."""
    shifts = starts - (np.cumsum(counts) - counts)
    return np.arange(counts.sum()) + np.repeat(shifts, counts), np.repeat(np.arange(len(counts)), counts)


def sample_ranges(
    starts: np.ndarray, counts: np.ndarray, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Of each range of `expand_ranges` a uniform subset of `size` numbers, or all where there are fewer; -1: all."""
    if size < 0:
        return expand_ranges(starts, counts)
    whole, large = np.flatnonzero(counts <= size), np.flatnonzero(counts > size)
    numbers, places = expand_ranges(starts[whole], counts[whole])
    drawn = starts[large] + _floyd_subsets(counts[large], size, generator)
    return np.concatenate([numbers, drawn.ravel()]), np.concatenate([whole[places], np.tile(large, size)])


def _floyd_subsets(counts: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """A uniform subset of `size` of 0 .. counts[b] - 1 for each b (size <= counts[b]): int64[size, B]."""
    chosen = np.empty((size, len(counts)), np.int64)
    for step in range(size):
        last = counts - size + step
        drawn = (generator.random(len(counts)) * (last + 1)).astype(np.int64)
        is_taken = (chosen[:step] == drawn).any(axis=0)
        chosen[step] = np.where(is_taken, last, drawn)
    return chosen


def _number(
    nodes: np.ndarray, batches: np.ndarray, reached: list[np.ndarray], owners: list[np.ndarray], n_nodes: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Numbers of the `reached` nodes among `nodes`, which grow by those that are new, in the order they turn up.

    Returns:
        For each array of `reached` the numbers, int64, and the grown `nodes` and `batches`.
    """
    keys = np.concatenate([batches * n_nodes + nodes, *[o * n_nodes + r for o, r in zip(owners, reached, strict=True)]])
    codes, distinct = pd.factorize(keys)  # by a hash table, in order of first appearance
    present = codes[: len(nodes)]
    n_present = present.max(initial=-1) + 1
    # Seeds may be there twice: each keeps its own number, and edges go to the first.
    numbers = np.empty(len(distinct), np.int64)
    numbers[present[::-1]] = np.arange(len(nodes))[::-1]
    numbers[n_present:] = len(nodes) + np.arange(len(distinct) - n_present)
    fresh_batches, fresh_nodes = np.divmod(distinct[n_present:], n_nodes)
    ends = np.cumsum([len(part) for part in reached])
    parts = np.split(numbers[codes[len(nodes) :]], ends[:-1]) if reached else []
    return parts, np.concatenate([nodes, fresh_nodes]), np.concatenate([batches, fresh_batches])


def _order_by_destination(destinations: np.ndarray, times: np.ndarray | None) -> np.ndarray | None:
    """The order that sorts edges by destination, then time; None where they are in it."""
    step = np.diff(destinations)
    in_order = bool((step >= 0).all())
    if in_order and times is not None:
        in_order = bool(((step > 0) | (np.diff(times) >= 0)).all())
    return None if in_order else np.lexsort((destinations,) if times is None else (times, destinations))


def _joined(parts: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts)) if parts else torch.empty(0, dtype=torch.int64)
