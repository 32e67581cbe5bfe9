"""The command `reland encode`: users' vectors by a trained encoder."""

from pathlib import Path
from typing import Annotated

import typer

from components.foundation.errors import write_failure


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(encode)


def encode(
    encoder: Annotated[Path, typer.Option(help="Folder of a trained behavior encoder.")],
    prepared: Annotated[Path, typer.Option(help="Folder of prepared data that it was trained on.")],
    output: Annotated[Path, typer.Option(help="Folder to write the vectors into; must be new or empty.")],
    shards: Annotated[int, typer.Option(help="Files to write; a user is in one of them by the hash of its id.")] = 1,
) -> None:
    """Give every user of prepared data a vector, in memory that does not grow with the number of users."""
    from components.behavior_encoder.encoders import load_encoder
    from components.behavior_encoder.inference import embed_users

    try:
        embed_users(load_encoder(encoder), prepared, output, shards)
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    print(f"written: {output}")
