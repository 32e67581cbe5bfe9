"""What `reland items` and `reland rationales` have in common: options, and how decisions are listed."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from components.contracts.exclusions import Exclusions

Reason = Annotated[str, typer.Option(help="Why, for whoever looks later.")]
History = Annotated[bool, typer.Option("--history", help="Every decision ever made, not those in force alone.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def print_decisions(exclusions: Exclusions, kinds: Sequence[str], history: bool, as_json: bool) -> None:
    """Print the decisions of these kinds, oldest first: a line each."""
    decisions = exclusions.decisions if history else exclusions.in_force
    chosen = [decision for decision in decisions if decision.kind in kinds]
    if as_json:
        print(json.dumps([asdict(decision) for decision in chosen], indent=2, ensure_ascii=False))
        return
    for decision in chosen:
        action = f"{decision.action}  " if history else ""
        print(f"{decision.time}  {action}{decision.kind} {decision.value!r}  by {decision.by}: {decision.reason}")
    if not chosen:
        print("none")
