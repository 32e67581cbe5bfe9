"""Remembers which requests were carried out under an `Idempotency-Key`, so that one sent again changes nothing.

The latest `CAPACITY` keys are remembered, by this process and until it ends: about 4 MB. What is forgotten, or was sent
to another replica, is carried out again.
"""

import hashlib
from collections import OrderedDict

CAPACITY = 16_384
KEY_CHARACTERS = 128


class KeyReusedError(Exception):
    """The key was used for another request."""


class IdempotencyKeys:
    """Keys of requests that were carried out, each with the digest of its body; a key is its principal's own."""

    def __init__(self, capacity: int = CAPACITY):
        self._capacity = capacity
        self._digests: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def is_known(self, principal: str, key: str, body: bytes) -> bool:
        """Whether this request was carried out before.

        Raises:
            KeyReusedError: another request was, under the same key.
        """
        digest = self._digests.get((principal, key))
        if digest is not None and digest != _digest(body):
            raise KeyReusedError
        return digest is not None

    def remember(self, principal: str, key: str, body: bytes) -> None:
        """Note that a request was carried out; the oldest one is forgotten where there are too many."""
        self._digests[principal, key] = _digest(body)
        if len(self._digests) > self._capacity:
            self._digests.popitem(last=False)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
