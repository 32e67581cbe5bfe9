"""Which shard a user belongs to: the same on every engine, in every language, for as long as the id is the same."""

import hashlib


def user_shard(user_id: str, shards: int) -> int:
    """The first 8 hexadecimal digits of md5(user_id) modulo `shards`."""
    return int(hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()[:8], 16) % shards
