"""Both forms of recorded files, their faults, and any bytes at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.batch_format import (
    NoAnswerError,
    make_failure,
    make_request,
    make_response,
    read_answer,
    write_lines,
)
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


ANSWER = make_response("a", "m", "t", 0, 0)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([""], "empty, expected rows of batch output"),
        (["[]"], "empty"),
        (["{"], "line 1: not JSON"),
        (["9" * 5000], "line 1: not JSON"),  # more digits than Python turns into a number
        (["[" * 100_000], "line 1: not JSON"),
        (["1"], "line 1: not a JSON object"),
        ([{"prompt": "x"}], "line 1: no custom_id as text, expected rows of batch output"),
        ([{"user_id": 8}], "line 1: no model as text"),
        ([{"user_id": True}], "line 1: no user_id as text"),
        ([{**TEXT_ROW, "recommendation": None}], "line 1: no recommendation as text"),
        ([{"custom_id": "a"}], 'line 1: neither "response" nor "error"'),
        ([make_request({"model": "m"})], "line 1: a request, not an answer"),
        ([make_failure("a", "limit", "too many")], "holds no answer; 1 × limit (too many)"),
        ([make_failure("a", "x", "bad"), make_failure("b", "x", "bad")], "2 × x (bad)"),
        (['{"user_id": "\\ud800"}'], "line 1: holds bytes or escapes that are no text"),
    ],
)
def test_a_file_without_an_answer_says_why(tmp_path, lines, expected):
    path = write(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        read_recorded_file(path)
    assert str(path) in str(error.value) and expected in str(error.value)


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ("{", "not JSON"),
        ('{"custom_id": "b", "resp', "not JSON"),
        ('{"custom_id": "b", "error": "\\udfff"}', "holds bytes or escapes that are no text"),
        ("17", "not a JSON object"),
        ({**ANSWER, "custom_id": None}, "no custom_id as text, expected rows of batch output"),
        ({"id": "b", "response": {}, "error": None}, "no custom_id as text"),
        (TEXT_ROW, "no custom_id as text"),
        (ANSWER, "custom_id 'a' is there already, in line"),
        (make_request({"model": "m"}), "a request, not an answer; expected the output of the batch"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_one_odd_row_costs_that_row(tmp_path, odd, why, first):
    lines = [odd, ANSWER] if first and odd != ANSWER else [ANSWER, odd]
    lines.append(make_response("z", "m", "t", 0, 0))
    recorded = read_recorded_file(write(tmp_path, *lines))
    assert list(recorded.answers) == ["a", "z"] and not recorded.by_user
    assert len(recorded.left_out) == 1
    assert recorded.left_out[0].startswith(f"line {lines.index(odd) + 1 if odd != ANSWER else 2}: {why}")


def test_rows_without_an_answer_keep_their_own_reason(tmp_path):
    choices = [{"message": {"content": None, "refusal": "no"}}]
    lines = [
        ANSWER,
        make_failure("b", "batch_expired", "not executed in time"),
        {"custom_id": "c", "response": {"status_code": 400, "body": {"error": {"message": "bad"}}}, "error": None},
        {"custom_id": "d", "response": {"status_code": 200, "body": {"model": "m", "choices": choices}}},
    ]
    failures = read_recorded_file(write(tmp_path, *lines)).failures
    reasons = {}
    for key, response in failures.items():
        with pytest.raises(NoAnswerError) as error:
            read_answer(response)
        reasons[key] = error.value.reason
    assert reasons == {"b": "batch_expired", "c": "status_400", "d": "refusal"}


def test_the_form_is_that_of_most_rows_and_numbers_are_ids(tmp_path):
    recorded = read_recorded_file(write(tmp_path, ANSWER, TEXT_ROW, {**TEXT_ROW, "user_id": 9}))
    assert recorded.by_user and list(recorded.answers) == ["8", "9"] and len(recorded.left_out) == 1


def test_models_by_the_number_of_their_answers(tmp_path):
    lines = [make_response(key, model, "t", 0, 0) for key, model in (("a", "m-1"), ("b", "m-2"), ("c", "m-2"))]
    assert read_recorded_file(write(tmp_path, *lines)).models == ["m-2", "m-1"]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("as_array", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_rows_over_several_lines_in_one_array_and_in_the_encodings_of_windows(tmp_path, indent, as_array, encoding):
    rows = [make_response("a", "m", "caffè\u2028", 0, 0), ANSWER | {"custom_id": "b"}]
    values = [rows] if as_array else rows
    text = "\r\n".join(json.dumps(value, ensure_ascii=False, indent=indent) for value in values)
    (tmp_path / "recorded.jsonl").write_bytes(text.encode(encoding))
    recorded = read_recorded_file(tmp_path / "recorded.jsonl")
    assert [answer.content for answer in recorded.answers.values()] == ["caffè\u2028", "t"]
    assert recorded.left_out == []


def test_a_byte_that_is_no_text_costs_its_row(tmp_path):
    (tmp_path / "recorded.jsonl").write_bytes(b'{"custom_id": "b\xff"}\n' + json.dumps(ANSWER).encode())
    recorded = read_recorded_file(tmp_path / "recorded.jsonl")
    assert list(recorded.answers) == ["a"] and recorded.left_out == ["line 1: holds bytes or escapes that are no text"]


def test_missing_folder_and_binary(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_recorded_file(tmp_path / "none")
    with pytest.raises(InputError, match="not readable"):
        read_recorded_file(tmp_path)
    (tmp_path / "binary").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        read_recorded_file(tmp_path / "binary")


texts = st.text(min_size=1)
contents = texts.filter(str.strip)  # an answer of white space alone has no text


@settings(deadline=None)
@given(st.dictionaries(texts, st.tuples(contents, texts), min_size=1))
def test_batch_output_is_read_back_as_written(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("recorded") / "recorded.jsonl"
    write_lines(path, (make_response(key, "m", content, 1, 2) for key, (content, _) in answers.items()))
    recorded = read_recorded_file(path).answers
    assert {key: answer.content for key, answer in recorded.items()} == {key: pair[0] for key, pair in answers.items()}


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
