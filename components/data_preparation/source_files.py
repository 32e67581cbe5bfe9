"""Input files as blocks of text rows. A fault of the whole file ends the run; a fault of one row costs that row.

Where rows end depends on the bytes alone, never on where a block ends: at LF or CRLF. A carriage return elsewhere
belongs to its row, but for one at the very end of the file, which is half of a line end.
"""

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
# UTF-32's little-endian mark begins as UTF-16's does, so it stands first.
ENCODINGS_BY_MARK = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
UTF_8 = "utf-8"
LEGACY_ENCODING = "cp1252"  # Western European; its printable characters include those of ISO-8859-1
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


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is passed over: by the rule of Hadoop, `_SUCCESS`, `._part-0` and `.part-0.crc` are."""
    return path.name.startswith((".", "_"))


def files_in(source: Path) -> list[Path]:
    """`source` itself if it is a file; if it is a folder, its regular files, hidden ones left out, sorted by name.

    Empty where the folder is missing or unreadable: it never raises.
    """
    try:
        candidates = [path for path in sorted(source.iterdir()) if not is_hidden(path)] if source.is_dir() else [source]
        return [path for path in candidates if path.is_file()]
    except OSError:
        return []


def beginning(path: Path) -> bytes:
    """The first `PEEK_BYTES` of a file, unpacked if gzipped; empty where it cannot be read: it never raises."""
    try:
        if not path.is_file():  # reading a pipe would wait for its writer
            return b""
        with path.open("rb") as file:
            head = file.read(PEEK_BYTES)
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, PEEK_BYTES) if is_gzip(head) else head
    except (OSError, ValueError, zlib.error):
        return b""


def is_gzip(head: bytes) -> bool:
    """Whether a file that begins with `head` is gzipped."""
    return head.startswith(GZIP_MAGIC)


def peek(path: Path, encoding: str = UTF_8, count: int = 20) -> list[str]:
    """At most the first `count` rows, for recognising a format: cheap, gzipped or not, and never raises.

    Empty where the file is missing, unreadable or not text. A row that the peek cuts off is left out, unless it is
    the only one.
    """
    head = beginning(path)
    if not head:
        return []
    rows = head.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    if len(rows) > 1 and (len(head) >= PEEK_BYTES or not rows[-1]):
        rows.pop()
    texts = []
    for row in rows[:count]:
        try:
            texts.append(_text(row.removesuffix(b"\r"), encoding))
        except UnicodeDecodeError:
            texts.append("")  # a damaged row says nothing about the format
    return texts


def most_match(rows: list[str], pattern: str) -> bool:
    """Whether at least half of `rows`, and at least one, match `pattern` as a whole."""
    matching = sum(re.fullmatch(pattern, row, re.DOTALL) is not None for row in rows)
    return matching > 0 and 2 * matching >= len(rows)


def read_blocks(path: Path, encoding: str = UTF_8, header: bool = False) -> Iterator[SourceRows]:
    """Read a text file, gzipped or not, as rows ended by LF or CRLF, in blocks of at most about `BLOCK_BYTES`.

    The line end after the last row makes no row. Of a file with a `header`, line 1 is no row. In another encoding than
    UTF-8, a row whose bytes are UTF-8 is read as that: old releases are handed on in both.

    Raises (while it is read):
        InputError: the file is missing, not a regular file, not readable, a damaged gzip, empty or not text.
        ConflictError: it changed while it was read.
    """
    line = 1
    with _opened(path) as file:
        for content in _whole_rows(file):
            is_first = line == 1
            if is_first:
                content = content.removeprefix(BYTE_ORDER_MARK)
                if not content.strip():
                    raise InputError(f"{path}: the file is empty")
            rows = _decode(path, encoding, content, line, is_first)
            line += len(rows)
            if is_first and rows.damaged.mean() > 0.5:
                raise InputError(f"{path}: {_other_text(content)}, expected {encoding} text")
            if is_first and header:
                rows = _without_first(rows)
            if len(rows):
                yield rows
    if line == 1:
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
            packed = is_gzip(file.read(len(GZIP_MAGIC)))
            file.seek(0)
            yield gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[misc]
        if _state(path) != before:
            raise ConflictError(f"{path}: the file changed while it was read")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: truncated or damaged gzip file ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _whole_rows(file: IO[bytes]) -> Iterator[bytes]:
    """Blocks that end where a row ends; the first is not all white space, unless the file begins with much of it.

    Of a row longer than `LONGEST_ROW` only that much and two bytes are kept: one may be half of its line end.
    """
    rest = b""
    at_end = False
    is_first = True
    while not at_end:
        chunk = file.read(BLOCK_BYTES)
        at_end = len(chunk) < BLOCK_BYTES
        if len(rest) > LONGEST_ROW + 1:
            start = chunk.find(b"\n")
            chunk = chunk[start:] if start >= 0 else b""
        block = rest + chunk
        end = len(block) if at_end else block.rfind(b"\n") + 1
        if is_first and not at_end and len(block) <= LONGEST_ROW and not block[:end].strip():
            rest = block
            continue
        if at_end and not is_first and block == b"\r":
            return  # half of a line end, and nothing before it
        if end:
            yield block[:end]
            is_first = False
        rest = block[end : end + LONGEST_ROW + 2]


def _decode(path: Path, encoding: str, content: bytes, first_line: int, is_first: bool) -> SourceRows:
    """The rows of a block, without a pass over them one by one where none is damaged."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").removesuffix(b"\r")
    content = content.removesuffix(b"\n")
    try:
        text = content if content.isascii() else content.decode().encode()
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
    lines = pa.array([_text(line, encoding, errors="backslashreplace") for line in raw], pa.large_string())
    return SourceRows(path, encoding, first_line, lines, damaged, too_long, is_first)


def _is_damaged(line: bytes, encoding: str) -> bool:
    if len(line.translate(None, CONTROL_BYTES)) != len(line):
        return True
    try:
        _text(line, encoding)
    except UnicodeDecodeError:
        return True
    return False


def _text(line: bytes, encoding: str, errors: str = "strict") -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode(encoding, errors=errors)


def _other_text(content: bytes) -> str:
    """What a file seems to be whose rows are not in the encoding expected."""
    encoding = other_encoding(content)
    return "looks binary" if encoding is None else f"looks binary or is {encoding} text"


def other_encoding(head: bytes) -> str | None:
    """The encoding other than UTF-8 that a file seems to be in, by how it begins; None where nothing points to one.

    UTF-16 and UTF-32 are recognised by their byte-order mark or, without one, by zero bytes beside ASCII characters.
    """
    for mark, encoding in ENCODINGS_BY_MARK.items():
        if head.startswith(mark):
            return encoding
    if len(head) >= 4 and head.count(0) >= len(head) / 4 and not head.startswith(b"\0\0\0\0"):
        zeros = [head[position::4].count(0) for position in range(4)]
        if min(sorted(zeros)[1:]) > 0.9 * (len(head) // 4):
            return "utf-32-le" if zeros[0] == min(zeros) else "utf-32-be"
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > 0.4 * len(head) and min(even, odd) < 0.1 * len(head):
            return "utf-16-le" if odd > even else "utf-16-be"
        return None
    if head.translate(None, CONTROL_BYTES) != head:
        return None
    try:
        head[: head.rfind(b"\n") + 1].decode()
        return None
    except UnicodeDecodeError:
        return LEGACY_ENCODING


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
