"""Which shard a user belongs to: a function of the id alone, the same on every engine and in every language."""

import hashlib


def user_shard(user_id: str, shards: int) -> int:
    """The first 8 hexadecimal digits of md5(user_id) modulo `shards`."""
    return int(hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()[:8], 16) % shards
