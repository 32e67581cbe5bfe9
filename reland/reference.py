"""`python -m reland.reference`: write the reference pages that are derived from the code, `docs/reference/*.md`.

Nobody edits these pages: a setting, a command or an option is documented where it is defined, and
`tests/unit/docs/test_reference.py` fails where a page is not what this module would write. To add a page, add a
function that returns its text, and a line in `PAGES`.
"""

import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from components.foundation.configuration import options_of
from components.foundation.files import replacing_file
from components.foundation.settings import ENVIRONMENT_PREFIX, Settings
from pipelines.configuration import section_types
from reland.main import app

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `python -m reland.reference`. Change the code that it is read from, not this page. -->"
DEFAULT = re.compile(r" \(default: (.*)\)$")
TYPE_NAMES = {str: "text", int: "whole number", float: "number", bool: "yes or no", Path: "path", SecretStr: "secret"}


@dataclass(frozen=True)
class Row:
    """One parameter in a table of the reference.

    Attributes:
        name: as a user writes it, with everything that belongs to it (`--seed`, `RELAND_HOME`).
        kind: what values it takes, in words.
        default: its value where none is given, in words; empty where there is none.
        description: what it is.
    """

    name: str
    kind: str
    default: str
    description: str


def parameter_table(rows: Iterable[Row], heading: str) -> str:
    """A Markdown table of parameters, whose first column is called `heading`."""
    lines = [f"| {heading} | type | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        cells = (f"`{row.name}`", row.kind, row.default, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def type_name(kind: Any) -> str:
    """A type of a parameter in words: `text`, `whole number`, the values of a `Literal`."""
    if (typing.get_origin(kind) or kind) is dict:
        return "names and values"
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(kind))
    alternatives = [one for one in typing.get_args(kind) if one is not type(None)]
    return type_name(alternatives[0]) if alternatives else TYPE_NAMES[kind]


def default_text(value: Any) -> str:
    """A default as a user would write it; empty for what is empty.

    A path beside the running Python environment is named by what follows, because each machine has another.
    """
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    beside = Path(sys.prefix).parent
    if isinstance(value, Path) and value.is_relative_to(beside):
        return f"`{value.relative_to(beside)}` beside the running environment"
    return f"`{value}`"


def settings_page() -> str:
    """Every environment variable that the platform reads through `Settings`."""
    rows = [
        Row(
            ENVIRONMENT_PREFIX + name.upper(),
            type_name(field.annotation),
            default_text(field.default),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return f"""{NOTE}

# Settings

Settings say where things are and how much is tolerated. They are environment variables: on a laptop they come from the
shell, in a pod from the config map `reland-settings` and the secret `reland-secrets`. What a single run does stands in
its [configuration](configuration.md). A value that a setting does not allow ends every command with one line that
names the variable; `reland doctor` checks what the settings point to.

{parameter_table(rows, "variable")}

`RELAND_FEATURE_STORE=redis` reads two more: `RELAND_REDIS` (`host:port[,password=…]`) and `RELAND_FEAST_REGISTRY` (the
URL of an SQL database that all pods reach). On a cluster these two come from the secret `reland-secrets`.
"""


def configuration_page() -> str:
    """Every field of the sections of a run's configuration."""
    parts = [
        NOTE,
        "# Configuration of a run",
        "What one run does stands in sections. Each field can be given in a TOML file (`reland run --config FILE`),\n"
        "as `-O section.field=value`, or as an option of a command that takes the section, which has the field's name\n"
        "([commands](commands.md)). Each section is one structured parameter of the compiled pipelines. The seed of\n"
        "everything random, `seed`, stands beside the sections.",
    ]
    for name, section in section_types().items():
        rows = [
            Row(".".join(option.path), type_name(option.kind), default_text(option.default), option.description)
            for option in options_of(section)
        ]
        parts += [f"## {name}", _first_paragraph(section.__doc__), parameter_table(rows, "field")]
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """Every command of `reland`, with its arguments and options."""
    command = typer.main.get_command(app)
    parts = [
        NOTE,
        "# Commands",
        "Every command explains itself with `--help`. A command that fails prints one line that names the file, the\n"
        "row or the setting at fault, and ends with a [status of its own](../quickstart.md#when-something-is-wrong).",
        *_command_sections(command, "reland"),
    ]
    return "\n\n".join(parts) + "\n"


def _command_sections(command: Any, name: str) -> Iterator[str]:
    """A section for each command that can be called, in the order in which `--help` lists them."""
    commands = getattr(command, "commands", None)
    if commands is not None:
        for inner, each in commands.items():
            yield from _command_sections(each, f"{name} {inner}")
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join([name, *(_argument(parameter) for parameter in arguments)])
    yield f"## {name}"
    yield f"`{usage} [OPTIONS]`" if len(arguments) < len(command.params) else f"`{usage}`"
    yield _paragraphs(command.help)
    if command.params:
        yield parameter_table(map(_parameter_row, command.params), "argument or option" if arguments else "option")


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    many = "..." if parameter.nargs == -1 else ""
    return f"{name}{many}" if parameter.required else f"[{name}]{many}"


def _parameter_row(parameter: Any) -> Row:
    is_option = parameter.param_type_name == "option"
    name = "/".join([*parameter.opts, *parameter.secondary_opts]) if is_option else _argument(parameter)
    kind = "switch" if getattr(parameter, "is_flag", False) else type_name(parameter.type_descriptor.annotation)
    description = " ".join((parameter.help or "").split())
    if default := DEFAULT.search(description):  # of an option that is left to a file where it is not given
        return Row(name, kind, f"`{default[1]}`", description[: default.start()])
    return Row(name, kind, _parameter_default(parameter), description)


def _parameter_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(shown := getattr(parameter, "show_default", None), str):
        return f"`{shown}`"
    is_nothing = parameter.default is False or parameter.default in ([], ())
    return "" if is_nothing else default_text(parameter.default)


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _paragraphs(text: str | None) -> str:
    """A docstring's paragraphs, each on one line; the section of its arguments is in the table already."""
    paragraphs = (text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if not paragraph.startswith("Args:"))


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "configuration.md": configuration_page,
    "commands.md": commands_page,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        with replacing_file(FOLDER / name) as temporary:
            temporary.write_text(page(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
