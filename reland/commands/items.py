"""The commands `reland items`: what no list may hold."""

from typing import Annotated

import typer

from components.contracts.exclusions import ADMIT, EXCLUDE, ITEM, decide, exclusions_file, read_exclusions
from reland.commands.exclusion_table import AsJson, History, Reason, print_decisions

group = typer.Typer(help="Keep items out of all lists that are served, and let them in again.", no_args_is_help=True)

Items = Annotated[list[str], typer.Argument(metavar="ITEM...", help="Ids, as the platform's tables have them.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the `reland` command."""
    app.add_typer(group, name="items")


@group.command()
def block(items: Items, reason: Reason) -> None:
    """Keep items out of candidates, rankings and popular items; gateways that run take it over within seconds."""
    from components.contracts.tables import IDENTIFIER_BYTES
    from components.foundation.errors import InputError
    from components.foundation.settings import load_settings

    settings = load_settings()
    for item in items:
        if len(item.encode()) > IDENTIFIER_BYTES:
            raise InputError(f"item {item[:40]!r}…: longer than {IDENTIFIER_BYTES} bytes, so no item has this id")
    decide(exclusions_file(settings), EXCLUDE, ITEM, items, reason)
    print(f"blocked: {', '.join(items)}")
    served = _served_items()
    unknown = [item for item in items if item not in served]
    if unknown:
        print(f"no version that is served knows {', '.join(unknown)}: blocked for later versions, if the id is right")


@group.command()
def unblock(items: Items, reason: Reason) -> None:
    """Let items that were blocked into lists again."""
    from components.foundation.settings import load_settings

    decide(exclusions_file(load_settings()), ADMIT, ITEM, items, reason)
    print(f"let in again: {', '.join(items)}")


@group.command(name="list")
def list_command(history: History = False, as_json: AsJson = False) -> None:
    """List the items that are blocked: who blocked them, when and why."""
    from components.foundation.settings import load_settings

    print_decisions(read_exclusions(exclusions_file(load_settings())), (ITEM,), history, as_json)


def _served_items() -> set[str]:
    """The items of the versions that arms are served by."""
    from components.contracts.artifacts import ITEM_INDEX_FILE
    from components.contracts.serving import read_rollout, rollout_file
    from components.contracts.tables import ITEM_INDEX, read_table
    from components.foundation.settings import load_settings

    settings = load_settings()
    path = rollout_file(settings)
    folders = {
        settings.resolved_model_repository / arm.model / str(arm.version)
        for arm in (read_rollout(path).arms if path.exists() else ())
    }
    items: set[str] = set()
    for folder in folders:
        items.update(read_table(folder / ITEM_INDEX_FILE, ITEM_INDEX)["item_id"].to_pylist())
    return items
