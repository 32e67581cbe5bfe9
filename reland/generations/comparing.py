"""What differs between two generations: configuration, data and versions, figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.files import read_toml
from reland.generations.finding import Generation

# Parts of a summary in which two runs always differ and which say nothing of what they made.
UNCOMPARED = ("seconds", "generation")


@dataclass(frozen=True)
class Difference:
    """A value that two generations have not in common.

    Attributes:
        part: configuration, manifest or summary.
        name: of the value, with dots.
        first: its value in the first generation; None where it has none.
        second: its value in the second.
    """

    part: str
    name: str
    first: Any
    second: Any


def compare_generations(first: Generation, second: Generation) -> list[Difference]:
    """The differences of two generations: of their configurations first, of their figures last."""
    differences = []
    for part, contents in (
        ("configuration", [_configuration(first), _configuration(second)]),
        ("manifest", [first.manifest, second.manifest]),
        ("summary", [_comparable(first.summary), _comparable(second.summary)]),
    ):
        ours, theirs = (dict(_leaves(content, "")) for content in contents)
        names = [*ours, *(name for name in theirs if name not in ours)]
        differences += [
            Difference(part, name, ours.get(name), theirs.get(name))
            for name in names
            if ours.get(name) != theirs.get(name)
        ]
    return differences


def _configuration(generation: Generation) -> dict[str, Any]:
    return read_toml(generation.configuration) if generation.configuration else {}


def _comparable(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in summary.items() if name not in UNCOMPARED}


def _leaves(content: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(content, Mapping):
        yield prefix, content
        return
    for name, inner in content.items():
        yield from _leaves(inner, f"{prefix}.{name}" if prefix else str(name))
