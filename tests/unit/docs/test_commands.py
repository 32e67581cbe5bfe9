"""Every `reland` command that the documentation shows is there, with the options it is shown with."""

import functools
import re
import shlex
import tomllib
from typing import Any

import pytest
import typer

from components.ranking_benchmark.grid import parse_grid
from pipelines.configuration import RunConfiguration
from reland.main import app
from tests.unit.docs.markdown import OF_NOW, ROOT, read_page

TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:export |[A-Z_]+=\S+ )*(?:\.venv/bin/)?reland(?= |$)(.*)$", re.MULTILINE)


def shown_commands(texts: list[str]) -> list[str]:
    """The arguments of each command, continued lines joined, without comments and what a pipe does with the output."""
    return [
        re.split(r"\s#|[|;>]|&&", arguments)[0].strip()
        for text in texts
        for arguments in COMMAND.findall(text.replace("\\\n", " "))
    ]


@functools.cache
def reland() -> Any:
    """The command `reland`."""
    return typer.main.get_command(app)


def fault(arguments: str, whole: bool = False) -> str:
    """What is wrong with a command of `reland`; empty where nothing is.

    Args:
        whole: it can be run as it is shown; else options, and what has to be given, may be left out.
    """
    command = reland()
    words = shlex.split(arguments)
    while words and getattr(command, "commands", None) is not None and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"reland {arguments}: there is no command {name}"
        command = command.commands[name]
    if whole and getattr(command, "commands", None) is None:
        try:
            command.make_context("reland", list(words))
        except Exception as error:
            message = error.format_message() if hasattr(error, "format_message") else error
            return f"reland {arguments}: {message}"
    options = {"--help", *(name for each in command.params for name in (*each.opts, *each.secondary_opts))}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
    return f"reland {arguments}: there is no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("path", OF_NOW, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_there_with_their_options(path):
    page = read_page(path)
    mentioned = [fault(arguments) for arguments in shown_commands(page.spans)]
    shown = [fault(arguments, whole=True) for arguments in shown_commands(page.blocks)]
    assert not [text for text in [*mentioned, *shown] if text]


@pytest.mark.parametrize("path", OF_NOW, ids=lambda path: str(path.relative_to(ROOT)))
def test_configurations_that_are_shown_can_be_read(path):
    for text in TOML.findall(path.read_text(encoding="utf-8")):
        content = tomllib.loads(text)
        if "data_sets" not in content:
            RunConfiguration.read(content)
            continue
        for data in parse_grid(content).data_sets:
            for features in data.features.values():
                RunConfiguration.read(features.sections)


def test_faults_are_seen():
    assert fault("") == fault("run") == fault("run --seed 1", whole=True) == fault("rollout start") == ""
    assert "no command walk" in fault("walk") and "no command end" in fault("rollout end")
    assert "no option --seeds" in fault("run --seeds=1") and fault("--help") == ""
    assert "--weight" in fault("rollout start", whole=True) and "--seed" in fault("run --seed much", whole=True)
