"""The command `reland prepare`: the tables of a data set alone."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.foundation.errors import write_failure
from reland.commands.options import (
    AsJson,
    DataDir,
    Dataset,
    MinimumInteractions,
    Previous,
    Seed,
    Splits,
    TestFrom,
    ValidateFrom,
)


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(prepare)


def prepare(
    output: Annotated[Path, typer.Option(help="Folder to write the tables into; must be new or empty.")],
    dataset: Dataset = "simulator",
    data_dir: DataDir = "",
    minimum_interactions: MinimumInteractions = 5,
    splits: Splits = "leave_one_out",
    validate_from: ValidateFrom = "",
    test_from: TestFrom = "",
    previous: Previous = "",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make the tables alone: interactions, items, rejected rows, statistics and a summary; a simulation's truth."""
    import contextlib

    from components.contracts.artifacts import STATISTICS_PAGE_FILE, SUMMARY_FILE, TRUTH_FOLDER, VALIDATION_PAGE_FILE
    from components.data_preparation.preparation import configure, prepare
    from components.data_preparation.splits import parse_splits
    from components.foundation.files import creating_directory, write_json
    from components.foundation.settings import load_settings

    asked = parse_splits(splits, validate_from, test_from)
    config = configure(dataset, data_dir, seed, minimum_interactions, load_settings(), asked, previous)
    try:
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), creating_directory(output) as folder:
            summary = prepare(config, folder, folder / TRUTH_FOLDER)
            write_json(folder / SUMMARY_FILE, summary)
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    told = f"written: {output}, with the pages {STATISTICS_PAGE_FILE} and {VALIDATION_PAGE_FILE}"
    print(json.dumps(summary, indent=2, ensure_ascii=False) if as_json else told)
