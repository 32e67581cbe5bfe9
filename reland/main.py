"""The `reland` command: its nouns, and how a fault of each kind ends it."""

import signal
import sys

import typer

from components.foundation.errors import RelandError
from components.foundation.library_warnings import silence_library_warnings
from reland.commands import (
    benchmark,
    cluster,
    data,
    doctor,
    encoder,
    experiment,
    generations,
    items,
    rationales,
    rollout,
    run,
    seeds,
    serve,
)

INTERRUPTED = 130

app = typer.Typer(
    name="reland",
    help="RELAND: language-model reasoning about a few seed users becomes a feature of your ranker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    run,
    data,
    encoder,
    seeds,
    generations,
    serve,
    items,
    rationales,
    experiment,
    rollout,
    benchmark,
    cluster,
    doctor,
):
    command.register(app)


def main() -> None:
    """Entry point: an error that is meant for the user ends it with one line and the exit status of its kind."""
    silence_library_warnings()
    # A termination ends a run as Ctrl-C does: the running step is ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except RelandError as error:
        print(f"reland: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's ending of a KeyboardInterrupt, which says nothing
            print("reland: interrupted", file=sys.stderr)
        raise
