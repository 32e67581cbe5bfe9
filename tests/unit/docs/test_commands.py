"""Every `reland` command that the documentation shows is there, with the options it is shown with."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from reland.main import app
from tests.unit.docs.markdown import OF_NOW, ROOT, read_page

COMMAND = re.compile(r"^(?:export |[A-Z_]+=\S+ )*(?:\.venv/bin/)?reland(?= |$)(.*)$", re.MULTILINE)


def shown_commands(path: Path) -> list[str]:
    """The arguments of each command, continued lines joined, without comments and what a pipe does with the output."""
    page = read_page(path)
    commands = []
    for text in [*page.spans, *page.blocks]:
        for arguments in COMMAND.findall(text.replace("\\\n", " ")):
            commands.append(re.split(r"\s#|[|;>]|&&", arguments)[0].strip())
    return commands


def fault(arguments: str) -> str:
    """What is wrong with a command of `reland`; empty where nothing is."""
    command: Any = typer.main.get_command(app)
    words = arguments.split()
    while words and getattr(command, "commands", None) is not None:
        if words[0].startswith("-"):
            break
        name = words.pop(0)
        if name not in command.commands:
            return f"reland {arguments}: there is no command {name}"
        command = command.commands[name]
    options = {"--help", *(name for each in command.params for name in (*each.opts, *each.secondary_opts))}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
    return f"reland {arguments}: there is no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("path", OF_NOW, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_there_with_their_options(path):
    assert not [text for arguments in shown_commands(path) if (text := fault(arguments))]


def test_faults_are_seen():
    assert fault("") == fault("run") == fault("run --seed 1") == fault("rollout start --weight 0.05") == ""
    assert "no command walk" in fault("walk") and "no command end" in fault("rollout end")
    assert "no option --seeds" in fault("run --seeds=1") and fault("--help") == ""
