"""Input files as blocks of text rows. A fault of the whole file ends the run; a fault of one row costs that row."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.tables import REJECTED
from components.foundation.errors import ConflictError, InputError

BLOCK_BYTES = 8 * 2**20
LONGEST_ROW = 16 * 2**20  # bytes; a longer row is damaged
LONGEST_RAW = 1_000  # characters of a row that are kept to show it
PEEK_BYTES = 64 * 2**10

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# No text row holds these; tab, line feed and carriage return are text.
CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\r") | {127})


@dataclass(frozen=True)
class SourceRows:
    """Consecutive rows of one file.

    Attributes:
        path: the file.
        encoding: of its text.
        first_line: line of the first row, counted from 1; row i stands on line `first_line` + i.
        lines: large_string[rows], without line ends. Bytes that are not text are escaped.
        damaged: bool[rows], True where a row holds bytes that `encoding` does not know, or control characters.
        too_long: bool[rows], True where a row is longer than `LONGEST_ROW`; only its beginning is in `lines`.
        is_first: whether this is the first block of the file.
    """

    path: Path
    encoding: str
    first_line: int
    lines: pa.LargeStringArray
    damaged: np.ndarray
    too_long: np.ndarray
    is_first: bool

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def raw(self) -> pa.LargeStringArray:
        """`lines`, each cut to `LONGEST_RAW` characters and "…" where it is longer."""
        return cut(self.lines)

    @property
    def beginning(self) -> str:
        """How the first row begins, quoted, for messages."""
        return repr(self.lines[0].as_py()[:60])


class Refusals:
    """Which rows of one block are refused, and for what reason; the first reason found counts."""

    def __init__(self, rows: SourceRows):
        self.rows = rows
        self._reasons = [""]  # of code 0, which stands for "accepted"
        self._codes = np.zeros(len(rows), dtype=np.int32)
        self.refuse(np.flatnonzero(rows.too_long), f"row is longer than {LONGEST_ROW // 2**20} MiB")
        self.refuse(np.flatnonzero(rows.damaged), f"not {rows.encoding} text")

    def refuse(self, indices: np.ndarray | list[int], reason: str) -> None:
        """Refuse the rows at these positions of the block (counted from 0)."""
        rows = np.asarray(indices, dtype=np.int64)
        rows = rows[self._codes[rows] == 0]
        if len(rows) == 0:
            return
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._codes[rows] = self._reasons.index(reason)

    @property
    def accepted(self) -> np.ndarray:
        """int64[accepted], ascending: positions of the rows that are not refused."""
        return np.flatnonzero(self._codes == 0)

    def table(self, file: str) -> pa.Table:
        """The refused rows in their order, as `contracts.tables.REJECTED`; `file` is the name to give them."""
        rows = np.flatnonzero(self._codes)
        return pa.table(
            {
                "file": pa.repeat(pa.scalar(file), len(rows)),
                "source_line": pa.array(rows + self.rows.first_line, pa.int64()),
                "reason": pa.array([self._reasons[code] for code in self._codes[rows]], pa.string()),
                "raw": self.rows.raw.take(pa.array(rows)).cast(pa.string()),
            },
            schema=REJECTED,
        )


def find_file(folder: Path, *names: str) -> Path:
    """The first of `names` that is in `folder`; InputError naming them all where none is."""
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(f"{folder}: not readable as a folder ({error.strerror})") from error
    for name in names:
        if name in present:
            return folder / name
    alternatives = "".join(f" (nor {name})" for name in names[1:])
    raise InputError(f"{folder / names[0]}: no such file{alternatives}")


def files_in(source: Path) -> list[Path]:
    """`source` itself if it is a file, the regular files in it, sorted by name, if it is a folder; never raises."""
    try:
        candidates = sorted(source.iterdir()) if source.is_dir() else [source]
        return [path for path in candidates if path.is_file()]
    except OSError:
        return []


def peek(path: Path, encoding: str = "utf-8", count: int = 20) -> list[str]:
    """At most the first `count` rows, for recognising a format: cheap, gzipped or not, and never raises.

    Empty where the file is missing, unreadable or not text. A row that the peek cuts off is left out, unless it is
    the only one.
    """
    try:
        if not path.is_file():  # reading a pipe would wait for its writer
            return []
        with path.open("rb") as file:
            head = file.read(PEEK_BYTES)
        if head.startswith(GZIP_MAGIC):
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, PEEK_BYTES)
    except (OSError, ValueError, zlib.error):
        return []
    rows = head.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    if len(rows) > 1 and (len(head) >= PEEK_BYTES or not rows[-1]):
        rows.pop()
    texts = []
    for row in rows[:count]:
        try:
            texts.append(row.removesuffix(b"\r").decode(encoding))
        except UnicodeDecodeError:
            texts.append("")  # a damaged row says nothing about the format
    return texts


def most_match(rows: list[str], pattern: str) -> bool:
    """Whether at least half of `rows`, and at least one, match `pattern` as a whole."""
    found = sum(re.fullmatch(pattern, row, re.DOTALL) is not None for row in rows)
    return found > 0 and 2 * found >= len(rows)


def read_blocks(path: Path, encoding: str, header: bool = False) -> Iterator[SourceRows]:
    """Read a text file, gzipped or not, as rows ended by LF or CRLF, in blocks of at most about `BLOCK_BYTES`.

    The line end after the last row makes no row. Of a file with a `header`, line 1 is no row.

    Raises (while it is read):
        InputError: the file is missing, not a regular file, not readable, a damaged gzip, empty or not text.
        ConflictError: it changed while it was read.
    """
    line = 1
    blank = True
    with _opened(path) as file:
        for content in _whole_rows(file):
            is_first = line == 1
            if is_first:
                content = content.removeprefix(BYTE_ORDER_MARK)
            blank = blank and not content.strip()
            if blank and len(content) < BLOCK_BYTES:
                break  # a file of one block, all of it white space
            rows = _decode(path, encoding, content, line, is_first)
            line += len(rows)
            if is_first and rows.damaged.mean() > 0.5:
                raise InputError(f"{path}: looks binary or is in another encoding, expected {encoding} text")
            if is_first and header:
                rows = _without_first(rows)
            if len(rows):
                yield rows
    if blank:
        raise InputError(f"{path}: the file is empty")


def cut(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Each text, cut to `LONGEST_RAW` characters and "…" where it is longer."""
    if len(texts) == 0 or pc.max(pc.binary_length(texts)).as_py() <= LONGEST_RAW:
        return texts
    beginnings = pc.utf8_slice_codeunits(texts, 0, LONGEST_RAW)
    ellipsis = pa.scalar("…", pa.large_string())
    shortened = pc.binary_join_element_wise(beginnings, ellipsis, pa.scalar("", pa.large_string()))
    return pc.if_else(pc.greater(pc.utf8_length(texts), LONGEST_RAW), shortened, texts)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file, unpacked; every fault of reading it is an InputError."""
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if not path.is_file():  # reading a pipe would wait for its writer
            raise InputError(f"{path}: is {'a folder' if path.is_dir() else 'not a regular file'}, expected a file")
        before = _state(path)
        with path.open("rb") as file:
            packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc]
        if _state(path) != before:
            raise ConflictError(f"{path}: the file changed while it was read")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: truncated or damaged gzip file ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _whole_rows(file: IO[bytes]) -> Iterator[bytes]:
    """Blocks that end where a row ends. Of a row longer than `LONGEST_ROW` only that much and one byte is kept."""
    rest = b""
    at_end = False
    while not at_end:
        chunk = file.read(BLOCK_BYTES)
        at_end = len(chunk) < BLOCK_BYTES
        if len(rest) > LONGEST_ROW:
            start = chunk.find(b"\n")
            chunk = chunk[start:] if start >= 0 else b""
        block = rest + chunk
        end = len(block) if at_end else block.rfind(b"\n") + 1
        if end:
            yield block[:end]
        rest = block[end : end + LONGEST_ROW + 1]


def _decode(path: Path, encoding: str, content: bytes, first_line: int, is_first: bool) -> SourceRows:
    """The rows of a block, without a pass over them one by one where none is damaged."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").removesuffix(b"\r")
    content = content.removesuffix(b"\n")
    try:
        text = content if content.isascii() else content.decode(encoding).encode()
        data = text.translate(None, CONTROL_BYTES + b"\n")
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        if len(data) + len(ends) == len(text):  # no control bytes
            offsets = np.concatenate([[0], ends - np.arange(len(ends)), [len(data)]]).astype(np.int64)
            lines = pa.LargeStringArray.from_buffers(len(ends) + 1, pa.py_buffer(offsets), pa.py_buffer(data))
            too_long = np.diff(offsets) > LONGEST_ROW
            return SourceRows(path, encoding, first_line, lines, np.zeros_like(too_long), too_long, is_first)
    except UnicodeDecodeError:
        pass  # find the rows at fault, below
    raw = content.split(b"\n")
    damaged = np.array([_is_damaged(line, encoding) for line in raw])
    too_long = np.array([len(line) > LONGEST_ROW for line in raw])
    lines = pa.array([line.decode(encoding, errors="backslashreplace") for line in raw], pa.large_string())
    return SourceRows(path, encoding, first_line, lines, damaged, too_long, is_first)


def _is_damaged(line: bytes, encoding: str) -> bool:
    if len(line.translate(None, CONTROL_BYTES)) != len(line):
        return True
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return True
    return False


def _without_first(rows: SourceRows) -> SourceRows:
    return SourceRows(
        rows.path,
        rows.encoding,
        rows.first_line + 1,
        rows.lines.slice(1),
        rows.damaged[1:],
        rows.too_long[1:],
        rows.is_first,
    )
