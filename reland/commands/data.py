"""The command `reland prepare`: the tables of a data set alone."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.foundation.errors import write_failure
from pipelines.configuration import RunConfiguration
from reland.commands.options import AsJson, takes_configuration


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(prepare)


@takes_configuration("data")
def prepare(
    configuration: RunConfiguration,
    output: Annotated[Path, typer.Option(help="Folder to write the tables into; must be new or empty.")],
    as_json: AsJson = False,
) -> None:
    """Make the tables of a log (interactions, items, rejected rows) and the pages on it, and no more of the chain."""
    import contextlib

    from components.contracts.artifacts import STATISTICS_PAGE_FILE, SUMMARY_FILE, TRUTH_FOLDER, VALIDATION_PAGE_FILE
    from components.data_preparation.preparation import configure, prepare
    from components.foundation.files import creating_directory, write_json
    from components.foundation.settings import load_settings

    config = configure(configuration.data, configuration.seed, load_settings())
    try:
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), creating_directory(output) as folder:
            summary = prepare(config, folder, folder / TRUTH_FOLDER)
            write_json(folder / SUMMARY_FILE, summary)
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    message = f"written: {output}, with the pages {STATISTICS_PAGE_FILE} and {VALIDATION_PAGE_FILE}"
    print(json.dumps(summary, indent=2, ensure_ascii=False) if as_json else message)
