"""What a person sees at the end of a run."""

import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from components.contracts.artifacts import CONFIGURATION_FILE, SUMMARY_FILE
from components.foundation.mlflow_client import sqlite_uri
from components.foundation.redaction import without_passwords
from components.foundation.settings import Settings


def print_run(console: Console, summary: dict[str, Any], folder: Path, settings: Settings) -> None:
    """Steps with their seconds, metrics by variant, what was registered, pushed and released, and where to look on."""
    console.print()
    console.print(_steps(summary))
    console.print(_variants(summary))
    if summary["generation_cost"]["methods"]["slim"]["tokens"]:  # else no language model was called
        console.print(_costs(summary["generation_cost"]))
    for line in _facts(summary):
        console.print(line, markup=False, soft_wrap=True)
    console.print("\nLook further:", markup=False)
    # With its path: the environment of a newcomer is not on PATH.
    programs = Path(sys.prefix) / "bin"
    database = sqlite_uri(settings.home / "mlflow" / "mlflow.db")
    browse = shlex.join([str(programs / "mlflow"), "ui", "--backend-store-uri", database])
    again = shlex.join([str(programs / "reland"), "run", "--config", str(folder / CONFIGURATION_FILE)])
    for line in (
        f"  {shlex.quote(str(folder / SUMMARY_FILE))}",
        f"  {shlex.quote(str(folder / 'log.txt'))}    (everything the steps printed)",
        f"  {without_passwords(settings.mlflow_tracking_uri) or browse}",
        f"  {again}    (the same run again)",
    ):
        console.print(line, markup=False, soft_wrap=True)


def _steps(summary: dict[str, Any]) -> Table:
    table = Table(title=f"Generation {summary['generation']}", title_justify="left")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for step, seconds in summary["seconds"]["steps"].items():
        table.add_row(step, f"{seconds:.1f}")
    table.add_section()
    table.add_row("total", f"{summary['seconds']['total']:.1f}")
    return table


def _variants(summary: dict[str, Any]) -> Table:
    ranking = summary["ranking"]
    variants = {name: value for name, value in ranking.items() if isinstance(value, dict) and name != "comparisons"}
    metrics = list(next(iter(variants.values())))
    seeds = "one seed: another gives other figures" if ranking["seeds"] == 1 else f"{ranking['seeds']} seeds"
    table = Table(title=f"{ranking['backbone']}, {ranking['protocol']}, {seeds}", title_justify="left")
    table.add_column("variant")
    for metric in metrics:
        table.add_column(metric.upper(), justify="right")
    table.add_column("compared with")
    for name, values in variants.items():
        lines = [
            f"{other}: {comparison['verdict']} ({shown_p_value(comparison['p_value'])})"
            for other, comparison in ranking["comparisons"][name].items()
        ]
        table.add_row(name, *(f"{values[metric]:.4f}" for metric in metrics), "\n".join(lines))
    return table


def shown_p_value(p_value: float) -> str:
    """No p value is 0, however small."""
    return f"p = {p_value:.3f}" if p_value >= 0.001 else "p < 0.001"


def _facts(summary: dict[str, Any]) -> list[str]:
    dataset, core, cost = summary["dataset"], summary["dataset"]["after_k_core"], summary["generation_cost"]
    seeds, matching, release = summary["seeds"], summary["matching"], summary["release"]
    encoder = summary["encoder"]["metrics"]
    return [
        f"Data        {dataset['name']}: {dataset['accepted']:,} interactions accepted, {dataset['rejected']:,} "
        f"rejected; {core['users']:,} users, {core['items']:,} items, {core['interactions']:,} after filtering",
        f"Encoder     {summary['encoder']['name']}, version {summary['encoder']['version']}"
        + "".join(f", {name} {encoder[name]:.3f}" for name in ("link_auc", "inductive_agreement") if name in encoder),
        f"Seed users  {seeds['count']:,} by policy {seeds['policy']}; "
        f"{seeds['coverage']['share']:.1%} of the users have one with similarity "
        f"{seeds['coverage']['threshold']:g} or more",
        f"Rationales  {summary['pool']['size']:,} by engine {cost['engine']}, model {cost['model']}; "
        f"{cost['inferences']:,} inferences, {cost['reused']:,} answers reused, {cost['rejected']:,} rejected",
        *_not_asked(cost),
        f"Pool        {summary['pool']['collection']}, {summary['pool']['size']:,} rationales",
        f"Matching    {matching['coverage']:.1%} of {matching['users']:,} users, "
        f"median similarity {matching['similarity_p50']:.3f}",
        f"Registered  {summary['registry']['model']} version {summary['registry']['version']} "
        f"as {summary['registry']['alias']}",
        f"Pushed      {summary['features']['pushed_users']:,} users to the slot {summary['features']['slot']}, "
        f"looked up and equal: {'yes' if summary['features']['lookup_verified'] else 'no'}",
        f"Released    Triton version {release['triton_version']}, answers as PyTorch does: "
        f"{'yes' if release['smoke_request_ok'] else 'no'}",
        f"Time        {slowest_steps(summary['seconds'])}",
    ]


def slowest_steps(seconds: dict[str, Any], count: int = 5) -> str:
    """Where the time went, in one line: the total, and the steps that took longest."""
    slowest = sorted(seconds["steps"].items(), key=lambda entry: -entry[1])[:count]
    steps = ", ".join(f"{step} {taken:.0f} s" for step, taken in slowest)
    return f"{seconds['total']:.0f} s; the slowest of {len(seconds['steps'])} steps: {steps}"


def _not_asked(cost: dict[str, Any]) -> list[str]:
    if not cost["ceiling"]:
        return []
    return [f"            partial: the ceiling {cost['ceiling']} kept {cost['not_asked']:,} requests from being sent"]


def _costs(cost: dict[str, Any]) -> Table:
    """What the language model took for the pool, and would have taken by other methods (the paper's Table 3)."""
    columns = {"calls": "# inference", "tokens": "tokens", "hours": "hours", "gpu_hours": "GPU-hours", "money": "money"}
    methods = cost["methods"]
    rows = {
        "RELAND": methods["reland"],
        "KAR (|U| + |I|)": methods["kar"],
        "SLIM (|D|)": methods["slim"],
        "this run": cost | {"tokens": cost["prompt_tokens"] + cost["completion_tokens"]},
        "this run, per 1,000 users": cost["per_thousand_users"],
    }
    shown = {name: title for name, title in columns.items() if methods["slim"].get(name)}
    table = Table(title=f"Cost of {cost['model']}", title_justify="left")
    table.add_column("method")
    for title in shown.values():
        table.add_column(title, justify="right")
    for title, row in rows.items():
        table.add_row(title, *(_number(row.get(name, 0)) for name in shown))
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
