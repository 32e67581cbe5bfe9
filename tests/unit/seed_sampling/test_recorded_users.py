"""The users in a file of recorded rationales, and the faults of such a file."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts.errors import InputError
from components.seed_sampling.recorded_users import read_recorded_users


def test_users_in_ascending_order(tmp_path):
    path = tmp_path / "recorded.jsonl"
    path.write_text('{"user_id": "9"}\n\n{"user_id": "10"}\n')
    assert read_recorded_users(path) == ["10", "9"]


def test_batch_output_names_no_users(tmp_path):
    path = tmp_path / "recorded.jsonl"
    path.write_text('{"custom_id": "a", "response": null, "error": {}}\n')
    assert read_recorded_users(path) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\xff\xfe\x00", "not a text file"),
        (b'{"user_id": "1"}\n{"user_id"', ":2: not JSON"),
        (b'{"user_id": "1"}\n["2"]\n', ":2: no"),
        (b'{"user_id": 1}\n', ":1: no"),
        (b'{"user_id": "1"}\n\n{"user_id": "1"}\n', ":3: user '1' is there already, in line 1"),
    ],
)
def test_faults_name_the_file_and_the_line(tmp_path, content, expected):
    path = tmp_path / "recorded.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_recorded_users(path)
    assert str(path) in str(error.value) and expected in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_recorded_users(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="not readable"):
        read_recorded_users(tmp_path)


@given(st.lists(st.text(min_size=1).filter(lambda user: user.isprintable()), unique=True, min_size=1))
def test_whatever_json_can_hold_is_read_back(tmp_path_factory, users):
    path = tmp_path_factory.mktemp("recorded") / "recorded.jsonl"
    path.write_text("".join(json.dumps({"user_id": user}) + "\n" for user in users))
    assert read_recorded_users(path) == sorted(users)


@given(st.binary())
def test_no_bytes_raise_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("recorded") / "recorded.jsonl"
    path.write_bytes(content)
    try:
        read_recorded_users(path)
    except InputError as error:
        assert str(path) in str(error)


def test_the_recorded_users_of_movielens():
    folder = Path(os.environ.get("RELAND_DATA_DIR") or Path(__file__).parents[4] / "shared" / "data")
    path = folder / "ml-1m" / "llm_rationales.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}: set RELAND_DATA_DIR to the folder of the real data")
    users = read_recorded_users(path)
    assert users is not None and len(users) == 581
