import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.user_list import read_user_ids, read_user_list, write_user_list
from components.foundation.errors import InputError


@settings(deadline=None)
@given(st.sets(st.text()), st.sets(st.text()))
def test_a_list_holds_its_users_and_no_others(tmp_path_factory, users, others):
    path = tmp_path_factory.mktemp("users") / "users.npy"
    write_user_list(path, [*users, *users])
    found = read_user_list(path)
    assert len(found) == len(users)
    assert all(user in found for user in users) and not any(other in found for other in others - users)


def test_a_user_is_kept_as_the_first_eight_bytes_of_the_hash_and_no_id_is_in_the_file(tmp_path):
    write_user_list(tmp_path / "users.npy", ["a user"])
    # `printf 'a user' | sha256sum` begins with 38 64 98
    assert hex(int(np.load(tmp_path / "users.npy")[0]))[:8] == "0x386498"
    assert b"a user" not in (tmp_path / "users.npy").read_bytes()
    assert (tmp_path / "users.npy").stat().st_mode & 0o077 == 0


def test_users_come_a_line_each_or_as_a_column(tmp_path):
    (tmp_path / "users.txt").write_bytes("ann\r\n\nbö b\n".encode())
    assert list(read_user_ids(tmp_path / "users.txt")) == ["ann", "bö b"]
    pq.write_table(pa.table({"x": [1, 2], "user_id": ["ann", "bob"]}), tmp_path / "users.parquet")
    assert list(read_user_ids(tmp_path / "users.parquet")) == ["ann", "bob"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.txt", None, r"none\.txt: no such file"),
        ("latin.txt", b"b\xf6b\n", "not readable as user ids"),
        ("text.parquet", b"ann\n", "not readable as user ids"),
        ("other.parquet", pa.table({"user": ["ann"]}), "has no column user_id"),
        ("numbers.parquet", pa.table({"user_id": [1]}), "expected texts, found 1"),
        ("missing.parquet", pa.table({"user_id": ["ann", None]}), "expected texts, found None"),
    ],
)
def test_a_file_without_user_ids_is_named(tmp_path, name, content, told):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(content, path)
    with pytest.raises(InputError, match=told):
        list(read_user_ids(path))


@pytest.mark.parametrize(
    "content", [b"", b"no array", np.array([2, 1], np.uint64), np.array([1.0]), np.zeros((1, 1), np.uint64)]
)
def test_what_is_no_list_is_named(tmp_path, content):
    path = tmp_path / "users.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(InputError, match=r"users\.npy: no list of users"):
        read_user_list(path)
