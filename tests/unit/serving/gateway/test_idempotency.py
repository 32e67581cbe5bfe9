import pytest

from serving.gateway.idempotency import IdempotencyKeys, KeyReusedError


def test_a_request_is_known_by_its_key_principal_and_body():
    keys = IdempotencyKeys()
    assert not keys.is_known("shop", "k", b"one")
    assert not keys.is_known("shop", "k", b"two"), "to look is not to remember"
    keys.remember("shop", "k", b"one")
    assert keys.is_known("shop", "k", b"one")
    assert not keys.is_known("other", "k", b"two")
    with pytest.raises(KeyReusedError):
        keys.is_known("shop", "k", b"two")


def test_the_oldest_keys_are_forgotten():
    keys = IdempotencyKeys(capacity=2)
    for key in "abc":
        keys.remember("shop", key, b"")
    assert [keys.is_known("shop", key, b"") for key in "abc"] == [False, True, True]
