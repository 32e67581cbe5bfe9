"""Whole-base inference: the memory it takes and whether its time grows with the number of users and no faster.

    python -m tests.performance.whole_base [--quick] [--way encode|layers] [--users N] --json FILE

Two ways, each with 64 dimensions and 6 training interactions a user, in a process of its own, for a quarter of the
users and for all of them. The vectors are random: what they are does not change the work.

- `encode`: `embed_users` with a LightGCN and 16 shards;
- `layers`: `layerwise_vectors` of a GAT on a graph in memory, its layers in memory-mapped files. The seconds are those
  of the layers; the memory holds the graph too.

1. Peak memory of the process against 4 GiB, the most it may take for 2 million users. Mapped pages of files count,
   though the kernel takes them back when it needs them.
2. Seconds for each million users, of all against a quarter of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch_geometric.data import HeteroData

from components.behavior_encoder.encoders import load_encoder
from components.behavior_encoder.gat_encoder import LATEST_EDGES
from components.behavior_encoder.identifiers import Identifiers
from components.behavior_encoder.inference import embed_users
from components.behavior_encoder.layerwise_inference import layerwise_vectors
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNEncoder
from components.behavior_encoder.user_vectors import UserVectors
from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.lineage import training_lineage
from components.contracts.tables import INTERACTIONS, ITEMS, write_table
from components.recommenders.backbones.gat import HeterogeneousGAT
from tests.performance.report import Figure, write_report

FULL, QUICK = 2_000_000, 40_000
N_ITEMS = 10_000
SPLITS = ["train"] * 6 + ["valid", "test"]
MEMORY_GIB = 4.0
SHARDS = 16
WAYS = ["encode", "layers"]


def make(folder: Path, users: int) -> None:
    """Prepared data and an encoder that fits it."""
    generator = np.random.default_rng(0)
    user_ids = [f"user{number:09d}" for number in range(users)]
    item_ids = [f"item{number:06d}" for number in range(N_ITEMS)]
    rows = users * len(SPLITS)
    columns = {
        "user_id": pa.array(user_ids).take(pa.array(np.repeat(np.arange(users), len(SPLITS)))),
        "item_id": pa.array(item_ids).take(pa.array(generator.integers(0, N_ITEMS, rows))),
        "timestamp": pa.array(np.arange(rows)),
        "behavior": pa.repeat("click", rows),
        "value": pa.nulls(rows, pa.float64()),
        "query": pa.nulls(rows, pa.string()),
        "scene": pa.nulls(rows, pa.string()),
        "sequence": pa.array(np.arange(rows)),
        "split_leave_one_out": pa.array(SPLITS).take(pa.array(np.tile(np.arange(len(SPLITS)), users))),
    }
    write_table(pa.table(columns, schema=INTERACTIONS), folder / "prepared" / INTERACTIONS_FILE, INTERACTIONS)
    items = [{"item_id": item, "title": "", "brand": "", "categories": [], "description": ""} for item in item_ids]
    write_table(pa.Table.from_pylist(items, schema=ITEMS), folder / "prepared" / ITEMS_FILE, ITEMS)
    encoder = LightGCNEncoder(LightGCNConfig())
    encoder.user_ids, encoder.item_ids = Identifiers(user_ids), Identifiers(item_ids)
    encoder.lineage = training_lineage(folder / "prepared")
    encoder._users = UserVectors(torch.randn(users, encoder.config.dimension))
    encoder._items, encoder._folding = (torch.randn(N_ITEMS, encoder.config.dimension) for _ in range(2))
    encoder.save(folder / "encoder")


def embed(folder: Path) -> float:
    """Seconds of the way `encode`, on what `make` has written."""
    begin = time.perf_counter()
    embed_users(load_encoder(folder / "encoder"), folder / "prepared", folder / "vectors", SHARDS)
    return time.perf_counter() - begin


def compute_layers(users: int, folder: Path) -> float:
    """Seconds of the way `layers`."""
    generator = np.random.default_rng(0)
    clicks = users * SPLITS.count("train")
    of_user, items = np.arange(clicks) // SPLITS.count("train"), generator.integers(0, N_ITEMS, clicks)
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = users, N_ITEMS
    for edge_type, pair in {
        ("user", "click", "item"): (of_user, items),
        ("item", "rev_click", "user"): (items, of_user),
    }.items():
        order = np.argsort(pair[1], kind="stable")  # a click's number is its second
        data[edge_type].edge_index = torch.from_numpy(np.stack([pair[0][order], pair[1][order]]))
        data[edge_type].weight = torch.ones(clicks)
        data[edge_type].time = torch.from_numpy(order)
    torch.manual_seed(0)
    network = HeterogeneousGAT({"user": users, "item": N_ITEMS}, data.edge_types)
    begin = time.perf_counter()
    layerwise_vectors(network, data, now=clicks, latest=LATEST_EDGES, folder=folder)
    return time.perf_counter() - begin


def report_process(seconds: float) -> None:
    """In a process of its own: prints its seconds and its peak memory."""
    # Not getrusage: its peak includes that of the parent process before this one was started from it.
    peak = Path("/proc/self/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]
    print(json.dumps({"seconds": seconds, "gib": int(peak) / 2**20}))


def measure(way: str, users: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        if way == "encode":
            make(Path(name), users)
        command = [sys.executable, "-m", "tests.performance.whole_base", "--child", way, str(users), name]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(printed.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.whole_base", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} users instead of {FULL:,}")
    parser.add_argument("--users", type=int, help="another number of users")
    parser.add_argument("--way", choices=WAYS, help="one of the two ways alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        way, count, folder = arguments.child
        report_process(embed(Path(folder)) if way == "encode" else compute_layers(int(count), Path(folder)))
        return
    if arguments.json is None:
        parser.error("--json FILE is required")
    users = arguments.users or (QUICK if arguments.quick else FULL)
    figures = []
    for way in WAYS if arguments.way is None else [arguments.way]:
        quarter, whole = measure(way, users // 4), measure(way, users)
        ours, peer = (found["seconds"] / count * 1e6 for found, count in ((whole, users), (quarter, users // 4)))
        of, against = f"{users:,} users", f"{users // 4:,} users"
        figures += [
            Figure(f"{way}: peak GiB of {of} (peer: the goal)", whole["gib"], MEMORY_GIB, "lower", goal=1.0),
            Figure(f"{way}: seconds a million users, {of} against {against}", ours, peer, "lower", goal=0.8),
        ]
    write_report(
        arguments.json, figures, "tests.performance.whole_base", sys.argv[1:], ["torch", "pyarrow", "safetensors"]
    )


if __name__ == "__main__":
    main()
