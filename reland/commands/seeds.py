"""The command `reland seeds`: who becomes a seed user."""

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
    app.command()(seeds)


@takes_configuration("seeds")
def seeds(
    configuration: RunConfiguration,
    prepared: Annotated[Path, typer.Option(help="Folder of prepared tables, as `reland prepare` writes it.")],
    embeddings: Annotated[Path, typer.Option(help="Folder of the users' behavior embeddings.")],
    output: Annotated[Path, typer.Option(help="Folder to write seeds and diagnostics into; must be new or empty.")],
    as_json: AsJson = False,
) -> None:
    """Choose the seed users; report how well they stand for all users and what another number of them costs."""
    import contextlib

    from components.contracts.artifacts import SEEDS_PAGE_FILE, SUMMARY_FILE
    from components.foundation.files import creating_directory, write_json
    from components.seed_sampling.seed_users import sample_seed_users

    try:
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), creating_directory(output) as folder:
            summary = sample_seed_users(prepared, embeddings, configuration.seeds, folder, seed=configuration.seed)
            write_json(folder / SUMMARY_FILE, summary)
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        print(f"written: {output} (open {output / SEEDS_PAGE_FILE})")
