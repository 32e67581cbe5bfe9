"""Columns of profiles as the pairs of attribute and value that `contract.UNCHECKED_USERS` holds."""

import polars as pl
import pyarrow as pa

from components.data_preparation.adapters.contract import ATTRIBUTES


def attributes(columns: dict[str, pa.Array], length: int) -> pa.Array:
    """The pairs of a wide table, `ATTRIBUTES`, in the order of its columns.

    A value is text without white space around it; where it is empty or null, the user has no such attribute.

    Args:
        columns: texts by the name of the attribute.
        length: of each column, also where there is none.
    """
    if not columns:
        return pa.array([[]] * length, ATTRIBUTES)
    numbered = {str(position): column for position, column in enumerate(columns.values())}  # Polars reads "*" as "all"
    pairs = [_pair(pl.lit(name), pl.col(position)) for position, name in zip(numbered, columns, strict=True)]
    return _pairs(pa.table(numbered), pairs)


def attributes_by_name(names: pa.Array, values: pa.Array) -> pa.Array:
    """The pair of each row of a table that names the attribute on every row; likewise."""
    name = pl.col("name").str.strip_chars()
    return _pairs(pa.table({"name": names, "value": values}), [_pair(name, pl.col("value"))])


def _pair(name: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.struct(name.alias("attribute"), value.str.strip_chars().alias("value"))


def _pairs(columns: pa.Table, pairs: list[pl.Expr]) -> pa.Array:
    has_value = pl.element().struct.field("value").fill_null("") != ""
    lists = pl.DataFrame(columns).select(pl.concat_list(pairs).list.eval(pl.element().filter(has_value)))
    return lists.to_series().to_arrow().cast(ATTRIBUTES)
