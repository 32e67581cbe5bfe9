"""The command `reland run`."""

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, TextIO

import typer
from rich.console import Console

from pipelines.configuration import RunConfiguration
from reland.commands.options import AsJson, takes_configuration


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(run)


@takes_configuration("data", "encoder", "seeds", "rationales", "ranking", "serving")
def run(
    configuration: RunConfiguration,
    runner: Annotated[
        str,
        typer.Option(help="What runs a step: subprocess, or docker (a container of its image; `make images`)."),
    ] = "subprocess",
    as_json: AsJson = False,
) -> None:
    """Run the whole chain on this machine, from interaction logs to a ranker that Triton serves."""
    from components.foundation.settings import load_settings
    from reland.run_chain import run_chain
    from reland.run_report import print_run

    settings = load_settings()
    listener = _progress_printer(sys.stderr if as_json else sys.stdout)
    summary, folder = run_chain(configuration, settings, listener, runner)
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        print_run(Console(), summary, folder, settings)


def _progress_printer(stream: TextIO) -> Callable[[str, str], None]:
    began = time.monotonic()

    def listen(step: str, message: str) -> None:
        elapsed = int(time.monotonic() - began)
        print(f"{elapsed // 60:3d}:{elapsed % 60:02d}  {step:22s} {message}".rstrip(), file=stream, flush=True)

    return listen
