"""`reland experiment`: what a rollout changed, measured."""

import typer

experiment = typer.Typer(
    name="experiment",
    help="What a rollout changed: lift with its intervals, and experiments on a simulated market.",
    no_args_is_help=True,
)


@experiment.callback()
def _group() -> None:
    """Keeps the commands a group while there is but one."""
