"""What a person sees at the end of a simulated experiment."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.simulated_experiment import Found, SimulatedExperiment


def print_simulation(console: Console, found: SimulatedExperiment, folder: Path) -> None:
    """The lifts that were found beside the true ones, day by day, and what they rest on."""
    compared = found.comparison
    table = Table(
        title=f"{compared.treatment} (version {found.versions[compared.treatment]}) against "
        f"{compared.baseline} (version {found.versions[compared.baseline]})",
        title_justify="left",
    )
    for name in ("day", "CTR lift", "95% interval", "true lift", "CVR lift", "95% interval", "true lift"):
        table.add_column(name, justify="left" if name == "day" else "right")
    for day, lifts in found.by_day.items():
        table.add_row(day, *_cells(lifts["ctr"]), *_cells(lifts["cvr"]))
    table.add_section()
    table.add_row("all", *_cells(found.lifts["ctr"]), *_cells(found.lifts["cvr"]))
    console.print(table)
    console.print(
        f"{found.lists:,} lists, {found.clicks:,} clicks and {found.conversions:,} purchases of {found.users:,} users; "
        f"{found.lost:,} lost by the logs; asked again, {found.agreement:.1%} of the lists are the same"
    )
    for warning in found.warnings:
        console.print(warning, markup=False)
    console.print(f"logs, user-days and these numbers: {folder}", markup=False, soft_wrap=True)


def _cells(found: Found) -> tuple[str, str, str]:
    true = f"{found.true_lift:+.2%}"
    if found.lift is None or found.low is None or found.high is None:
        return "none", "", true
    return f"{found.lift:+.2%}", f"{found.low:+.2%} to {found.high:+.2%}{'' if found.covered else ' (misses)'}", true
