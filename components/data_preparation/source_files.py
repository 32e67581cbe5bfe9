"""Input files as text rows. A fault of the whole file ends the run; a fault of one row is for the quarantine."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.contracts.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# No text row holds these; tab, line feed and carriage return are text.
CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\r") | {127})


@dataclass(frozen=True)
class SourceRows:
    """The rows of one file.

    Attributes:
        path: the file.
        encoding: of its text.
        lines: one text for each row, without line end; row i stands on line i + 1. Bytes that are not text are escaped.
        damaged: bool[rows], True where a row holds bytes that `encoding` does not know, or control characters.
    """

    path: Path
    encoding: str
    lines: list[str]
    damaged: np.ndarray


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


def read_rows(path: Path, encoding: str) -> SourceRows:
    """Read a text file, gzipped or not, as rows ended by LF or CRLF. The line end after the last row makes no row.

    Raises:
        InputError: the file is missing, not a regular file, not readable, a damaged gzip, empty, or not text.
    """
    content = _read_bytes(path).removeprefix(BYTE_ORDER_MARK)
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").removesuffix(b"\r")
    content = content.removesuffix(b"\n")

    if not _holds_control_bytes(content):
        try:
            lines = content.decode(encoding).split("\n")
            return SourceRows(path, encoding, lines, np.zeros(len(lines), dtype=bool))
        except UnicodeDecodeError:
            pass  # find the rows at fault, below

    raw = content.split(b"\n")
    damaged = np.array([_is_damaged(line, encoding) for line in raw])
    if damaged.mean() > 0.5:
        raise InputError(f"{path}: looks binary or is in another encoding, expected {encoding} text")
    return SourceRows(path, encoding, [line.decode(encoding, errors="backslashreplace") for line in raw], damaged)


def first_line(rows: SourceRows) -> str:
    """How line 1 begins, quoted, for messages."""
    return repr(rows.lines[0][:60])


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if not path.is_file():  # reading a pipe would wait for its writer
            raise InputError(f"{path}: is {'a folder' if path.is_dir() else 'not a regular file'}, expected a file")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: truncated or damaged gzip file ({error})") from error


def _holds_control_bytes(content: bytes) -> bool:
    return len(content.translate(None, CONTROL_BYTES)) != len(content)


def _is_damaged(line: bytes, encoding: str) -> bool:
    if _holds_control_bytes(line):
        return True
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return True
    return False
