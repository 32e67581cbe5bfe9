"""The `reland` command: its nouns, and how a fault of each kind ends it."""

import signal
import sys

import typer

from components.foundation.errors import InputError
from components.foundation.redaction import without_passwords
from reland.commands import cluster, data, doctor, encoder, experiment, rollout, run, seeds, serve

INTERRUPTED = 130

app = typer.Typer(
    name="reland",
    help="RELAND: language-model reasoning about a few seed users becomes a feature of your ranker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, data, encoder, seeds, serve, experiment, rollout, cluster, doctor):
    command.register(app)


def main() -> None:
    """Entry point: a user's fault ends with one line and status 2, a failed step with one line and status 1."""
    from pipelines.running.run_log import StepFailedError

    # A termination ends a run as Ctrl-C does: the running step is ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except InputError as error:
        print(f"reland: {without_passwords(str(error))}", file=sys.stderr)
        sys.exit(2)
    except StepFailedError as error:
        print(f"reland: {without_passwords(str(error))}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's ending of a KeyboardInterrupt, which says nothing
            print("reland: interrupted", file=sys.stderr)
        raise
