"""`reland experiment`: what a rollout changed, measured."""

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

INTERRUPTED = 130

experiment = typer.Typer(
    name="experiment",
    help="What a rollout changed: lift with its intervals, and experiments on a simulated market.",
    no_args_is_help=True,
)


@experiment.callback()
def _group() -> None:
    """Keeps the commands a group while there is but one."""


@experiment.command()
def simulate(
    against: Annotated[
        str,
        typer.Option(
            help="id_only: serve the champion's variant without rationales to half of the users for as long as this "
            "takes. Default: simulate the rollout that runs."
        ),
    ] = "",
    days: Annotated[int, typer.Option(help="Simulated days, from the first after the market's log on.")] = 5,
    visits: Annotated[float, typer.Option(help="How much more often users come than in the market's log.")] = 1.0,
    gateway: Annotated[str, typer.Option(help="Address of the gateway. Default: by RELAND_GATEWAY_*.")] = "",
    truth: Annotated[
        Path | None, typer.Option(help="Folder of the market's truth. Default: that of the run that made the champion.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for what was served. Default: one below RELAND_HOME/experiments.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of who comes when, and of what they do.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as JSON, and progress to standard error.")
    ] = False,
) -> None:
    """Let simulated users ask the running gateway, and hold what the experiment finds against what is true."""
    from components.contracts.loopback import without_proxy
    from components.contracts.settings import load_settings
    from pipelines.experiment_simulation import SimulationConfig
    from pipelines.simulated_experiment import simulate_experiment
    from pipelines.simulation_table import print_simulation

    os.environ.update(no_grpc_proxy=without_proxy(os.environ))
    settings = load_settings()
    address = gateway or f"http://{settings.gateway_host}:{settings.gateway_port}"
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        found, folder = simulate_experiment(
            settings, SimulationConfig(days, visits, seed), address, against or None, truth, output
        )
    if as_json:
        print(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        print_simulation(Console(), found, folder)
    if found.interrupted:
        print(f"reland: interrupted on day {found.days}: what was served until then is in {folder}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
