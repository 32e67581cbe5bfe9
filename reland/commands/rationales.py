"""The commands `reland rationales`: which rationales are not served."""

from typing import Annotated

import typer

from components.contracts.exclusions import (
    ADMIT,
    EXCLUDE,
    RATIONALE,
    TEXT,
    decide,
    exclusions_file,
    read_exclusions,
)
from reland.commands.exclusion_table import AsJson, History, Reason, print_decisions

group = typer.Typer(help="Ban rationales, by their text or by their id, and lift a ban.", no_args_is_help=True)

What = Annotated[
    str,
    typer.Argument(metavar="TEXT", help="Words or a whole text; what users are shown of a rationale may not hold it."),
]
ById = Annotated[bool, typer.Option("--id", help="TEXT is the id of one rationale, as answers name it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the `reland` command."""
    app.add_typer(group, name="rationales")


@group.command()
def ban(text: What, reason: Reason, by_id: ById = False) -> None:
    """Serve no rationale whose text holds these words, whatever run made it; case and spaces do not matter."""
    from components.foundation.settings import load_settings

    settings = load_settings()
    decide(exclusions_file(settings), EXCLUDE, RATIONALE if by_id else TEXT, [text], reason)
    print(f"banned: {text}")


@group.command()
def unban(text: What, reason: Reason, by_id: ById = False) -> None:
    """Lift a ban."""
    from components.foundation.settings import load_settings

    decide(exclusions_file(load_settings()), ADMIT, RATIONALE if by_id else TEXT, [text], reason)
    print(f"no longer banned: {text}")


@group.command(name="list")
def list_command(history: History = False, as_json: AsJson = False) -> None:
    """List the bans: who banned what, when and why."""
    from components.foundation.settings import load_settings

    print_decisions(read_exclusions(exclusions_file(load_settings())), (RATIONALE, TEXT), history, as_json)
