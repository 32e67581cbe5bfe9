"""The command `reland benchmark`: what each ranker, and what rationales add to it, is worth on declared data sets."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.foundation.errors import InputError, write_failure
from reland.commands.options import AsJson


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(benchmark)


def benchmark(
    grid: Annotated[Path, typer.Option(help="TOML file that declares data sets, backbones, variants and seeds.")],
    output: Annotated[Path, typer.Option(help="Folder of the results; what is there of the same grid is kept.")],
    jobs: Annotated[int, typer.Option(help="Rankers that are trained at a time, each with one thread; 0: none.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate every cell of a grid, with paired tests over users and seeds. Goes on where it was stopped."""
    from components.ranking_benchmark.grid import read_grid
    from components.ranking_benchmark.results import PAGE_FILE
    from reland.studies.benchmark import run_benchmark

    if jobs < 0:
        raise InputError(f"--jobs {jobs}: expected a number of processes, or 0 to compare what is there")
    log = sys.stderr if as_json else sys.stdout
    declared = read_grid(grid)
    command = f"reland benchmark --grid {shlex.quote(str(grid))}"
    try:
        results = run_benchmark(
            declared, output, jobs, command, lambda what, message: print(f"{what}: {message}", file=log, flush=True)
        )
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    if as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        print(f"written: {output} (open {output / PAGE_FILE})")
