"""Options of commands that are derived from the sections of a run's configuration, and those that commands share."""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from components.foundation.configuration import SEED, Option, changed, options_of
from components.foundation.errors import InputError
from pipelines.configuration import read_configuration, section_types

AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and progress to standard error.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with the sections of a run, as each run leaves one.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("-O", metavar="SECTION.FIELD=VALUE", help="Set any field of a section; may be repeated."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.", show_default="0")]


def takes_configuration(*sections: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of these sections, `--config` and `-O`.

    The command is called with the `RunConfiguration` first. An option that is given wins over an assignment by -O, and
    that over the file. An assignment to a section that the command does not read is refused.
    """
    options = [option for name in sections for option in options_of(section_types()[name]) if _can_be_an_option(option)]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @functools.wraps(command)
        def called(**values: Any) -> None:
            given: dict[str, Any] = {}
            for option in options:
                if (value := values.pop(option.name)) is not None:
                    given = changed(given, option.path, value)
            if (seed := values.pop(SEED)) is not None:
                given[SEED] = seed
            assignments = values.pop("assignments") or []
            _check_sections(assignments, sections)
            configuration = read_configuration(values.pop("config"), assignments, given)
            command(configuration, **values)

        del called.__wrapped__  # whose signature typer would read
        parameters = [*_positional(own), *_shared(), *(_parameter(option) for option in options), *_keyword(own)]
        setattr(called, "__signature__", inspect.Signature(parameters))  # noqa: B010 (mypy knows no such attribute)
        return called

    return decorate


def takes_options_of(make: Callable[..., Any], name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of `make` in place of its parameter `name`, and that parameter what `make` returns.

    So options that several commands share are written down once, as the parameters of the function that reads them.
    """
    shared = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in inspect.signature(make).parameters.values()]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def called(**values: Any) -> Any:
            return command(**{name: make(**{each.name: values.pop(each.name) for each in shared})}, **values)

        del called.__wrapped__, called.__annotations__  # which typer would read instead of the signature
        parameters: list[inspect.Parameter] = []
        for each in inspect.signature(command).parameters.values():
            parameters += shared if each.name == name else [each.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        setattr(called, "__signature__", inspect.Signature(parameters))  # noqa: B010 (mypy knows no such attribute)
        return called

    return decorate


def _check_sections(assignments: Iterable[str], read: Iterable[str]) -> None:
    """A file may hold all sections of a run; what is typed for this command alone has to have an effect in it."""
    for text in assignments:
        section = text.partition(".")[0].strip()
        if section in section_types() and section not in read:
            raise InputError(f"-O {text}: this command reads the section {', '.join(read)} and seed, not {section}")


def _can_be_an_option(option: Option) -> bool:
    return get_origin(option.kind) is not dict


def _parameter(option: Option) -> inspect.Parameter:
    default = f" (default: {option.default})" if option.default != "" else ""
    described = typer.Option(
        help=f"{option.description.rstrip('.')}.{default}", show_default=False, rich_help_panel=option.path[0]
    )
    kind: Any = option.kind
    annotation = Annotated[kind | None, described]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _shared() -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter("config", kind, default=None, annotation=ConfigFile),
        inspect.Parameter("assignments", kind, default=None, annotation=Assignments),
        inspect.Parameter(SEED, kind, default=None, annotation=Seed),
    ]


def _positional(own: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Options that have to be given come first in the help."""
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
        if parameter.default is inspect.Parameter.empty
    ]


def _keyword(own: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
        if parameter.default is not inspect.Parameter.empty
    ]
