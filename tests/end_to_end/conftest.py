"""The `reland` command, run in this process as a user would run it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.contracts.settings import load_settings


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
        from pipelines.cli import main

        monkeypatch.setattr(sys, "argv", ["reland", *arguments])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        return Outcome(status, *capfd.readouterr())

    return invoke


def require_triton() -> None:
    """Skip where there is no Triton environment; fail in CI, where it belongs."""
    environment = load_settings().triton_environment
    if not (environment / "bin" / "python").exists():
        reason = f"no Triton environment at {environment}: `make install` makes it"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def real_data(name: str) -> Path:
    """Folder of a real data set; skips where it is not at hand."""
    folder = Path(os.environ.get("RELAND_DATA_DIR") or Path(__file__).parents[3] / "shared" / "data") / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}: set RELAND_DATA_DIR to the folder of the real data")
    return folder
