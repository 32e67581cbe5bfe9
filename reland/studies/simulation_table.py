"""What a person sees at the end of a simulated experiment."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from reland.studies.simulated_experiment import EstimatedLift, SimulatedExperiment
from serving.experiment.report import PAGE_FILE


def print_simulation(console: Console, result: SimulatedExperiment, folder: Path) -> None:
    """The measured lifts beside the true ones, overall and by day, and what they rest on."""
    table = Table(title=f"Lift of {result.comparison.title}", title_justify="left")
    for name in ("", "day", "found", "95% interval", "true", ""):
        table.add_column(name, justify="left" if name in ("", "day") else "right")
    for metric, overall in result.lifts.items():
        for day, lifts in result.by_day.items():
            table.add_row(metric.upper(), day, *_cells(lifts[metric]))
        table.add_row(metric.upper(), "all", *_cells(overall), end_section=True)
    console.print(table)
    console.print(
        f"{result.lists:,} lists, {result.clicks:,} clicks and {result.conversions:,} purchases of {result.users:,} "
        f"users; the logs lost {result.lost:,}; computed again, {result.agreement:.1%} of the lists are the same",
        soft_wrap=True,
    )
    for warning in result.warnings:
        console.print(warning, markup=False, soft_wrap=True)
    console.print(f"written: {folder} (open {folder / PAGE_FILE})", markup=False, soft_wrap=True)


def _cells(result: EstimatedLift) -> tuple[str, str, str, str]:
    true = f"{result.true_lift:+.2%}"
    if result.lift is None or result.low is None or result.high is None:
        return "none", "", true, ""
    return f"{result.lift:+.2%}", f"{result.low:+.2%} to {result.high:+.2%}", true, "" if result.covered else "missed"
