"""The identity of a data snapshot, which the registry and a run's manifest both name."""

import hashlib
from pathlib import Path

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.foundation.errors import InputError


def data_fingerprint(prepared: Path) -> str:
    """SHA-256 (hexadecimal) over the bytes of the prepared interactions and items, in this order.

    Raises:
        InputError: a table is missing or unreadable.
    """
    digest = hashlib.sha256()
    for name in (INTERACTIONS_FILE, ITEMS_FILE):
        try:
            with (prepared / name).open("rb") as table:
                digest.update(hashlib.file_digest(table, "sha256").digest())
        except OSError as error:
            raise InputError(f"{prepared / name}: {error.strerror}, expected a prepared table") from error
    return digest.hexdigest()
