"""Row checks that hold for every format, and the quarantine of the rows that fail them.

Formats turn text into columns; what they cannot read they hand over as null (`timestamp`) or NaN (`value`), or refuse
themselves where only they can say why (a missing field). Everything else is decided here, so that a row means the same
whatever file it came from.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.tables import IDENTIFIER_BYTES, INTERACTIONS, ITEMS, REJECTED

RAW_INTERACTIONS = pa.schema([field for field in INTERACTIONS if not field.name.startswith("split_")])

LATEST_TIMESTAMP = 4_133_980_799  # the last second of the year 2100; milliseconds taken for seconds are beyond it


class Quarantine:
    """Which rows of one file are refused, and for what reason; the first reason found counts."""

    def __init__(self, file: str, lines: list[str]):
        self.file = file
        self._lines = lines
        self._reasons = [""]  # of code 0, which stands for "accepted"
        self._codes = np.zeros(len(lines), dtype=np.int32)

    def refuse(self, line_numbers: np.ndarray | list[int], reason: str) -> None:
        """Refuse the rows on these lines (counted from 1)."""
        rows = np.asarray(line_numbers, dtype=np.int64) - 1
        rows = rows[self._codes[rows] == 0]
        if len(rows) == 0:
            return
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._codes[rows] = self._reasons.index(reason)

    @property
    def accepted_lines(self) -> np.ndarray:
        """int64[accepted], ascending, counted from 1."""
        return np.flatnonzero(self._codes == 0) + 1

    def accepts(self, line_numbers: np.ndarray) -> np.ndarray:
        """bool, of the shape of `line_numbers`: True where the row on that line is not refused."""
        return self._codes[line_numbers - 1] == 0

    def rejected(self) -> pa.Table:
        """The refused rows in their order, as `contracts.tables.REJECTED`."""
        rows = np.flatnonzero(self._codes)
        return pa.table(
            {
                "file": pa.repeat(pa.scalar(self.file), len(rows)),
                "source_line": pa.array(rows + 1, pa.int64()),
                "reason": pa.array([self._reasons[code] for code in self._codes[rows]], pa.string()),
                "raw": pa.array([self._lines[row] for row in rows], pa.string()),
            },
            schema=REJECTED,
        )


def check_interactions(table: pa.Table, quarantine: Quarantine) -> pa.Table:
    """Refuse faulty and repeated interactions.

    Args:
        table: `RAW_INTERACTIONS`, but `timestamp` null where it is no integer and `value` NaN where it is no number.
            `sequence` is the line of the row.
        quarantine: of the file the rows are from; takes those refused.

    Returns:
        The accepted rows, as `RAW_INTERACTIONS`.
    """
    line = table["sequence"].to_numpy()
    timestamp = table["timestamp"]
    value = table["value"]
    for key in ("user_id", "item_id"):
        quarantine.refuse(line[_blank(table[key])], f"empty {key}")
        too_long = pc.greater(pc.binary_length(table[key]), IDENTIFIER_BYTES)
        quarantine.refuse(line[_mask(too_long)], f"{key} is longer than {IDENTIFIER_BYTES} bytes")
    quarantine.refuse(line[_mask(pc.is_null(timestamp))], "timestamp is not an integer")
    quarantine.refuse(line[_mask(pc.less(timestamp, 0))], "negative timestamp")
    quarantine.refuse(line[_mask(pc.greater(timestamp, LATEST_TIMESTAMP))], "timestamp beyond the year 2100")
    quarantine.refuse(line[_mask(pc.invert(pc.is_finite(value)))], "value is not a finite number")

    table = _only_accepted(table, quarantine)
    quarantine.refuse(_repeated(table, by=[name for name in table.column_names if name != "sequence"]), "duplicate")
    return _only_accepted(table, quarantine).select(RAW_INTERACTIONS.names).cast(RAW_INTERACTIONS)


def check_items(table: pa.Table, quarantine: Quarantine) -> pa.Table:
    """Refuse items without an id and items described before; `table` is `ITEMS` and `sequence`, returns `ITEMS`."""
    quarantine.refuse(table["sequence"].to_numpy()[_blank(table["item_id"])], "empty item_id")
    table = _only_accepted(table, quarantine)
    quarantine.refuse(_repeated(table, by=["item_id"]), "duplicate item")
    return _only_accepted(table, quarantine).select(ITEMS.names).cast(ITEMS)


def _only_accepted(table: pa.Table, quarantine: Quarantine) -> pa.Table:
    return table.filter(quarantine.accepts(table["sequence"].to_numpy()))


def _repeated(table: pa.Table, by: list[str]) -> np.ndarray:
    """Lines of the rows that equal an earlier row in the columns `by`."""
    first = table.group_by(by).aggregate([("sequence", "min")])["sequence_min"].to_numpy()
    return np.setdiff1d(table["sequence"].to_numpy(), first, assume_unique=True)


def _blank(column: pa.ChunkedArray) -> np.ndarray:
    return _mask(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(column)), 0))


def _mask(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, False).to_numpy()
