"""What counts as an answer, in the bodies of several kinds of endpoint, and why there is none."""

import pytest

from components.contracts.batch_format import (
    Answer,
    NoAnswerError,
    make_failure,
    make_response,
    read_answer,
    write_answer,
)
from tests.contract.chat_endpoint import WITHOUT_TEXT

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


def row(body, status=200):
    return {"custom_id": "a", "response": {"status_code": status, "body": body}, "error": None}


def chat(content, **choice):
    return {"model": "m", "usage": USAGE, "choices": [{"message": {"content": content}, **choice}]}


def of_responses_api(*output, **more):
    usage = {"input_tokens": 7, "output_tokens": 3}
    return {"object": "response", "model": "m", "usage": usage, "output": list(output), **more}


def of_anthropic(result_type="succeeded", **message):
    usage = {"input_tokens": 7, "output_tokens": 3}
    return {"custom_id": "a", "result": {"type": result_type, "message": {"model": "m", "usage": usage, **message}}}


@pytest.mark.parametrize(
    "response",
    [
        row(chat("text")),
        row(chat("text"), status="200"),
        row(chat("text"), status=None),
        row(chat([{"type": "text", "text": "te"}, {"type": "text", "text": "xt"}])),
        row(chat(["text"])),
        row(chat([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": {"value": "text"}}])),
        row({"model": "m", "usage": USAGE, "choices": [{"text": "text"}]}),
        row(of_responses_api({"type": "message", "content": [{"type": "output_text", "text": "text"}]})),
        row(
            of_responses_api(
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "message", "content": [{"type": "output_text", "text": "text"}]},
            )
        ),
        of_anthropic(content=[{"type": "text", "text": "text"}], stop_reason="end_turn"),
    ],
)
def test_a_text_in_every_form(response):
    assert read_answer(response) == Answer("text", "m", 7, 3, "stop")


@pytest.mark.parametrize("given", ["length", "max_tokens", "MAX_TOKENS"])
def test_why_the_model_stopped_is_kept(given):
    assert read_answer(row(chat("te", finish_reason=given))).finish_reason == "length"
    assert read_answer(of_anthropic(content="te", stop_reason=given)).finish_reason == "length"


def test_an_endpoint_that_does_not_name_its_model_answers_as_the_one_that_was_asked():
    body = {key: value for key, value in chat("text").items() if key != "model"}
    assert read_answer(row(body), "m").model == "m"
    with pytest.raises(NoAnswerError, match='names no "model"'):
        read_answer(row(body))


@pytest.mark.parametrize(("reason", "choice"), [(name, choice) for name, all in WITHOUT_TEXT.items() for choice in all])
def test_an_answer_without_a_text_costs_its_tokens_and_is_read_back_the_same(reason, choice):
    with pytest.raises(NoAnswerError) as error:
        read_answer(row({"model": "m", "usage": USAGE, "choices": [choice]}))
    assert error.value.reason == reason
    answer = error.value.answer
    assert (answer.content, answer.model, answer.prompt_tokens, answer.completion_tokens) == ("", "m", 7, 3)
    with pytest.raises(NoAnswerError) as again:
        read_answer(write_answer("a", answer))
    assert (again.value.reason, again.value.answer) == (reason, answer)
    assert "cannot" not in str(error.value)  # nothing of what the model said


@pytest.mark.parametrize(
    ("reason", "response"),
    [
        ("cut_off", row(of_responses_api(status="incomplete", incomplete_details={"reason": "max_output_tokens"}))),
        ("refusal", row(of_responses_api({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}))),
        ("tool_call", row(of_responses_api({"type": "function_call", "name": "search"}))),
        ("refusal", of_anthropic(content=[], stop_reason="refusal")),
        ("cut_off", of_anthropic(content=[{"type": "thinking", "thinking": "hm"}], stop_reason="max_tokens")),
        ("tool_call", of_anthropic(content=[{"type": "tool_use", "name": "search"}], stop_reason="tool_use")),
        ("empty", row({"model": "m", "usage": {"prompt_tokens": 7, "completion_tokens": 3}, "choices": []})),
    ],
)
def test_other_endpoints_answer_without_a_text_too(reason, response):
    with pytest.raises(NoAnswerError) as error:
        read_answer(response)
    assert error.value.reason == reason
    assert (error.value.answer.prompt_tokens, error.value.answer.completion_tokens) == (7, 3)


@pytest.mark.parametrize(
    ("reason", "message", "response"),
    [
        ("batch_expired", "not executed", make_failure("a", "batch_expired", "not executed\nin time")),
        ("too_fast", "slow", {"response": None, "error": {"type": "too fast", "message": "slow"}}),
        ("error", "too long", {"response": None, "error": "too long"}),
        ("error", "{'param': None}", {"response": None, "error": {"param": None}}),
        ("status_400", "status code 400: bad", row({"error": {"message": "bad", "type": "x"}}, status=400)),
        ("status_400", "status code 400: bad", row({"object": "error", "message": "bad"}, status="400")),
        ("status_0", "status code 0", row({}, status=0)),
        ("429", "slow down", row({"error": {"code": 429, "message": "slow down"}})),
        ("errored", "the request ended as errored", {"result": {"type": "errored"}}),
        (
            "overloaded_error",
            "busy",
            {"result": {"type": "errored", "error": {"error": {"type": "overloaded_error", "message": "busy"}}}},
        ),
        ("expired", "ended as expired", {"result": {"type": "expired"}}),
        ("no_body", "no .body.", {"response": None, "error": None}),
        ("no_message", "no message", row({"choices": []})),
        ("no_message", "no message", row({"choices": [{}]})),
    ],
)  # fmt: skip
def test_a_row_without_an_answer_has_its_own_reason_and_costs_nothing(reason, message, response):
    with pytest.raises(NoAnswerError, match=message) as error:
        read_answer(response)
    assert (error.value.reason, error.value.answer) == (reason, None)
    assert "\n" not in str(error.value)


def test_half_a_surrogate_pair_is_no_text():
    """An endpoint may send it as an escape of JSON; no file of text could hold it."""
    for content, model in (("half a pair: \ud800", "m"), ("text", "\udfff")):
        with pytest.raises(NoAnswerError, match="half a surrogate pair") as error:
            read_answer(make_response("c", model, content, 1, 1))
        error.value.answer.model.encode()
