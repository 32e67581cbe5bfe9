import pytest

from components.contracts.sharding import user_shard


@pytest.mark.parametrize(
    ("user_id", "first_digits"),
    [("", 0xD41D8CD9), ("a", 0x0CC175B9), ("message digest", 0xF96B697D)],  # RFC 1321, A.5
)
def test_the_first_digits_of_md5(user_id: str, first_digits: int) -> None:
    assert user_shard(user_id, 1 << 32) == first_digits
    assert user_shard(user_id, 64) == first_digits % 64
    assert user_shard(user_id, 1) == 0


def test_shards_are_of_similar_size() -> None:
    counts = [0] * 8
    for number in range(8_000):
        counts[user_shard(f"user{number}", 8)] += 1
    assert min(counts) > 900 and max(counts) < 1_100
