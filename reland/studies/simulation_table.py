"""What a person sees at the end of a simulated experiment."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from reland.studies.simulated_experiment import Found, SimulatedExperiment
from serving.experiment.report import PAGE_FILE


def print_simulation(console: Console, found: SimulatedExperiment, folder: Path) -> None:
    """The lifts that were found beside the true ones, overall and by day, and what they rest on."""
    table = Table(title=f"Lift of {found.comparison.title}", title_justify="left")
    for name in ("", "day", "found", "95% interval", "true", ""):
        table.add_column(name, justify="left" if name in ("", "day") else "right")
    for metric, overall in found.lifts.items():
        for day, lifts in found.by_day.items():
            table.add_row(metric.upper(), day, *_cells(lifts[metric]))
        table.add_row(metric.upper(), "all", *_cells(overall), end_section=True)
    console.print(table)
    console.print(
        f"{found.lists:,} lists, {found.clicks:,} clicks and {found.conversions:,} purchases of {found.users:,} users; "
        f"the logs lost {found.lost:,}; asked again, {found.agreement:.1%} of the lists are the same",
        soft_wrap=True,
    )
    for warning in found.warnings:
        console.print(warning, markup=False, soft_wrap=True)
    console.print(f"written: {folder} (open {folder / PAGE_FILE})", markup=False, soft_wrap=True)


def _cells(found: Found) -> tuple[str, str, str, str]:
    true = f"{found.true_lift:+.2%}"
    if found.lift is None or found.low is None or found.high is None:
        return "none", "", true, ""
    return f"{found.lift:+.2%}", f"{found.low:+.2%} to {found.high:+.2%}", true, "" if found.covered else "missed"
