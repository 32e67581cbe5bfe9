"""The users that a file of recorded rationales names: they are the seed users where such a file is given."""

import json
from pathlib import Path

from components.contracts.errors import InputError


def read_recorded_users(path: Path) -> list[str] | None:
    """User ids in a file of one JSON object a line, in ascending order.

    Returns:
        None where the file is OpenAI batch output, which names requests and no users.

    Raises:
        InputError: the file is missing, is no text file or is empty; a line is no JSON object, names no user, or names
            one a second time.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file (--rationales)") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file, expected one JSON object a line (--rationales)") from None
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror}) (--rationales)") from error

    line_of_user: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{path}:{number}: not JSON, expected one object a line") from None
        if isinstance(row, dict) and "custom_id" in row and not line_of_user:
            return None
        user = row.get("user_id") if isinstance(row, dict) else None
        if not isinstance(user, str) or not user:
            raise InputError(f'{path}:{number}: no "user_id", expected an object with one as text')
        if user in line_of_user:
            raise InputError(f"{path}:{number}: user {user!r} is there already, in line {line_of_user[user]}")
        line_of_user[user] = number
    if not line_of_user:
        raise InputError(f"{path}: empty, expected one JSON object a line")
    return sorted(line_of_user)
