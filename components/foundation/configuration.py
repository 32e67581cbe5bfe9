"""Sections of a run's configuration: frozen dataclasses that document, read and check themselves.

A section is the one truth about its parameters. The command line, the TOML file of `reland run --config`, the
structured parameters of the compiled pipelines and the reference in `docs/` are derived from it: names and types from
the fields, explanations from the `Attributes:` of the docstring, limits from
`__post_init__`. What a value needs of this machine is checked by the step's own code, which `pipelines.configuration`
calls before a run: a section imports none of it, so that every step can read it.
"""

import dataclasses
import difflib
import inspect
import math
import re
import typing
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from components.foundation.errors import InputError

# The seed is given once, for the whole run; dataclasses that sections hold have a field for it.
SEED = "seed"
# A structured parameter of Kubeflow Pipelines is a float, which tells whole numbers apart up to here.
LARGEST_NUMBER = 2**53
_ENTRY = re.compile(r"^    (\w+): (.*)$")

Configuration = TypeVar("Configuration")


@dataclass(frozen=True)
class Section:
    """Parameters of one part of a run.

    Subclasses are frozen dataclasses whose fields are text, numbers, yes or no, another frozen dataclass, or a mapping
    of settings whose names depend on what another field selects.

    Attributes:
        title: what the section is called in files and pipelines.
    """

    title: ClassVar[str]

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """The section of such values; what is not named has its default.

        Raises:
            InputError: an unknown name, a value of another type, or one that is not allowed.
        """
        return read_dataclass(cls, values, cls.title)

    def values(self) -> dict[str, Any]:
        """All values, in the form that `read` takes: JSON and TOML have it too."""
        return dataclass_values(self)

    def resolved(self) -> Self:
        """The same with the paths of this machine absolute: steps run in working folders of their own."""
        return self

    def read_paths(self) -> list[Path]:
        """The files and folders of this machine that steps read because of these values."""
        return []


@dataclass(frozen=True)
class Option:
    """One value of a section that can be given by itself.

    Attributes:
        path: names that lead to it, as ("ranking", "training", "epochs").
        kind: its type.
        default: its value where none is given.
        description: what it is, in a sentence or two.
    """

    path: tuple[str, ...]
    kind: Any
    default: Any
    description: str

    @property
    def name(self) -> str:
        """The last name, which is unique among the options of a run."""
        return self.path[-1]


def options_of(section: type[Section]) -> Iterator[Option]:
    """Every value of a section, those of the dataclasses that it holds too, in the order of the fields."""
    yield from _options(section, (section.title,))


def _options(kind: Any, path: tuple[str, ...]) -> Iterator[Option]:
    descriptions = descriptions_of(kind)
    for field, annotation in fields_of(kind).items():
        if dataclasses.is_dataclass(annotation):
            yield from _options(annotation, (*path, field))
        else:
            yield Option((*path, field), annotation, _default(kind, field), descriptions[field])


def fields_of(kind: Any) -> dict[str, Any]:
    """Names and types of the fields that a configuration gives: all but the seed."""
    annotations = typing.get_type_hints(kind)
    return {field.name: annotations[field.name] for field in dataclasses.fields(kind) if field.name != SEED}


