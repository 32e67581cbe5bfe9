"""Delimited files whose first line names the columns, so that these may stand in any order."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from components.data_preparation.delimited import split_rows
from components.data_preparation.source_files import Refusals, peek, read_blocks
from components.foundation.errors import InputError


def header(path: Path, separator: str) -> list[str]:
    """The names in line 1, without quotes and white space around them.

    Empty where the file is missing, unreadable or not text: it never raises.
    """
    rows = peek(path, count=1)
    return [name.strip().strip('"') for name in rows[0].split(separator)] if rows else []


def read_headed(
    path: Path,
    separator: str,
    needed: tuple[str, ...],
    quoted: bool = False,
    rename: Callable[[list[str]], list[str]] = list,
) -> Iterator[tuple[Refusals, dict[str, pa.Array]]]:
    """Read a file block by block; see `split_rows` for what is yielded. Columns beyond those `needed` come along.

    Args:
        path: the file, UTF-8.
        separator: between the fields.
        needed: names that line 1 must hold, after renaming.
        quoted: whether a field may stand in double quotes.
        rename: the names to use, given those in line 1.

    Raises:
        InputError: the file is at fault as a whole, or line 1 lacks a needed column or names one twice.
    """
    names: list[str] = []
    for rows in read_blocks(path, "utf-8", header=True):
        if not names:  # not before the first block, which tells a missing or damaged file as such
            names = rename(header(path, separator))
            _check(path, names, needed)
        yield split_rows(rows, separator, names, quoted)


def _check(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        found = repr(", ".join(names)[:200])
        raise InputError(f"{path}: line 1 names no column {' and no column '.join(missing)}; it names {found}")
    for name in needed:
        if names.count(name) > 1:
            raise InputError(f"{path}: line 1 names the column {name} twice")
