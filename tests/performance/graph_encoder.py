"""Mini-batches of the GAT: edges a second of neighbour sampling, forward and backward together.

    python -m tests.performance.graph_encoder [--quick] [--torch-sparse FILE] --json FILE

A simulated graph of users, items and brands, where few items get most of the interactions. Both sides go through a PyG
loader, in one process, with the same network, fan-out and batches of users, in turn:

- ours: `NodeLoader` with `VectorizedNeighborSampler`;
- peer: PyG's `NeighborLoader`, which needs compiled code: pyg-lib where it is installed, or torch-sparse's sampler from
  FILE, the library built from its source (release 0.6.18: at one draw from many it never draws the last neighbour).

An edge counts when it is in the mini-batch. Where no peer can be had, our rate alone is written, with the reason.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch_geometric.typing
from torch_geometric.data import HeteroData
from torch_geometric.loader import NeighborLoader, NodeLoader

from components.behavior_encoder.neighbor_sampling import VectorizedNeighborSampler
from components.foundation.files import read_json, write_json
from components.recommenders.backbones.gat import HeterogeneousGAT, edge_features
from tests.performance.report import Figure, write_report

FULL, QUICK = 200_000, 5_000  # users
INTERACTIONS_OF_A_USER = 20
FAN_OUT = [10, 10]
BATCH = 512
NOW = 10**8


def make(users: int) -> HeteroData:
    """Clicks on a quarter as many items as users, whose popularity falls as 1 / rank, and a brand for each item."""
    generator = np.random.default_rng(0)
    items, brands = users // 4, users // 100
    popularity = 1 / np.arange(1, items + 1)
    clicks = users * INTERACTIONS_OF_A_USER
    of_user = np.repeat(np.arange(users), INTERACTIONS_OF_A_USER)
    clicked = generator.choice(items, clicks, p=popularity / popularity.sum())
    times = generator.integers(0, NOW, clicks)
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes, data["brand"].num_nodes = users, items, brands
    of_brand = np.arange(items), generator.integers(brands, size=items)
    for source, relation, target, (starts, ends), time_of in [
        ("user", "click", "item", (of_user, clicked), times),
        ("item", "of_brand", "brand", of_brand, None),
    ]:
        for name, pair in {
            (source, relation, target): (starts, ends),
            (target, f"rev_{relation}", source): (ends, starts),
        }.items():
            order = np.lexsort((pair[1],) if time_of is None else (time_of, pair[1]))
            data[name].edge_index = torch.from_numpy(np.stack(pair)[:, order])
            data[name].weight = torch.ones(len(order))
            age = None if time_of is None else torch.from_numpy(time_of[order])
            data[name].features = edge_features(data[name].weight, age, NOW)
    return data


@dataclass
class Side:
    """One way to sample; what it took."""

    batches: Iterator[HeteroData]
    edges: int = 0
    sampling: float = 0.0
    computing: float = 0.0
    network: HeterogeneousGAT = field(kw_only=True)

    def step(self) -> None:
        begin = time.perf_counter()
        batch = next(self.batches)
        sampled = time.perf_counter()
        counts = [batch.collect(name, allow_empty=True) for name in ("num_sampled_nodes", "num_sampled_edges")]
        vectors = self.network(
            {kind: batch[kind].n_id for kind in batch.node_types},
            batch.edge_index_dict,
            batch.collect("features"),
            *(count or None for count in counts),  # torch-sparse does not tell them: all layers of all nodes
        )
        seeds = batch["user"].batch_size
        vectors["user"][:seeds].square().mean().backward()
        self.computing += time.perf_counter() - sampled
        self.sampling += sampled - begin
        self.edges += sum(store.num_edges for store in batch.edge_stores)

    def rate(self) -> float:
        return self.edges / (self.sampling + self.computing)

    def share(self) -> float:
        return self.sampling / (self.sampling + self.computing)


def measure(data: HeteroData, loaders: list[NodeLoader], steps: int) -> list[Side]:
    torch.manual_seed(0)
    n_nodes = {kind: data[kind].num_nodes for kind in data.node_types}
    sides = [Side(iter(loader), network=HeterogeneousGAT(n_nodes, data.edge_types)) for loader in loaders]
    for step in range(steps + 1):
        for side in sides:
            if step == 1:  # the first does not count
                side.edges, side.sampling, side.computing = 0, 0.0, 0.0
            side.step()
    return sides


def peer_name(library: Path | None) -> str | None:
    """Load what PyG's own sampler needs; what it is, or None."""
    if torch_geometric.typing.WITH_PYG_LIB:
        return "pyg-lib"
    if library is None:
        return None
    torch.ops.load_library(str(library))
    torch_geometric.typing.WITH_TORCH_SPARSE = True
    return "torch-sparse"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.graph_encoder", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} users instead of {FULL:,}")
    parser.add_argument("--torch-sparse", type=Path, metavar="FILE", help="library with torch-sparse's sampler")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    users, steps = (QUICK, 5) if arguments.quick else (FULL, 30)
    data = make(users)
    seeds = ("user", torch.randperm(users, generator=torch.Generator().manual_seed(0)))
    loaders = [NodeLoader(data, VectorizedNeighborSampler(data, FAN_OUT), seeds, batch_size=BATCH)]
    peer = peer_name(arguments.torch_sparse)
    if peer is not None:
        loaders.append(NeighborLoader(data, FAN_OUT, seeds, batch_size=BATCH))
    sides = measure(data, loaders, steps)
    figures = []
    if peer is not None:
        ours, theirs = sides
        figures = [
            Figure(
                f"edges a second, sampling + forward + backward, against PyG with {peer}",
                *(ours.rate(), theirs.rate()),
                "higher",
                goal=1.0,
            ),
            Figure(f"share of the time spent sampling, against PyG with {peer}", ours.share(), theirs.share(), "lower"),
        ]
    found = {
        "edges_of_the_graph": sum(store.num_edges for store in data.edge_stores),
        "edges_a_second": sides[0].rate(),
        "share_of_the_time_spent_sampling": sides[0].share(),
        "peer": peer or "none: pyg-lib is not installed, and --torch-sparse names no library",
    }
    print(found)
    write_report(
        arguments.json, figures, "tests.performance.graph_encoder", sys.argv[1:], ["torch", "torch-geometric", "numpy"]
    )
    write_json(arguments.json, read_json(arguments.json) | {"without_a_peer": found})


if __name__ == "__main__":
    main()
