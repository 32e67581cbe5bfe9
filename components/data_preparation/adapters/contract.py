"""What every adapter returns, whatever the format it reads.

An adapter is a function `read(folder) -> RawData`. It finds its files in `folder`, turns their rows into the platform's
columns and has them checked by `validation`; it knows nothing of filtering and splitting. To add a format: one module
here, one line in `registry`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class RawData:
    """The rows of one data set, before k-core filtering.

    Attributes:
        interactions: accepted interactions, `validation.RAW_INTERACTIONS`, in the order of the input.
        items: accepted item metadata, `contracts.tables.ITEMS`, one row for an `item_id`, in the order of the input.
        rejected: all refused rows, `contracts.tables.REJECTED`; `file` is the name inside the folder.
        rows_read: rows in each file by its name; accepted + rejected = read holds for every one.
        interactions_file: which of the files holds the interactions.
    """

    interactions: pa.Table
    items: pa.Table
    rejected: pa.Table
    rows_read: dict[str, int]
    interactions_file: str


Adapter = Callable[[Path], RawData]
