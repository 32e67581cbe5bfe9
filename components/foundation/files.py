"""Writes that are all or nothing: a file or folder appears under its final name only when it is complete."""

import json
import os
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.foundation.errors import InputError

PRIVATE = 0o600  # of a file that names users


def absolute_path(path: str) -> str:
    """A path as it is meant in the working folder of now; an empty one stays empty.

    Raises:
        InputError: it begins with the home of a user who does not exist.
    """
    try:
        return str(Path(path).expanduser().absolute()) if path else ""
    except RuntimeError as error:
        raise InputError(f"{path}: {error}") from error


@contextmanager
def replacing_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` when the block ends well and is removed when not.

    Args:
        mode: permissions of the file, of which the process's umask takes away its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    # The kernel applies the umask; to read it here, it would have to be changed, for all threads.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode))
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def creating_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` when the block ends well, remove it when it does not.

    Raises:
        FileExistsError: `path` is there already and is not an empty folder; before the block, or after it if it came
            meanwhile.
    """
    _check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        _check_new(path)
        if path.exists():
            path.rmdir()
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_new(path: Path) -> None:
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} exists already")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, keys in the order given."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML document.

    Raises:
        InputError: the file is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors write a byte order mark
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not readable as TOML, which is text in UTF-8 ({error.reason})") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no TOML, or a path with a NUL byte
        raise InputError(f"{path}: not readable as TOML ({_said(error)})") from error


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        InputError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no JSON, no UTF-8, or a path with a NUL byte
        raise InputError(f"{path}: not readable as JSON ({_said(error)})") from error


def _said(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
