"""The ledger: every answer that was paid for, kept so that none is paid for twice.

A line holds one answer: the `custom_id` of its request, a checksum and the response, separated by tabs. The
`custom_id` is a hash of the content (prompt with the template's text, model, sampling), so an answer holds for as long
as these stay the same, in this run and in those of later weeks; neither time nor order matters. Invalid answers and
those without a text (refusals, answers cut off before their text) are kept too: they were paid for, and the same
request would be answered so again. Errors are not kept: they are no answers. After a change of the endpoint that would
make it answer otherwise, name another ledger by `RELAND_LEDGER`.

The ledger is split into `PARTITIONS` files by request. A shard of a job owns some of them, whichever number of shards
there are, and locks them while it works, so that an answer has one place and a file has one writer.

- A killed process loses nothing: an answer is handed to the operating system before the next one is waited for.
- A machine that loses its power loses at most the answers of the last `SYNC_SECONDS`, which are requested again.
- A line that was cut off is at the end of its file and has no end of line: it is removed before anything is added. A
  line whose checksum does not hold is passed over, so that its request is sent again.
"""

import fcntl
import json
import os
import time
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Self

from components.contracts.batch_format import Response
from components.foundation.errors import ConflictError, RelandError, write_failure
from components.foundation.progress import say

PARTITIONS = 64
SYNC_SECONDS = 1.0


def partition_of(custom_id: str) -> int:
    """The first 8 hexadecimal digits of the hash modulo `PARTITIONS`."""
    return int(custom_id[:8], 16) % PARTITIONS


def shard_of(custom_id: str, shards: int) -> int:
    """Which of at most `PARTITIONS` shards answers a request: that which owns its partition."""
    return partition_of(custom_id) % shards


class Ledger:
    """The partitions of one shard, locked until `close`.

    Args:
        folder: the ledger, which all shards share; made where it is missing.

    Raises:
        InputError: the folder cannot be used.
        ConflictError: another process works on one of the partitions.
    """

    def __init__(self, folder: Path, shard: int = 0, shards: int = 1):
        self._paths = {number: folder / f"part-{number:02d}.tsv" for number in range(shard, PARTITIONS, shards)}
        self._files: dict[int, int] = {}
        self._unsynced: set[int] = set()
        self._synced = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, path in self._paths.items():
                self._files[number] = _open_locked(path)
        except OSError as error:
            self.close()
            raise write_failure(
                f"{folder}: not usable as a ledger ({error.strerror}), see RELAND_LEDGER", error
            ) from error
        except RelandError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, custom_ids: Collection[str]) -> dict[str, Response]:
        """Those of the wanted answers that are in this shard's partitions."""
        wanted = {custom_id.encode() for custom_id in custom_ids}
        responses: dict[str, Response] = {}
        damaged = 0
        for path in self._paths.values():
            with path.open("rb") as lines:
                for line in lines:
                    key, _, rest = line.partition(b"\t")
                    if key not in wanted:
                        continue
                    checksum, _, content = rest.removesuffix(b"\n").partition(b"\t")
                    if checksum == _checksum(key, content):
                        responses[key.decode()] = json.loads(content)
                    else:
                        damaged += 1
        if damaged:
            say(f"ledger: {damaged} damaged lines passed over")
        return responses

    def append(self, response: Response, *, request_id: str = "") -> None:
        """Keep an answer.

        Args:
            request_id: `custom_id` of the request whose shard this is, where the answer is to another attempt at it.

        Raises:
            RelandError: it cannot be written (`write_failure`); the ledger is as it was before.
        """
        custom_id = response["custom_id"]
        number = partition_of(request_id or custom_id)
        key, content = custom_id.encode(), json.dumps(response, separators=(",", ":")).encode("ascii")
        line = memoryview(b"\t".join((key, _checksum(key, content), content)) + b"\n")
        file = self._files[number]
        before = os.fstat(file).st_size
        try:
            while line:
                line = line[os.write(file, line) :]
            self._unsynced.add(file)
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self._sync()
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(file, before)
            raise write_failure(
                f"{self._paths[number]}: not writable ({error.strerror}); the answers until here are kept, "
                "run it again to go on",
                error,
            ) from error

    def close(self) -> None:
        """Sync and unlock the partitions."""
        try:
            with suppress(OSError):  # what is written is written; a disk that fails now fails the next append too
                self._sync()
        finally:
            while self._files:
                os.close(self._files.popitem()[1])

    def _sync(self) -> None:
        while self._unsynced:
            os.fsync(next(iter(self._unsynced)))
            self._unsynced.pop()
        self._synced = time.monotonic()


def _open_locked(path: Path) -> int:
    # Not inheritable, so that no process that outlives this one holds the lock.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_cut_line(file)
    except BlockingIOError:
        os.close(file)
        raise ConflictError(
            f"{path}: another run works on this part of the ledger; wait until it ends, or name another ledger "
            "by RELAND_LEDGER"
        ) from None
    except OSError:
        os.close(file)
        raise
    return file


def _remove_cut_line(file: int) -> None:
    """Cut the file after its last end of line."""
    size = end = os.fstat(file).st_size
    while end:
        begin = max(0, end - 65_536)
        if (position := os.pread(file, end - begin, begin).rfind(b"\n")) >= 0:
            end = begin + position + 1
            break
        end = begin
    if end < size:
        os.ftruncate(file, end)


def _checksum(key: bytes, content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(key + b"\t" + content)
