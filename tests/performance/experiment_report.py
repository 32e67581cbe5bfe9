"""How long `reland experiment report` takes over 30 million lists, and in how much memory.

    python -m tests.performance.experiment_report [--quick] [--logs FOLDER] --json FILE

Seconds and peak memory of the command, in a process of its own, over lists of 10 items of 3 million users, with a table
of their activity; the peers are the limits. The logs are written first, or, with --logs, were written before by
`tests.performance.experiment_log`; the time for that is not counted.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.performance.experiment_log import write_logs
from tests.performance.report import Figure, write_report

LISTS, QUICK_LISTS = 30_000_000, 200_000
LIFT = 0.03
SECONDS, GIB = 120.0, 4.0


def report_of_logs(logs: Path, lists: int) -> list[Figure]:
    """Seconds and peak memory of the command, for as many lists as there are."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--logs", str(logs), "--activity", str(logs / "activity.parquet"), "--output", f"{folder}/report"]
        code = "import sys; from reland.main import main; sys.argv[0] = 'reland'; main()"
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, "experiment", "report", *arguments], check=True)
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    title = f"report over {lists:,} lists"
    return [
        Figure(f"{title}, seconds; the peer is the limit", seconds, SECONDS, "lower", 1.0),
        Figure(f"{title}, peak memory, GiB; the peer is the limit", peak, GIB, "lower", 1.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.experiment_report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_LISTS:,} lists")
    parser.add_argument("--logs", type=Path, help=f"logs of {LISTS:,} lists that were written before")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    if arguments.logs is not None and not arguments.quick:
        figures = report_of_logs(arguments.logs, LISTS)
    else:
        lists = QUICK_LISTS if arguments.quick else LISTS
        with tempfile.TemporaryDirectory() as folder:
            write_logs(Path(folder) / "logs", lists, LIFT, seed=0)
            figures = report_of_logs(Path(folder) / "logs", lists)
    packages = ["duckdb", "numpy", "pyarrow", "scipy", "statsmodels"]
    write_report(arguments.json, figures, "tests.performance.experiment_report", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
