"""Request ids that the gateway can tell from invented ones, and whose user it can tell, without remembering any.

An id is 16 random bytes, a tag of the user and a signature of both, in hexadecimal. Every gateway of a home signs with
one key, which the first of them makes; who has no such key cannot make an id that is accepted.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from components.foundation.errors import InputError

KEY_FILE = "request_ids.key"  # below RELAND_HOME/serving; nobody else may read it
KEY_BYTES = 32
_RANDOM, _TAG, _SIGNATURE = 32, 8, 16  # hexadecimal digits


class RequestIds:
    """Makes request ids and checks them."""

    def __init__(self, key: bytes):
        self._key = key

    def new(self, user_id: str) -> str:
        """The id of an answer to a request for this user."""
        unsigned = secrets.token_hex(_RANDOM // 2) + self._digest("user", user_id)[:_TAG]
        return unsigned + self._digest("id", unsigned)[:_SIGNATURE]

    def is_own(self, request_id: str, user_id: str | None) -> bool:
        """Whether a gateway with this key gave the id, to a request for `user_id` where that is not None."""
        unsigned, signature = request_id[: _RANDOM + _TAG], request_id[_RANDOM + _TAG :]
        if not hmac.compare_digest(signature.encode(), self._digest("id", unsigned)[:_SIGNATURE].encode()):
            return False
        return user_id is None or hmac.compare_digest(
            unsigned[_RANDOM:].encode(), self._digest("user", user_id)[:_TAG].encode()
        )

    def _digest(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def open_request_ids(folder: Path) -> RequestIds:
    """The ids of the gateways whose key is in a folder; it is made where there is none.

    Raises:
        InputError: the key cannot be made or read, or is none.
    """
    path = folder / KEY_FILE
    temporary = path.with_name(f".{KEY_FILE}.{os.getpid()}")
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            temporary.touch(mode=0o600)
            temporary.write_bytes(secrets.token_bytes(KEY_BYTES))
            try:
                os.link(temporary, path)  # of several that start at once, the first one's stays
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        key = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected the key that request ids are signed with") from error
    if len(key) != KEY_BYTES:
        raise InputError(f"{path}: {len(key)} bytes, expected the {KEY_BYTES} of a key; removed, it is made anew")
    return RequestIds(key)
