"""The command `reland serve`."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(serve)


def serve() -> None:
    """Serve on this machine, until Ctrl-C: Triton, the item index and the gateway (settings RELAND_GATEWAY_*)."""
    from components.foundation.settings import load_settings
    from serving.local import serve

    serve(load_settings())
