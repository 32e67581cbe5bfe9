"""Data preparation, from files to split tables on disk: against RecBole, and how time and memory grow.

    python -m tests.performance.data_preparation [--quick] [--recbole-python PATH] --json FILE

1. MovieLens 1M and 5 million rows of the simulated market, each side in a process of its own, imports left out, in
   turn. Ours: from the text file to the tables on disk, with validation, quarantine and the statistics report. The
   peer: `create_dataset` and `data_preparation` of RecBole 1.2.1 for SASRec with histories of 50. It reads user, item
   and time alone, checks no row and writes nothing, but makes its training windows, which we do while training. Both
   keep a 5-core and split leave-one-out. The market is one .inter file that both read; of MovieLens we read
   `ratings.dat` and `movies.dat`, RecBole the same ratings as .inter.
2. 20 million rows of the market, as the simulator writes them: peak memory of the process; the peer is the limit of
   6 GiB. Seconds; the peer is the time of 2 million rows, grown in proportion.

MovieLens is looked for in RELAND_DATA_DIR, and left out where it is not there or with --quick. RecBole needs an
environment of its own, whose interpreter is PATH; without it, the first part is left out:

    python3 -m venv recbole && recbole/bin/pip install torch==2.13.0
    recbole/bin/pip install recbole==1.2.1 "pandas<3"
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from components.contracts.artifacts import INTERACTIONS_FILE
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import configure, prepare
from components.foundation.progress import say
from components.foundation.settings import load_settings
from components.marketplace.log import write_log
from components.marketplace.truth import make_truth
from components.marketplace.world import market_of
from tests.performance.report import Figure, write_report

MINIMUM_INTERACTIONS = 5
MOVIELENS_GOAL, MARKET_GOAL = 4.0, 10.0  # times RecBole's speed, at the full sizes
# RecBole's k-core counts rows; ours may count what a user did with an item once.
LARGEST_DIFFERENCE = 0.05
MEMORY_LIMIT_GIB = 6.0
LARGEST_GROWTH = 1.3  # times linear
ATOMIC_COLUMNS = {
    "user_id": "user_id:token",
    "item_id": "item_id:token",
    "timestamp": "timestamp:float",
    "behavior": "behavior:token",
}
MOVIELENS_HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
# Data sets of a `Workshop`.
WARM_UP, MOVIELENS, COMPARED = "warm-up", "ml-1m", "compared"


@dataclass(frozen=True)
class Sizes:
    """How much is prepared: numbers for `market_of`, whose logs have up to a quarter more interactions."""

    compared: int
    compared_goal: float | None
    few: int
    many: int
    movielens: bool
    repeats: int  # of what takes seconds
    repeats_of_compared: int


FULL = Sizes(4_200_000, MARKET_GOAL, 1_800_000, 16_000_000, movielens=True, repeats=3, repeats_of_compared=2)
QUICK = Sizes(200_000, None, 200_000, 400_000, movielens=False, repeats=1, repeats_of_compared=1)
WARM_UP_INTERACTIONS = 10_000


@dataclass(frozen=True)
class Outcome:
    """One preparation: its time, the largest resident size of its process, and what the k-core left."""

    seconds: float
    peak_gib: float
    left: dict[str, int]


class Workshop:
    """Makes the inputs of both sides in a folder and prepares them there, each time in a new process."""

    def __init__(self, folder: Path, recbole_python: Path | None):
        self.folder = folder
        self.recbole_python = recbole_python
        self.simulate(WARM_UP, WARM_UP_INTERACTIONS)
        self.convert_market(WARM_UP)

    def simulate(self, name: str, interactions: int) -> int:
        """Write a market as the platform's Parquet; returns its number of interactions."""
        written = write_log(make_truth(market_of(interactions), seed=0), self.folder / name)
        say(f"{written:,} interactions simulated")
        return written

    def convert_market(self, name: str) -> Path:
        """The interactions of a market as `<folder>/<name>/<name>.inter`."""
        path = self.folder / name / f"{name}.inter"
        options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
        with pq.ParquetFile(self.folder / name / INTERACTIONS_FILE) as market, path.open("wb") as file:
            file.write(("\t".join(ATOMIC_COLUMNS.values()) + "\n").encode())
            for day in range(market.num_row_groups):
                pyarrow.csv.write_csv(market.read_row_group(day, list(ATOMIC_COLUMNS)), file, options)
        return path

    def convert_movielens(self, ratings: Path) -> None:
        path = self.folder / MOVIELENS / f"{MOVIELENS}.inter"
        path.parent.mkdir()
        path.write_text(MOVIELENS_HEADER + ratings.read_text(encoding="utf-8").replace("::", "\t"), encoding="utf-8")

    def ours(self, dataset: Path | str, data_dir: Path | str = "") -> Outcome:
        warm_up = (str(self.folder / WARM_UP / f"{WARM_UP}.inter"), "")
        with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
            outcome = process.submit(_prepare, warm_up, (str(dataset), str(data_dir)), self.folder).result()
        say(f"ours: {outcome.seconds:.2f} s, {outcome.peak_gib:.2f} GiB")
        return outcome

    def recbole(self, name: str) -> Outcome:
        assert self.recbole_python is not None
        runner = Path(__file__).with_name("recbole_runner.py")
        command = [str(self.recbole_python), "-W", "ignore", str(runner), str(self.folder), WARM_UP, name]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(printed.splitlines()[-1])
        outcome = Outcome(found.pop("seconds"), found.pop("peak_gib"), found)
        say(f"RecBole: {outcome.seconds:.2f} s, {outcome.peak_gib:.2f} GiB")
        return outcome


