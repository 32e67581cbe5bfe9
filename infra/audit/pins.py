"""The pinned packages: names and versions in the constraints files."""

from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from components.foundation.errors import InputError


def read_pins(paths: list[Path]) -> set[tuple[str, str]]:
    """(canonical name, version) of every line `name==version`.

    Raises:
        InputError: a file is missing, a line pins no version, or no package is pinned at all.
    """
    pins: set[tuple[str, str]] = set()
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        for number, line in enumerate(lines, start=1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                raise InputError(f"{path}, line {number}: {error}") from None
            specifiers = list(requirement.specifier)
            if [specifier.operator for specifier in specifiers] != ["=="]:
                raise InputError(f"{path}, line {number}: {text!r} pins no version")
            pins.add((canonicalize_name(requirement.name), specifiers[0].version))
    if not pins:
        raise InputError(f"{', '.join(map(str, paths))}: nothing is pinned, so nothing could be audited")
    return pins
