"""One object a line, as strict JSON or as the Python literals in which Amazon's 2014 metadata were released."""

import ast
import json
import warnings
from collections.abc import Iterator
from typing import Any

from components.data_preparation.source_files import Refusals
from components.foundation.errors import InputError


class RowError(Exception):
    """Why one object is refused."""


def read_objects(refusals: Refusals) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (index in the block, object) of the rows that hold one; the others are refused.

    Raises:
        InputError: in the first block of a file no row holds an object.
    """
    rows = refusals.rows
    objects = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # unknown escapes in Python literals
        lines = rows.lines.to_pylist()
        for index in refusals.accepted.tolist():
            parsed = parse_object(lines[index])
            if parsed is None:
                refusals.refuse([index], "not a JSON object")
            else:
                objects += 1
                yield index, parsed
    if not objects and rows.is_first:
        raise InputError(f"{rows.path}: no row is a JSON object, expected one a line; line 1 begins {rows.beginning}")


def parse_object(line: str) -> dict[str, Any] | None:
    """The object written on `line`, None where there is none."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        if not line.startswith("{"):
            return None
        try:
            parsed = ast.literal_eval(line)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return parsed if isinstance(parsed, dict) else None


def text(value: Any, key: str) -> str:
    """`value` as text, "" where it is None; RowError where it is no text or no valid Unicode."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"{key} is not text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        raise RowError(f"{key} is not valid Unicode") from None
    return value


def required(row: dict[str, Any], key: str) -> Any:
    """The value of `key`; RowError where the object has none."""
    if key not in row:
        raise RowError(f"missing key {key}")
    return row[key]


def moment(value: Any) -> str | None:
    """A time as the text that `timestamps.seconds` reads, None where it is neither a number nor text."""
    if isinstance(value, str) and value.isascii():
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value)


def number(value: Any) -> float:
    """`value` where it is a number, NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf")
