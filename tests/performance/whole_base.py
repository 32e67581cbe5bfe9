"""Whole-base inference: the memory it takes and whether its time grows with the number of users and no faster.

    python -m tests.performance.whole_base [--quick] --json FILE

`embed_users` with a LightGCN of 64 dimensions, 6 training interactions a user and 16 shards, in a process of its own,
for a quarter of the users and for all of them. The vectors are random: what they are does not change the work.

1. Peak memory of the process against 4 GiB, the most it may take for 2 million users. The pages of the encoder's file
   that are mapped count, though the kernel takes them back when it needs them.
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

from components.behavior_encoder.encoders import load_encoder
from components.behavior_encoder.identifiers import Identifiers
from components.behavior_encoder.inference import embed_users
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNEncoder
from components.behavior_encoder.user_vectors import UserVectors
from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import INTERACTIONS, ITEMS, write_table
from tests.performance.report import Figure, write_report

FULL, QUICK = 2_000_000, 40_000
N_ITEMS = 10_000
SPLITS = ["train"] * 6 + ["valid", "test"]
MEMORY_GIB = 4.0
SHARDS = 16


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
    encoder._users = UserVectors(torch.randn(users, encoder.config.dimension))
    encoder._items, encoder._folding = (torch.randn(N_ITEMS, encoder.config.dimension) for _ in range(2))
    encoder.save(folder / "encoder")


def embed(folder: Path) -> None:
    """In a process of its own: prints its seconds and its peak memory."""
    begin = time.perf_counter()
    embed_users(load_encoder(folder / "encoder"), folder / "prepared", folder / "vectors", SHARDS)
    seconds = time.perf_counter() - begin
    # Not getrusage: its peak includes that of the parent process before this one was started from it.
    peak = Path("/proc/self/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]
    print(json.dumps({"seconds": seconds, "gib": int(peak) / 2**20}))


def measure(users: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), users)
        command = [sys.executable, "-m", "tests.performance.whole_base", "--embed", name]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(printed.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.whole_base", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} users instead of {FULL:,}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument("--embed", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.embed is not None:
        embed(arguments.embed)
        return
    if arguments.json is None:
        parser.error("--json FILE is required")
    users = QUICK if arguments.quick else FULL
    quarter, whole = measure(users // 4), measure(users)
    per_million = [found["seconds"] / count * 1e6 for found, count in ((whole, users), (quarter, users // 4))]
    figures = [
        Figure(f"peak GiB of embedding {users:,} users (peer: the goal)", whole["gib"], MEMORY_GIB, "lower", goal=1.0),
        Figure(f"seconds a million users, {users:,} against {users // 4:,} users", *per_million, "lower", goal=0.8),
    ]
    write_report(
        arguments.json, figures, "tests.performance.whole_base", sys.argv[1:], ["torch", "pyarrow", "safetensors"]
    )


if __name__ == "__main__":
    main()
