"""What a row must hold to be accepted, whatever file it came from: declared Pandera schemas.

The checks of a schema are its columns' in their order; the `error` of the first check that a row fails is the reason it
is rejected for. Formats hand over what they cannot read as null (`timestamp`) or NaN (`value`).
"""

import numpy as np
import pandera.polars as pandera
import polars as pl
import pyarrow as pa
from pandera.config import ValidationDepth, config_context
from pandera.constants import CHECK_OUTPUT_KEY
from pandera.errors import SchemaErrors

from components.contracts.tables import BEHAVIORS, IDENTIFIER_BYTES, REJECTED, interactions_schema
from components.data_preparation.adapters.contract import RowBatch

RAW_INTERACTIONS = interactions_schema([])  # before they are split

# Reasons that no single row shows: `preparation` finds them when all rows are read.
DUPLICATE, DUPLICATE_ITEM, DUPLICATE_USER_ATTRIBUTE = "duplicate", "duplicate item", "duplicate user attribute"
# They are dropped and counted, but no faults: trackers that retry deliver an event at least once, so often more.
REPEATS = (DUPLICATE, DUPLICATE_ITEM, DUPLICATE_USER_ATTRIBUTE)

# What databases and pandas write into a text where there is no value: taken as an id, it would be one user with the
# events of everybody who is not logged in.
MISSING_VALUE = r"(?i)^\s*(null|none|nan|nat|<na>|n/a|\\N)\s*$"
LATEST_TIMESTAMP = 4_133_980_799  # the last second of the year 2100


def _check(condition: pl.Expr, error: str) -> pandera.Check:
    """A check of one row; a condition that is null fails."""
    return pandera.Check(lambda data: data.lazyframe.select(condition), error=error, ignore_na=False)


def _identifier(name: str) -> pandera.Column:
    column = pl.col(name)
    checks = [
        _check(column.str.contains(r"\S"), f"empty {name}"),
        _check(column.is_null() | ~column.str.contains(MISSING_VALUE), f"{name} stands for a missing value"),
        _check(
            column.is_null() | (column.str.len_bytes() <= IDENTIFIER_BYTES),
            f"{name} is longer than {IDENTIFIER_BYTES} bytes",
        ),
    ]
    return pandera.Column(pl.String, checks, nullable=True)


_timestamp, _value = pl.col("timestamp"), pl.col("value")

INTERACTION_SCHEMA = pandera.DataFrameSchema(
    {
        "user_id": _identifier("user_id"),
        "item_id": _identifier("item_id"),
        "timestamp": pandera.Column(
            pl.Int64,
            [
                _check(_timestamp.is_not_null(), "timestamp is not a time"),
                _check(_timestamp.is_null() | (_timestamp >= 0), "negative timestamp"),
                _check(_timestamp.is_null() | (_timestamp <= LATEST_TIMESTAMP), "timestamp beyond the year 2100"),
            ],
            nullable=True,
        ),
        "behavior": pandera.Column(
            pl.String, _check(pl.col("behavior").is_in(BEHAVIORS), "unknown behavior"), nullable=True
        ),
        "value": pandera.Column(
            pl.Float64, _check(_value.is_null() | _value.is_finite(), "value is not a finite number"), nullable=True
        ),
    }
)
ITEM_SCHEMA = pandera.DataFrameSchema({"item_id": _identifier("item_id")})

_named = pl.element().struct.field("attribute").str.contains(r"\S").fill_null(False)
USER_SCHEMA = pandera.DataFrameSchema(
    {
        "user_id": _identifier("user_id"),
        "attributes": pandera.Column(
            pl.List(pl.Struct({"attribute": pl.String, "value": pl.String})),
            _check(pl.col("attributes").list.eval(_named).list.all(), "empty attribute"),
        ),
    }
)


def validate(batch: RowBatch, schema: pandera.DataFrameSchema) -> tuple[pa.Table, pa.Table]:
    """Tell the rows of a batch that fulfil `schema` from those that do not.

    Returns:
        The accepted rows, in the columns of `batch.table`; the others, as `contracts.tables.REJECTED`.
    """
    frame = pl.DataFrame(batch.table.select(list(schema.columns)))
    try:
        # Whatever Pandera's own environment variables say: no row goes on unchecked.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(frame, lazy=True)
    except SchemaErrors as failures:
        reasons: list[str] = []
        failed = np.zeros(len(batch.table), dtype=np.int32)  # 1 + position in `reasons`, 0 where a row is accepted
        for failure in failures.schema_errors:
            reasons.append(failure.check.error)
            passed = failure.check_output[CHECK_OUTPUT_KEY].to_numpy()
            failed[~passed & (failed == 0)] = len(reasons)
        return batch.table.filter(failed == 0), _rejected(batch, failed, reasons)
    return batch.table, REJECTED.empty_table()


def _rejected(batch: RowBatch, failed: np.ndarray, reasons: list[str]) -> pa.Table:
    rows = np.flatnonzero(failed)
    table = batch.table.select(["source_line", "raw"]).take(pa.array(rows))
    return pa.table(
        {
            "file": pa.repeat(pa.scalar(batch.file), len(rows)),
            "source_line": table["source_line"],
            "reason": pa.array([reasons[code - 1] for code in failed[rows]], pa.string()),
            "raw": table["raw"].cast(pa.string()),
        },
        schema=REJECTED,
    )
