"""Sorted ids of users or items: which row of a matrix belongs to whom."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.foundation.errors import InputError
from components.foundation.files import replacing_file

_DIGEST_BATCH = 1 << 16


class Identifiers:
    """Distinct ids in ascending order; the position of an id is its row.

    Read from a file they stay there (Arrow's own layout, memory-mapped): looking up the users of a shard touches only
    the part of the file that they lie in.
    """

    def __init__(self, ids: Sequence[str] | pa.Array):
        self._ids = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.large_string())

    def __len__(self) -> int:
        return len(self._ids)

    def equals(self, ids: list[str]) -> bool:
        """Whether these are the same ids in the same order."""
        return len(ids) == len(self) and self._ids.equals(pa.array(ids, pa.large_string()))

    def positions(self, ids: Sequence[str]) -> np.ndarray:
        """Row of each id, int64[n]; -1 where it is not there.

        Only the range between the first and the last of `ids` is searched, so a contiguous shard of sorted ids costs
        what it holds itself.
        """
        if not len(ids):
            return np.empty(0, np.int64)
        begin, end = (bisect_left(self._ids, bound, key=lambda value: value.as_py()) for bound in (min(ids), max(ids)))
        span = self._ids.slice(begin, end + 1 - begin)
        offsets = pc.index_in(pa.array(ids, pa.large_string()), value_set=span).cast(pa.int64())
        return pc.fill_null(pc.add(offsets, begin), -1).to_numpy()

    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the ids in order, one a line."""
        digest = hashlib.sha256()
        for start in range(0, len(self._ids), _DIGEST_BATCH):
            ids = self._ids.slice(start, _DIGEST_BATCH).to_pylist()
            digest.update("".join(f"{value}\n" for value in ids).encode())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write the ids as an Arrow file with one column, `id`; no half-written file is left."""
        table = pa.table({"id": self._ids})
        with replacing_file(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, path: Path) -> "Identifiers":
        """Open a file that `write` has made.

        Raises:
            InputError: it is missing or no such file.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            column = table.column("id")
            if not pa.types.is_large_string(column.type):
                raise InputError(f"{path}: ids are {column.type}, expected large_string")
            return cls(column.chunk(0) if column.num_chunks else [])
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (OSError, pa.ArrowException, KeyError) as error:
            raise InputError(f"{path}: not a file of ids, or cut short ({error})") from error
