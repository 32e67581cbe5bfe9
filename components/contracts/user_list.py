"""Sets of users that the gateway keeps in memory: 8 bytes a user whatever the ids are, and no id stands in the file.

A file is a NumPy array, uint64[n] ascending: the first 8 bytes of SHA-256(user_id). With 100 million users
in a list, the probability that another user is taken for one of them is 5e-12.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.foundation.errors import InputError, first_line
from components.foundation.files import PRIVATE, replacing_file


class UserList:
    """A set of users: `user_id in users`."""

    def __init__(self, digests: np.ndarray):
        self._digests = digests

    def __contains__(self, user_id: str) -> bool:
        digest = np.uint64(_digest(user_id))
        position = int(np.searchsorted(self._digests, digest))
        return position < len(self._digests) and bool(self._digests[position] == digest)

    def __len__(self) -> int:
        return len(self._digests)


def _digest(user_id: str) -> int:
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big")


def read_user_ids(path: Path) -> Iterator[str]:
    """The ids of an operator's file: the column `user_id` of a Parquet file, or one id a line.

    Raises:
        InputError: the file is missing or unreadable, or an id is missing.
    """
    try:
        if path.suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            with path.open(encoding="utf-8") as lines:
                yield from (line for line in (line.rstrip("\r\n") for line in lines) if line)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as user ids ({first_line(error)})") from error


def _read_parquet(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        if "user_id" not in file.schema_arrow.names:
            raise InputError(f"{path}: has no column user_id")
        for batch in file.iter_batches(columns=["user_id"]):
            for user_id in batch.column(0).to_pylist():
                if not isinstance(user_id, str):
                    raise InputError(f"{path}: column user_id: expected texts, found {user_id!r}")
                yield user_id


def write_user_list(path: Path, user_ids: Iterable[str]) -> UserList:
    """Write the set of these users, each once, for nobody else to read: who has an id can look for its digest."""
    digests = np.unique(np.fromiter((_digest(user_id) for user_id in user_ids), np.uint64))
    with replacing_file(path, PRIVATE) as temporary, temporary.open("wb") as file:
        np.save(file, digests)
    return UserList(digests)


def read_user_list(path: Path) -> UserList:
    """Read a set of users.

    Raises:
        InputError: the file is missing or no list of users.
    """
    try:
        digests = np.load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no list of users ({first_line(error)})") from error
    if digests.dtype != np.uint64 or digests.ndim != 1 or np.any(digests[1:] <= digests[:-1]):
        raise InputError(f"{path}: no list of users, expected uint64[n] ascending")
    return UserList(digests)
