"""Delimited files whose first line names the columns, so that these may stand in any order."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from components.data_preparation.column_mapping import NO_MAPPING
from components.data_preparation.delimited import split_rows
from components.data_preparation.source_files import Refusals, peek, read_blocks
from components.foundation.errors import InputError

SEPARATORS = (",", ";", "\t", "|")

# The names to use, given those in line 1.
Rename = Callable[[list[str]], list[str]]


def header(path: Path, separator: str) -> list[str]:
    """The names in line 1, without quotes and white space around them.

    Empty where the file is missing, unreadable or not text: it never raises.
    """
    rows = peek(path, count=1)
    if not rows or "\0" in rows[0]:  # UTF-16 is UTF-8 with zero bytes between
        return []
    return [name.strip().strip('"').strip() for name in rows[0].split(separator)]


def separator_of(
    path: Path, needed: tuple[str, ...], rename: Rename | None = None, separators: tuple[str, ...] = SEPARATORS
) -> str | None:
    """The separator by which line 1 names all columns `needed`; None where it does so by none of `separators`."""
    rename = rename or _spelled_as(needed)
    return next((separator for separator in separators if set(needed) <= set(rename(header(path, separator)))), None)


def read_headed(
    path: Path, needed: tuple[str, ...], rename: Rename | None = None, separators: tuple[str, ...] = SEPARATORS
) -> Iterator[tuple[Refusals, dict[str, pa.Array]]]:
    """Read a file block by block; see `split_rows` for what is yielded. Columns beyond those `needed` come along.

    A field may stand in double quotes; between tabs only where line 1 does, since titles there hold single ones.

    Args:
        path: the file, UTF-8.
        needed: names that line 1 must hold, after renaming.
        rename: the names to use, given those in line 1; None: a needed name is recognised in any case, with or
            without underscores.
        separators: that may stand between the fields; the first that gives the needed columns is taken.

    Raises:
        InputError: the file is at fault as a whole, or line 1 lacks a needed column or names one twice.
    """
    rename = rename or _spelled_as(needed)
    separator, quoted = separators[0], False
    names: list[str] = []
    for rows in read_blocks(path, header=True):
        if not names:  # not before the first block, which tells a missing or damaged file as such
            separator = separator_of(path, needed, rename, separators) or separators[0]
            quoted = separator != "\t" or peek(path, count=1)[0].lstrip().startswith('"')
            names = rename(header(path, separator))
            _check(path, names, needed)
        yield split_rows(rows, separator, names, quoted)


def _spelled_as(needed: tuple[str, ...]) -> Rename:
    return lambda names: NO_MAPPING.rename(names, needed)


def _check(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        there = repr(", ".join(names)[:200])
        raise InputError(f"{path}: line 1 names no column {' and no column '.join(missing)}; it names {there}")
    for name in needed:
        if names.count(name) > 1:
            raise InputError(f"{path}: line 1 names the column {name} twice")
