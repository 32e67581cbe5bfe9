"""The marketplace simulator: how long 10 million interactions take, and whether memory stays bounded.

    python -m tests.performance.simulator [--quick] --json FILE

1. Seconds from the seed to the Parquet files on disk, the market's truth included, imports left out. There is no other
   simulator to compare with: the peer is the limit of 60 seconds, in proportion to the interactions written.
2. Peak memory of the process after the whole log; the peer is its peak after the first five days of the same log. A
   simulator that streams needs for thirty days what it needs for five.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from components.marketplace.log import write_log
from components.marketplace.truth import make_truth
from components.marketplace.world import market_of
from tests.performance.report import Figure, write_report

INTERACTIONS = 10_000_000
QUICK_INTERACTIONS = 500_000
SECONDS_FOR_INTERACTIONS = 60.0
FIRST_DAYS = 5


def measure(interactions: int, seed: int) -> list[Figure]:
    """Raises AssertionError where the log has less than 80% of the interactions asked for (see `market_of`)."""
    config = market_of(interactions)
    with tempfile.TemporaryDirectory() as folder:
        write_log(make_truth(config, seed), Path(folder) / "first", range(FIRST_DAYS))
        early_peak = peak_gib()
        begin = time.perf_counter()
        written = write_log(make_truth(config, seed), Path(folder) / "all")
        seconds = time.perf_counter() - begin
        size = (Path(folder) / "all" / "interactions.parquet").stat().st_size
    assert written >= 0.8 * interactions, written
    print(f"{written:,} interactions of {config.users:,} users and {config.items:,} items, {size / 2**20:.0f} MiB")
    limit = SECONDS_FOR_INTERACTIONS * written / INTERACTIONS
    return [
        Figure(f"{written:,} interactions to Parquet, seconds; the peer is the limit", seconds, limit, "lower", 1.0),
        Figure(
            f"peak memory of {config.days} days, GiB; the peer is that of {FIRST_DAYS} days",
            peak_gib(),
            early_peak,
            "lower",
            0.8,
        ),
    ]


def peak_gib() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_INTERACTIONS:,} interactions")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    figures = measure(QUICK_INTERACTIONS if arguments.quick else INTERACTIONS, seed=0)
    write_report(arguments.json, figures, "tests.performance.simulator", sys.argv[1:], ["numpy", "pyarrow"])


if __name__ == "__main__":
    main()
