"""The commands `reland generations`: what runs have made."""

import dataclasses
import json
import shlex
import sys
from typing import Annotated, Any

import typer

group = typer.Typer(help="List, show and compare what finished runs have made.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Id of a generation, as `reland generations list` prints it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the `reland` command."""
    app.add_typer(group, name="generations")


@group.command(name="list")
def list_command(as_json: AsJson = False) -> None:
    """List the generations of all finished runs, oldest first, with the arms that they serve."""
    from components.foundation.settings import load_settings
    from reland.generations.finding import arms_by_generation, list_generations

    settings = load_settings()
    arms = arms_by_generation(settings)
    generations, faults = list_generations(settings)
    for fault in faults:
        print(f"WARNING: left out, {fault}", file=sys.stderr)
    rows = [
        {
            "generation": generation.name,
            "begun": generation.begun,
            "dataset": generation.summary["dataset"]["name"],
            "engine": generation.manifest["engine"],
            "ranker_version": generation.manifest["ranker_version"],
            "arms": arms.get(generation.name, []),
        }
        for generation in generations
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        print(f"{settings.home}: no run has finished yet (`reland run` makes a generation)")
        return
    headings = ("generation", "begun (UTC)", "data set", "engine", "ranker", "serves")
    cells = [[*(str(row[name]) for name in list(row)[:-1]), ", ".join(row["arms"]) or "-"] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for line in (headings, *cells):  # no table that folds: an id has to be copied whole
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@group.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one generation: its manifest, how well its rankers do, where it lies and how to make it again."""
    from components.foundation.settings import load_settings
    from reland.generations.finding import arms_by_generation, find_generation

    settings = load_settings()
    generation = find_generation(settings, name)
    configuration = generation.configuration
    content: dict[str, Any] = {
        **generation.manifest,
        "begun": generation.begun,
        "arms": arms_by_generation(settings).get(name, []),
        "ranking": generation.summary["ranking"],
        "run": str(generation.run),
        "artifacts": str(generation.artifacts),
        "configuration": str(configuration) if configuration else None,
    }
    if as_json:
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for key, value in content.items():
        if key == "ranking":
            for variant, metrics in value.items():
                if isinstance(metrics, dict) and "ndcg@10" in metrics:
                    print(f"{variant:18s} HR@10 {metrics['hr@10']:.4f}, NDCG@10 {metrics['ndcg@10']:.4f}")
        else:
            print(f"{key:18s} {', '.join(value) or '-' if isinstance(value, list) else value}")
    if configuration:
        print(f"\nto make it again:  reland run --config {shlex.quote(str(configuration))}")


@group.command()
def diff(first: Name, second: Name, as_json: AsJson = False) -> None:
    """Compare two generations: configuration, manifest and figures."""
    from components.foundation.settings import load_settings
    from reland.generations.comparing import compare_generations
    from reland.generations.finding import find_generation

    settings = load_settings()
    differences = compare_generations(*(find_generation(settings, name) for name in (first, second)))
    if as_json:
        print(json.dumps([dataclasses.asdict(each) for each in differences], indent=2, ensure_ascii=False))
        return
    for part in dict.fromkeys(each.part for each in differences):
        print(part)
        for each in differences:
            if each.part == part:
                print(f"  {each.name}: {_text(each.first)} -> {_text(each.second)}")
    if not differences:
        print(f"{first} and {second} do not differ")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
