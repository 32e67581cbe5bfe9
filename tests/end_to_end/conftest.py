"""The `reland` command, run in this process as a user would run it."""

import sys
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    status: int
    output: str
    error: str


@pytest.fixture
def reland(monkeypatch, capfd, tmp_path):
    """`reland(*arguments)` with a RELAND_HOME of its own."""
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RELAND_DATA_DIR", raising=False)

    def invoke(*arguments: str) -> Outcome:
        from reland.main import main

        monkeypatch.setattr(sys, "argv", ["reland", *arguments])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        return Outcome(status, *capfd.readouterr())

    return invoke
