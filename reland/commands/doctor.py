"""The command `reland doctor`."""

import contextlib
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

MARKS = {"ok": "ok", "unused": "-", "failed": "FAILED"}


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check that what the settings name is there, has the right version and may be used; status 1 where not."""
    from components.foundation.loopback import without_proxy
    from components.foundation.settings import load_settings
    from reland.environment_checks import examine

    settings = load_settings()
    os.environ.update(no_grpc_proxy=without_proxy(os.environ))
    findings = []
    with _quiet():
        for finding in examine(settings):
            findings.append(finding)
            if not as_json:
                print(f"{MARKS[finding.state]:7s} {finding.name:19s} {finding.message}", flush=True)
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    failed = sum(finding.state == "failed" for finding in findings)
    if failed:
        sys.exit(1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the logs of clients that fail: they say what the finding says."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