def _prepare(warm_up: tuple[str, str], measured: tuple[str, str], folder: Path) -> Outcome:
    """Prepare a small data set, which makes the imports that happen on the way, then the one that is measured.

    Args:
        warm_up: the data set, as `configure` takes it, and its folder where it has a name.
        measured: likewise.
        folder: for the outputs, which are removed.
    """
    for dataset, data_dir in (warm_up, measured):
        with tempfile.TemporaryDirectory(dir=folder) as output:
            begin = time.perf_counter()
            config = configure(
                DataSection(dataset, data_dir, minimum_interactions=MINIMUM_INTERACTIONS), 0, load_settings()
            )
            summary = prepare(config, Path(output))
            seconds = time.perf_counter() - begin
    return Outcome(seconds, _peak_gib(), summary["dataset"]["after_k_core"])


def _peak_gib() -> float:
    """Largest resident size of this process; `getrusage` would tell that of the parent, where it was larger."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.removesuffix("kB")) / 2**20
    raise RuntimeError("the system does not tell the peak memory of a process")


def compare(
    name: str, workshop: Workshop, ours: tuple[Path | str, ...], peer: str, goal: float | None, repeats: int
) -> Figure:
    """Median seconds of both sides, in turn.

    Args:
        name: of the figure.
        workshop: with the inputs.
        ours: what `Workshop.ours` takes.
        peer: name of the same data set for RecBole.
        goal: see `Figure`.
        repeats: of either side.

    Raises:
        AssertionError: what they keep differs by more than `LARGEST_DIFFERENCE`.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        outcomes = workshop.ours(*ours), workshop.recbole(peer)
        for count, of_peer in zip(outcomes[0].left.values(), outcomes[1].left.values(), strict=True):
            assert abs(count - of_peer) <= LARGEST_DIFFERENCE * of_peer, outcomes
        for outcome, measured in zip(outcomes, seconds, strict=True):
            measured.append(outcome.seconds)
    return Figure(name, statistics.median(seconds[0]), statistics.median(seconds[1]), better="lower", goal=goal)


def against_recbole(workshop: Workshop, sizes: Sizes) -> list[Figure]:
    figures = []
    data_dir = load_settings().data_dir
    if data_dir is None or not (data_dir / MOVIELENS).is_dir():
        say("no folder ml-1m in RELAND_DATA_DIR: MovieLens 1M is left out")
    elif sizes.movielens:
        workshop.convert_movielens(data_dir / MOVIELENS / "ratings.dat")
        movielens = (MOVIELENS, data_dir / MOVIELENS)
        name = "MovieLens 1M prepared, seconds; the peer is RecBole"
        figures.append(compare(name, workshop, movielens, MOVIELENS, MOVIELENS_GOAL, sizes.repeats))
    rows = workshop.simulate(COMPARED, sizes.compared)
    market = (workshop.convert_market(COMPARED),)
    name = f"{rows:,} rows of the market prepared, seconds; the peer is RecBole"
    figures.append(compare(name, workshop, market, COMPARED, sizes.compared_goal, sizes.repeats_of_compared))
    return figures


def growth(workshop: Workshop, sizes: Sizes) -> list[Figure]:
    few, many = workshop.simulate("few", sizes.few), workshop.simulate("many", sizes.many)
    first = statistics.median(workshop.ours(workshop.folder / "few").seconds for _ in range(sizes.repeats))
    last = workshop.ours(workshop.folder / "many")
    return [
        Figure(
            f"peak memory, {many:,} rows of the market prepared, GiB; the peer is the limit",
            last.peak_gib,
            MEMORY_LIMIT_GIB,
            "lower",
            1.0,
        ),
        Figure(
            f"{many:,} rows of the market prepared, seconds; the peer is {few:,} rows, in proportion",
            last.seconds,
            first * many / few,
            "lower",
            1 / LARGEST_GROWTH,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.data_preparation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="small markets alone, each once")
    parser.add_argument("--recbole-python", type=Path, metavar="PATH", help="interpreter of RecBole's environment")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    if not arguments.recbole_python:
        say("no --recbole-python: not compared with RecBole")
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder), arguments.recbole_python)
        figures = against_recbole(workshop, sizes) if arguments.recbole_python else []
        figures += growth(workshop, sizes)
    packages = ["duckdb", "ibis-framework", "pandera", "polars", "pyarrow"]
    write_report(arguments.json, figures, "tests.performance.data_preparation", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
