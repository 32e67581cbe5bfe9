"""The validation report: what became of every file that was read, and by which rules; as JSON and as an HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandera.polars as pandera
from ibis import _

from components.contracts.artifacts import VALIDATION_FILE, VALIDATION_PAGE_FILE
from components.data_preparation.report.validation_page import render
from components.data_preparation.staging import FileAccount
from components.data_preparation.validation import (
    INTERACTION_SCHEMA,
    ITEM_SCHEMA,
    REPEATS,
    USER_SCHEMA,
)
from components.foundation.files import replacing_file, write_json

SCHEMAS = {"interactions": INTERACTION_SCHEMA, "items": ITEM_SCHEMA, "users": USER_SCHEMA}
EXAMPLES = 3
# The most frequent ones of each file.
REASONS_LISTED = 20
LONGEST_EXAMPLE = 300
DAY = 86_400
MIDDLE = (0.01, 0.99)  # quantiles between which most interactions lie, whatever a few stray times say


def validation(
    name: str,
    format: str,
    accounts: Mapping[str, FileAccount],
    rejected: ir.Table,
    interactions: ir.Table,
    references: Mapping[str, int],
    max_rejected: float,
) -> dict[str, Any]:
    """Describe how the rows of a data set were judged.

    Args:
        name: of the data set.
        format: name of the adapter that read it.
        accounts: of the files by their name; they say how many rows were rejected for which reason.
        rejected: `contracts.tables.REJECTED` of the same rows.
        interactions: the accepted ones, with `timestamp`.
        references: counts of what one table says of another.
        max_rejected: largest share of rejected rows in any one file, 0 to 1.

    Returns:
        Plain JSON values, equal for equal input. `stopped` is None: whoever stops the run says there why. Times are
        seconds since 1970, days are UTC; no clock but that of the data is looked at.
    """
    listed = _examples(rejected)
    return {
        "name": name,
        "format": format,
        "stopped": None,
        "max_rejected": max_rejected,
        "files": [_file(file, account, listed.get(file, {}), max_rejected) for file, account in accounts.items()],
        "duplicates": {reason: sum(account.rejected[reason] for account in accounts.values()) for reason in REPEATS},
        "references": dict(references),
        "time": _time(interactions),
        "rules": {kind: rules(schema) for kind, schema in SCHEMAS.items()},
    }


def write_validation(content: dict[str, Any], folder: Path) -> None:
    """Write `validation.json` and `validation.html` into `folder`."""
    page = render(content)
    write_json(folder / VALIDATION_FILE, content)
    with replacing_file(folder / VALIDATION_PAGE_FILE) as temporary:
        temporary.write_text(page, encoding="utf-8")


def rules(schema: pandera.DataFrameSchema) -> list[dict[str, Any]]:
    """The declared columns of a schema, each with the reasons for which its checks reject a row, in their order."""
    return [
        {"column": name, "type": str(column.dtype), "rejected_for": [check.error for check in column.checks]}
        for name, column in schema.columns.items()
    ]


def _file(
    file: str, account: FileAccount, examples: dict[str, list[dict[str, Any]]], max_rejected: float
) -> dict[str, Any]:
    rejected = account.rejected.total()
    frequent = sorted(account.rejected.items(), key=lambda entry: (-entry[1], entry[0]))[:REASONS_LISTED]
    return {
        "file": file,
        "kind": account.kind,
        "read": account.read,
        "accepted": account.accepted,
        "rejected": rejected,
        "repeated": account.repeated,
        "too_many": account.has_too_many_faults(max_rejected),
        "reasons_in_all": len(account.rejected),
        "reasons": [
            {"reason": reason, "rows": rows, "examples": examples.get(reason, [])} for reason, rows in frequent
        ],
    }


def _examples(rejected: ir.Table) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By file and reason the first few rows, of the reasons that are listed."""
    counts = rejected.group_by("file", "reason").agg(rows=_.count())
    by_frequency = ibis.window(group_by="file", order_by=[ibis.desc("rows"), "reason"])
    listed = counts.mutate(rank=ibis.row_number().over(by_frequency)).filter(_.rank < REASONS_LISTED)
    by_line = ibis.window(group_by=["file", "reason"], order_by="source_line")
    first = rejected.mutate(place=ibis.row_number().over(by_line)).filter(_.place < EXAMPLES)
    rows = first.semi_join(listed, ["file", "reason"]).order_by(["file", "reason", "source_line"]).to_pyarrow()
    examples: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows.to_pylist():
        raw = row["raw"]
        example = {
            "source_line": row["source_line"],
            "raw": raw if len(raw) <= LONGEST_EXAMPLE else raw[:LONGEST_EXAMPLE] + "…",
        }
        examples.setdefault(row["file"], {}).setdefault(row["reason"], []).append(example)
    return examples


def _time(interactions: ir.Table) -> dict[str, Any] | None:
    """When the interactions were: signs of a wrong unit, of times that are none, and of days that are missing.

    Computed from the counts of each day, so nothing as long as the log leaves the table engine.
    """
    by_day = (
        interactions.group_by(day=(_.timestamp // DAY).cast("int64"))
        .agg(
            rows=_.count(),
            first=_.timestamp.min(),
            last=_.timestamp.max(),
            midnight=(_.timestamp % DAY == 0).sum(),
        )
        .order_by("day")
        .to_pyarrow()
    )
    if len(by_day) == 0:
        return None
    day, rows, midnight = (by_day[name].to_numpy().astype(np.int64) for name in ("day", "rows", "midnight"))
    below = np.cumsum(rows)
    low, high = day[np.searchsorted(below, np.array(MIDDLE) * below[-1])].tolist()
    return {
        "first_timestamp": by_day["first"][0].as_py(),
        "last_timestamp": by_day["last"][-1].as_py(),
        "interactions": int(below[-1]),
        "days": int(day[-1] - day[0]) + 1,
        "days_without_interactions": int(day[-1] - day[0]) + 1 - len(day),
        "longest_gap_days": int(np.diff(day).max(initial=1)) - 1,
        "middle_98_percent": {"first_day": low * DAY, "last_day": high * DAY},
        "on_the_first_day_of_1970": int(rows[day == 0].sum()),
        "at_midnight": int(midnight.sum()),
    }
