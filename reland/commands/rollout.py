"""The commands `reland rollout`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.foundation.errors import ConflictError
from components.foundation.settings import Settings

group = typer.Typer(
    help="Serve a candidate to a share of the users, then promote or abort it; `resume` finishes a killed command.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the `reland` command."""
    app.add_typer(group, name="rollout")


Reason = Annotated[str, typer.Option(help="Why, for the history.")]


def _settings() -> Settings:
    from components.foundation.loopback import without_proxy
    from components.foundation.settings import load_settings

    os.environ.update(no_grpc_proxy=without_proxy(os.environ))
    return load_settings()


@group.command()
def start(
    weight: Annotated[
        float, typer.Option(help="Share of the users for the candidate; the control gets as much, at most half each.")
    ],
    version: Annotated[
        int | None, typer.Option(help="Version of reland-ranker. Default: the one with the alias candidate.")
    ] = None,
    allow_list: Annotated[
        Path | None,
        typer.Option(
            help="Users who get the candidate in any case (one id a line, or Parquet with user_id); not analysed."
        ),
    ] = None,
    segment: Annotated[
        Path | None,
        typer.Option(help="Users who take part, likewise; the others stay with the champion. Default: all."),
    ] = None,
    reason: Reason = "",
) -> None:
    """Serve a candidate beside the champion, to a share of the users, and a control group of equal size."""
    from serving.rollout.controller import start

    start(_settings(), version, weight, reason, allow_list, segment)


@group.command()
def ramp(weight: Annotated[float, typer.Argument(help="The candidate's new share.")], reason: Reason = "") -> None:
    """Give the candidate, and the control, a larger share; this begins a new stage."""
    from serving.rollout.controller import ramp

    ramp(_settings(), weight, reason)


@group.command()
def promote(reason: Reason = "") -> None:
    """Make the candidate the champion of all users but the hold-out, and unload the old champion."""
    from serving.rollout.controller import promote

    promote(_settings(), reason)


@group.command()
def abort(reason: Reason = "") -> None:
    """Give the candidate's users back to the champion, and unload the candidate."""
    from serving.rollout.controller import abort

    abort(_settings(), reason)


@group.command()
def rollback(reason: Reason = "") -> None:
    """Go back to the champion before, in one step: pointers move, nothing is copied. Again, and further back."""
    from serving.rollout.controller import rollback

    rollback(_settings(), reason)


@group.command(name="hold-out")
def hold_out(
    share: Annotated[float, typer.Argument(help="Share of all users, up to 0.5; 0 ends the hold-out.")],
    reason: Reason = "",
) -> None:
    """Keep a share of the users with the present champion through all rollouts to come: always the same users."""
    from serving.rollout.controller import hold_out

    hold_out(_settings(), share, reason)


@group.command()
def resume() -> None:
    """Finish what a killed command has begun; with nothing to finish, nothing changes."""
    from serving.rollout.controller import resume

    resume(_settings())


@group.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show the arms, their shares of the users, and the last change."""
    from dataclasses import asdict

    from serving.rollout.controller import status

    current = status(_settings())
    desired = current.desired
    if as_json:
        content = asdict(desired) | {"effective": current.effective, "running": desired.candidate is not None}
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    console = Console()
    table = Table(title=f"state {desired.state}" + (f", stage {desired.stage}" if desired.stage else ""))
    for name in ("arm", "version", "share", "slot", "generation"):
        table.add_column(name)
    for arm in desired.arms:
        table.add_row(arm.name, str(arm.version), f"{arm.weight:.1%}", arm.slot, arm.generation)
    console.print(table)
    if desired.time:
        console.print(f"{desired.action} by {desired.by} at {desired.time}" + f" {desired.reason}".rstrip())
    if not current.effective:
        console.print("not in effect yet: a command runs, or was killed and `reland rollout resume` finishes it")


@group.command()
def guard(
    seconds: Annotated[float | None, typer.Option(help="End after this time. Default: with the rollout.")] = None,
    latency_ratio: Annotated[
        float, typer.Option(help="Largest ratio of the 99th percentiles of latency, candidate to control.")
    ] = 1.5,
    fallen_margin: Annotated[
        float, typer.Option(help="Largest rise of the share of lists that a lower step of the ladder answered.")
    ] = 0.05,
    coverage_margin: Annotated[
        float, typer.Option(help="Largest fall of the share of lists ranked with a rationale.")
    ] = 0.1,
    diversity_ratio: Annotated[float, typer.Option(help="Least ratio of the effective numbers of items served.")] = 0.5,
) -> None:
    """Watch the rollout that runs, and abort it when the candidate breaches a guardrail (then the status is 4)."""
    from serving.rollout.guard import watch
    from serving.rollout.guardrails import Limits

    limits = Limits(
        latency_ratio=latency_ratio,
        fallen_margin=fallen_margin,
        coverage_margin=coverage_margin,
        diversity_ratio=diversity_ratio,
    )
    watched = watch(_settings(), limits, seconds)
    if watched.breached:
        raise ConflictError(f"aborted: {'; '.join(map(str, watched.breached))}")
    print("the rollout has ended" if watched.ended else "no guardrail was breached")