def descriptions_of(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass and its bases say of each field under `Attributes:`."""
    descriptions: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        lines = inspect.cleandoc(each.__doc__ or "").splitlines() if "__doc__" in vars(each) else []
        if "Attributes:" not in lines:
            continue
        name = ""
        for line in lines[lines.index("Attributes:") + 1 :]:
            if line and not line.startswith("    "):
                break
            if entry := _ENTRY.match(line):
                name, text = entry.groups()
                descriptions[name] = text
            elif name and line.strip():
                descriptions[name] += " " + line.strip()
    return descriptions


def read_dataclass(kind: type[Configuration], values: Any, place: str) -> Configuration:
    """An instance of a frozen dataclass of configuration, from plain values.

    Args:
        place: where the values stand, for messages: `ranking.training`.

    Raises:
        InputError: as `Section.read` says.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{place}: expected names and values, found {values!r}")
    fields = fields_of(kind)
    for name in values:
        if name not in fields:
            raise InputError(f"{place}.{name}: {_unknown(str(name), kind, place)}")
    read = {
        name: read_dataclass(fields[name], value, f"{place}.{name}")
        if dataclasses.is_dataclass(fields[name]) and not isinstance(value, fields[name])
        else read_value(fields[name], value, f"{place}.{name}")
        for name, value in values.items()
    }
    try:
        return kind(**read)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def dataclass_values(configuration: Any) -> dict[str, Any]:
    """The fields as plain values, nested as they are, without the seed."""
    values = {name: getattr(configuration, name) for name in fields_of(type(configuration))}
    return {
        name: dataclass_values(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()
    }


def read_value(kind: Any, value: Any, place: str) -> Any:
    """A plain value in the type of its field.

    Texts are read as a command line writes them. A whole number may come as 12.0: Kubeflow Pipelines turns every number
    of a structured parameter into a float.

    Raises:
        InputError: it is of another type, a number that a pipeline cannot hand on as it is (not finite, a whole one
            beyond 2^53), or a text with a character that names and paths do not have (a line break, a NUL byte).
    """
    if dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict or kind is dict:
        if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
            if not isinstance(value, Mapping):
                return value
            return {name: _transferable(_literal(each), f"{place}.{name}") for name, each in value.items()}
        raise InputError(f"{place}: expected names and values, found {value!r}")
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind in (int, float) and isinstance(value, str):
        value = _number(value, place)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    _transferable(value, place)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise InputError(f"{place}: expected {names[kind]}, found {value!r}")
    return value


def changed(values: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Nested values with one of them replaced."""
    first, *rest = path
    inner = values.get(first, {})
    if rest and not isinstance(inner, Mapping):
        raise InputError(f"{first}: holds no further names, found {inner!r}")
    return {**values, first: changed(inner, tuple(rest), value) if rest else value}


def parse_assignment(text: str) -> tuple[tuple[str, ...], Any]:
    """`section.field=value`, as in `ranking.training.learning_rate=0.001`; the value stays a text.

    Raises:
        InputError: it is of another form.
    """
    path, separator, value = text.partition("=")
    names = tuple(path.strip().split("."))
    if not separator or len(names) < 2 or not all(names):
        raise InputError(f"{text}: expected section.field=value, as in ranking.training.learning_rate=0.001")
    return names, value


def _literal(value: Any) -> Any:
    """A value whose type only what it selects knows: a text that reads as a number, true or false is one."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    try:
        return _number(value, "")
    except InputError:
        return value


def _transferable(value: Any, place: str) -> Any:
    """The value itself, where a configuration file and a pipeline can hand it on."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: expected a finite number, found {value}")
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise InputError(f"{place}: expected a number from -2^53 to 2^53, found a larger one")
    if isinstance(value, str) and not all(map(_is_text, value)):
        raise InputError(f"{place}: {value!r} holds a line break or another character that is no text")
    return value


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs")


def _number(text: str, place: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"{place}: expected a number, found {text!r}")


def _default(kind: Any, name: str) -> Any:
    (field,) = (field for field in dataclasses.fields(kind) if field.name == name)
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise TypeError(f"{kind.__name__}.{name} has no default")


def paths_of(kind: Any, place: str) -> list[str]:
    """Every value that a configuration gives, those of the dataclasses that it holds too, as `ranking.training.epochs`.

    Args:
        place: where the configuration stands: `ranking`.
    """
    paths = []
    for name, annotation in fields_of(kind).items():
        path = f"{place}.{name}"
        paths += paths_of(annotation, path) if dataclasses.is_dataclass(annotation) else [path]
    return paths


def nearest_path(name: str, paths: Iterable[str]) -> str | None:
    """The path whose last name is most like `name`; None where none is like it."""
    by_name = {path.rpartition(".")[2]: path for path in paths}
    nearest = difflib.get_close_matches(name, by_name, n=1)
    return by_name[nearest[0]] if nearest else None


def _unknown(name: str, kind: Any, place: str) -> str:
    if name == SEED:
        return "the seed is given once, for the whole run"
    fields = list(fields_of(kind))
    nearest = nearest_path(name, [f"{place}.{field}" for field in fields]) or nearest_path(name, paths_of(kind, place))
    meant = f"did you mean {nearest}?" if nearest else f"expected one of {', '.join(fields)}"
    return f"there is no such parameter, {meant}"
