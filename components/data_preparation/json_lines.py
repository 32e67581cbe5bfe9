"""One object a line, as strict JSON or as the Python literals in which Amazon's 2014 metadata were released."""

import ast
import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.contracts.errors import InputError
from components.data_preparation.source_files import SourceRows, first_line
from components.data_preparation.validation import Quarantine


class RowError(Exception):
    """Why one object is refused."""


def read_objects(rows: SourceRows, quarantine: Quarantine) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of the rows that hold one; the others are refused.

    Raises:
        InputError: no row holds an object.
    """
    quarantine.refuse(np.flatnonzero(rows.damaged) + 1, f"not {rows.encoding} text")
    found = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # unknown escapes in Python literals
        for row in quarantine.accepted_lines.tolist():
            parsed = parse_object(rows.lines[row - 1])
            if parsed is None:
                quarantine.refuse([row], "not a JSON object")
            else:
                found += 1
                yield row, parsed
    if not found:
        raise InputError(f"{rows.path}: no row is a JSON object, expected one a line; line 1 begins {first_line(rows)}")


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


def one_line(value: Any, key: str) -> str:
    """As `text`, with every run of white space made one space."""
    return " ".join(text(value, key).split())


def required(row: dict[str, Any], key: str) -> Any:
    """The value of `key`; RowError where the object has none."""
    if key not in row:
        raise RowError(f"missing key {key}")
    return row[key]


def integer(value: Any) -> int | None:
    """`value` where it is an integer that fits int64 (else the nearest that does), None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return min(max(value, -1), 2**63 - 1)


def number(value: Any) -> float:
    """`value` where it is a number, NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf")
