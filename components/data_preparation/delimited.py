"""Rows of fields between a separator, without quoting; parsed by column, a million rows in about a second."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.errors import InputError
from components.data_preparation.source_files import SourceRows, first_line
from components.data_preparation.validation import Quarantine

INT64_MAX = 2**63 - 1
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def split_rows(rows: SourceRows, separator: str, names: list[str], quarantine: Quarantine) -> pa.Table:
    """Split every row into the fields `names`; rows that are damaged or have fewer or more fields are refused.

    Returns:
        One text column for each of `names`, and `sequence`, the line of the row.

    Raises:
        InputError: no row at all has that many fields.
    """
    quarantine.refuse(np.flatnonzero(rows.damaged) + 1, f"not {rows.encoding} text")
    fields = pc.split_pattern(pa.array(rows.lines, pa.large_string()), separator)
    found = pc.list_value_length(fields).to_numpy()
    quarantine.refuse(np.flatnonzero(found < len(names)) + 1, f"too few fields, expected {len(names)}")
    quarantine.refuse(np.flatnonzero(found > len(names)) + 1, f"too many fields, expected {len(names)}")

    lines = quarantine.accepted_lines
    if len(lines) == 0:
        raise InputError(
            f"{rows.path}: no row has the {len(names)} fields {separator.join(names)}, "
            f"expected the separator {separator!r}; line 1 begins {first_line(rows)}"
        )
    flat = pc.list_flatten(fields.take(pa.array(lines - 1)))
    first = np.arange(len(lines)) * len(names)
    columns = {name: flat.take(pa.array(first + position)).cast(pa.string()) for position, name in enumerate(names)}
    return pa.table({**columns, "sequence": pa.array(lines, pa.int64())})


def integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimal texts as int64; null where a text is no integer, -1 for all that are negative, clipped at the top."""
    plain = pc.and_(pc.ascii_is_decimal(column), pc.less_equal(pc.binary_length(column), 18))
    values = pc.cast(pc.if_else(plain, column, None), pa.int64())
    if not pc.all(plain).as_py():
        values = pc.if_else(pc.match_substring_regex(column, "^-[0-9]+$"), -1, values)
        values = pc.if_else(pc.match_substring_regex(column, "^[0-9]{19,}$"), INT64_MAX, values)
    return values


def numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimal texts as float64; NaN where a text is no number."""
    is_number = pc.match_substring_regex(column, NUMBER)
    return pc.fill_null(pc.cast(pc.if_else(is_number, column, None), pa.float64()), np.nan)
