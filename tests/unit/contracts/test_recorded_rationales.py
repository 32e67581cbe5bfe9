"""Both forms of recorded files, their faults, and any bytes at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.batch_format import make_failure, make_response, read_answer, write_lines
from components.contracts.recorded_rationales import read_recorded_file
from components.foundation.errors import InputError

TEXT_ROW = {"user_id": "8", "model": "gpt", "preference_summary": "Likes films.", "recommendation": "Drama.", "more": 1}


def write(tmp_path, *lines):
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def test_free_text_by_user(tmp_path):
    recorded = read_recorded_file(write(tmp_path, TEXT_ROW, "", {**TEXT_ROW, "user_id": "9"}))
    assert recorded.by_user and recorded.models == ["gpt"] and list(recorded.answers) == ["8", "9"]
    assert json.loads(recorded.answers["8"].content) == {
        "preference_summary": "Likes films.",
        "recommendation": "Drama.",
    }


def test_a_byte_order_mark_does_not_matter(tmp_path):
    path = tmp_path / "recorded.jsonl"
    path.write_text(json.dumps(TEXT_ROW), encoding="utf-8-sig")
    assert list(read_recorded_file(path).answers) == ["8"]


def test_batch_output_by_request(tmp_path):
    lines = [make_failure("a", "limit", "too many"), make_response("b", "m", "text", 12, 3)]
    recorded = read_recorded_file(write(tmp_path, *lines))
    assert not recorded.by_user and recorded.models == ["m"] and list(recorded.answers) == ["b"]
    answer = recorded.answers["b"]
    assert (answer.content, answer.prompt_tokens, answer.completion_tokens) == ("text", 12, 3)


def test_what_failed_in_a_batch_may_be_answered_further_on(tmp_path):
    lines = [
        make_failure("a", "limit", "too many"),
        make_response("b", "m", "B", 1, 1),
        make_response("a", "m", "A", 1, 1),
    ]
    answers = read_recorded_file(write(tmp_path, *lines)).answers
    assert {key: answer.content for key, answer in answers.items()} == {"a": "A", "b": "B"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([""], "empty"),
        ([TEXT_ROW, "{"], ":2: not JSON"),
        ([TEXT_ROW, "9" * 5000], ":2: not JSON"),  # more digits than Python turns into a number
        (["[1]"], ":1: not a JSON object"),
        ([{"prompt": "x"}], ":1: no user_id as text, expected lines of custom_id"),
        ([{"user_id": 8}], ":1: no user_id"),
        ([TEXT_ROW, "", TEXT_ROW], ":3: user_id '8' is there already, in line 1"),
        ([{**TEXT_ROW, "recommendation": None}], ":1: no recommendation as text"),
        ([TEXT_ROW, {**TEXT_ROW, "user_id": "9", "model": "other"}], ":2: an answer of 'other'"),
        ([{"custom_id": "a"}], ':1: neither "response" nor "error"'),
        ([make_response("a", "m", "t", 0, 0), TEXT_ROW], ":2: no custom_id"),
        ([make_response("a", "m", "t", 0, 0)] * 2, ":2: custom_id 'a' is there already"),
        ([make_failure("a", "limit", "too many")], "holds no answer"),
        (['{"user_id": "\\ud800"}'], ":1: not JSON"),
    ],
)
def test_faults_name_the_file_and_the_line(tmp_path, lines, expected):
    path = write(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        read_recorded_file(path)
    assert str(path) in str(error.value) and expected in str(error.value)


def test_half_a_surrogate_pair_is_no_answer():
    """An endpoint may send it as an escape of JSON; no file of text could hold it."""
    for content, model in (("half a pair: \ud800", "m"), ("text", "\udfff")):
        with pytest.raises(ValueError, match="half a surrogate pair"):
            read_answer(make_response("c", model, content, 1, 1))


def test_missing_folder_and_binary(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_recorded_file(tmp_path / "none")
    with pytest.raises(InputError, match="not readable"):
        read_recorded_file(tmp_path)
    (tmp_path / "binary").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        read_recorded_file(tmp_path / "binary")


texts = st.text(min_size=1)


@settings(deadline=None)
@given(st.dictionaries(texts, st.tuples(texts, texts), min_size=1))
def test_batch_output_is_read_back_as_written(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("recorded") / "recorded.jsonl"
    write_lines(path, (make_response(key, "m", content, 1, 2) for key, (content, _) in answers.items()))
    found = read_recorded_file(path).answers
    assert {key: answer.content for key, answer in found.items()} == {key: pair[0] for key, pair in answers.items()}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["custom_id", "response", "error", "user_id", "model", "preference_summary", "recommendation"])


@settings(deadline=None)
@given(st.binary() | st.lists(st.dictionaries(keys, json_values)).map(lambda rows: "\n".join(map(json.dumps, rows))))
def test_no_content_raises_anything_but_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("recorded") / "recorded.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        read_recorded_file(path)
    except InputError as error:
        assert str(path) in str(error)


def test_the_recorded_rationales_of_movielens(real_data):
    recorded = read_recorded_file(real_data("ml-1m") / "llm_rationales.jsonl")
    assert recorded.by_user and len(recorded.answers) == 581 and recorded.models == ["gpt-3.5-turbo"]
