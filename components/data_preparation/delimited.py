"""Rows of fields between a separator; parsed by column, a million rows in well under a second."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.source_files import LONGEST_ROW, Refusals, SourceRows
from components.data_preparation.timestamps import NUMBER, seconds
from components.foundation.errors import InputError

DECIMAL_COMMA = r"^([+-]?[0-9]+),([0-9]{1,2})$"


def split_rows(
    rows: SourceRows, separator: str, names: list[str], quoted: bool = False
) -> tuple[Refusals, dict[str, pa.Array]]:
    """Split every row into the fields `names`; rows that are damaged or have fewer or more fields are refused.

    Args:
        rows: one block of a file.
        separator: of one character or more; of one where fields may be `quoted`.
        names: of the fields, in their order.
        quoted: whether a field may stand in double quotes (RFC 4180; one row stays on one line).

    Returns:
        Which rows are refused, and one text column for each of `names` with the rows that are not.

    Raises:
        InputError: in the first block of a file no row at all has that many fields.
    """
    refusals = Refusals(rows)
    if quoted and pc.any(pc.match_substring(rows.lines, '"')).as_py():
        fields = _split_quoted(rows, separator, refusals)
    else:
        fields = pc.split_pattern(rows.lines, separator)
    n_fields = pc.list_value_length(fields).to_numpy()
    refusals.refuse(np.flatnonzero(n_fields < len(names)), f"too few fields, expected {len(names)}")
    refusals.refuse(np.flatnonzero(n_fields > len(names)), f"too many fields, expected {len(names)}")

    accepted = refusals.accepted
    if len(accepted) == 0 and rows.is_first:
        raise InputError(
            f"{rows.path}: no row has the {len(names)} fields {separator.join(names)}, "
            f"expected the separator {separator!r}; line {rows.first_line} begins {rows.beginning}"
        )
    if len(accepted) < len(rows):
        fields = fields.take(pa.array(accepted))
    flat = pc.list_flatten(fields)
    positions = np.arange(0, len(flat), len(names))
    return refusals, {name: flat.take(pa.array(positions + position)) for position, name in enumerate(names)}


def rating_columns(
    users: pa.ChunkedArray, items: pa.ChunkedArray, timestamps: pa.ChunkedArray, stars: pa.ChunkedArray
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The platform's columns of rows that are ratings, from their four texts; the stars are the value."""
    return {
        "user_id": users,
        "item_id": items,
        "timestamp": seconds(timestamps),
        "behavior": pa.repeat("rating", len(stars)),
        "value": numbers(stars),
    }


def numbers(column: pa.Array) -> pa.Array:
    """Decimal texts as float64; NaN where a text is no number.

    "3,5" is 3.5, as it is written where fields stand between semicolons. "1,234" is no number: it may be either.
    """
    column = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), DECIMAL_COMMA, r"\1.\2")
    is_number = pc.match_substring_regex(column, NUMBER)
    values = pc.if_else(is_number, column, pa.scalar(None, column.type)).cast(pa.float64())
    return pc.fill_null(values, np.nan)


def _split_quoted(rows: SourceRows, separator: str, refusals: Refusals) -> pa.LargeListArray:
    csv.field_size_limit(LONGEST_ROW)
    split: list[list[str]] = []
    for index, line in enumerate(rows.lines.to_pylist()):
        if '"' not in line:  # so that a row means the same whatever stands beside it in the block
            split.append(line.split(separator))
            continue
        try:
            split.append(next(csv.reader([line], delimiter=separator, strict=True), [""]))
        except csv.Error:
            refusals.refuse([index], "unbalanced quotes")
            split.append([])
    return pa.array(split, pa.large_list(pa.large_string()))
