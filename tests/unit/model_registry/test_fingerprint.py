import hashlib

import pytest

from components.contracts.fingerprint import data_fingerprint
from components.foundation.errors import InputError


def test_the_fingerprint_is_the_hash_of_both_tables_hashes(tmp_path):
    (tmp_path / "interactions.parquet").write_bytes(b"one")
    (tmp_path / "items.parquet").write_bytes(b"two")
    expected = hashlib.sha256(hashlib.sha256(b"one").digest() + hashlib.sha256(b"two").digest()).hexdigest()
    assert data_fingerprint(tmp_path) == expected

    # Bytes that move from one table to the other make another snapshot.
    (tmp_path / "interactions.parquet").write_bytes(b"on")
    (tmp_path / "items.parquet").write_bytes(b"etwo")
    assert data_fingerprint(tmp_path) != expected


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"interactions\.parquet"):
        data_fingerprint(tmp_path)
