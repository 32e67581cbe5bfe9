"""An endpoint that misbehaves: what is sent again, how often and when, what ends the run and what it says."""

import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from pydantic import SecretStr

from components.contracts.batch_format import NoAnswerError, make_request, read_answer
from components.foundation.errors import EnvironmentFaultError, InputError
from components.language_model.openai_engine import Endpoint, OpenAIEngine, _retry_after
from tests.contract.chat_endpoint import FAULTS, WITHOUT_TEXT, Reply, answer, answer_with, chat_endpoint

ATTEMPTS = 3


def make_requests(count: int) -> list[dict]:
    return [make_request({"model": "stub", "messages": [{"role": "user", "content": str(n)}]}) for n in range(count)]


def number_of(body: dict) -> str:
    return body["messages"][0]["content"]


def open_engine(url: str, **changes) -> OpenAIEngine:
    patience = {"concurrency": 4, "timeout": 60, "attempts": ATTEMPTS, "first_wait": 0.01, "failures": 3}
    return OpenAIEngine("stub", Endpoint(url, SecretStr("sk-canary"), **{**patience, **changes}))


def generate(url: str, count: int, **changes) -> dict[str, dict]:
    requests = make_requests(count)
    responses = {response["custom_id"]: response for response in open_engine(url, **changes).generate(requests)}
    assert len(responses) == count
    return {number_of(request["body"]): responses[request["custom_id"]] for request in requests}


def timeout_of(fault: str) -> float:
    """Seconds: no answer comes too late on a busy machine, and silence does not cost a test a minute."""
    return 1.5 if fault == "nothing" else 60


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_asked_again(fault):
    with chat_endpoint(lambda body, before: FAULTS[fault] if number_of(body) == "1" and not before else answer()) as it:
        responses = generate(it.url, 3, timeout=timeout_of(fault))
    assert all(read_answer(response).completion_tokens == 3 for response in responses.values())
    assert sorted(map(number_of, it.bodies)) == ["0", "1", "1", "2"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "nothing" else [])
        for name in FAULTS
        if not name.startswith("too many")
    ],
)
def test_a_fault_that_stays_is_an_error_of_that_request_alone(fault):
    with chat_endpoint(lambda body, before: FAULTS[fault] if number_of(body) == "1" else answer()) as it:
        responses = generate(it.url, 3, timeout=timeout_of(fault))
    unpaid = fault in ("internal error", "overloaded, wait 0 s")
    assert responses["1"]["error"]["code"] == ("unavailable" if unpaid else "no_answer")
    assert f"({ATTEMPTS} attempts)" in responses["1"]["error"]["message"]
    assert sorted(map(number_of, it.bodies)) == ["0", "1", "1", "1", "2"]
    assert responses["0"]["error"] is responses["2"]["error"] is None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_is_not_repeated_against_the_budget_where_an_answer_may_have_been_made(fault):
    repeated = []
    with chat_endpoint(lambda body, before: FAULTS[fault] if number_of(body) == "1" and not before else answer()) as it:
        engine = open_engine(it.url, timeout=timeout_of(fault))
        engine.may_repeat = repeated.append  # which returns None: no
        responses = [response["error"] for response in engine.generate(make_requests(3))]
    unpaid = fault.startswith("too many") or fault in ("internal error", "overloaded, wait 0 s")
    assert repeated == ([] if unpaid else [make_requests(2)[1]["custom_id"]])
    assert [error["code"] for error in responses if error] == ([] if unpaid else ["not_repeated"])


@pytest.mark.parametrize("reason", WITHOUT_TEXT)
def test_an_answer_without_a_text_is_paid_once_and_the_run_goes_on(reason):
    """Also where more such answers come in a row than failures end a run, and where there are no others."""
    choices = WITHOUT_TEXT[reason]
    with chat_endpoint(lambda body, before: answer_with(choices[int(number_of(body)) % len(choices)])) as it:
        responses = generate(it.url, 7, concurrency=1)
    assert len(it.bodies) == 7
    for response in responses.values():
        assert response["error"] is None
        with pytest.raises(NoAnswerError) as error:
            read_answer(response)
        assert error.value.reason == reason
        assert (error.value.answer.prompt_tokens, error.value.answer.completion_tokens) == (7, 3)


def test_content_in_parts_and_a_body_without_a_model():
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "te"}, {"type": "text", "text": "xt"}]
    body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "length"}]}).encode()
    with chat_endpoint(lambda *_: Reply(body=body)) as it:
        responses = generate(it.url, 1)
    answered = read_answer(responses["0"])
    assert (answered.content, answered.model, answered.finish_reason) == ("text", "stub", "length")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota"}),
        (429, {"type": "insufficient_quota", "code": None}),
        (429, {"type": "billing_not_active"}),
        (400, {"code": "billing_hard_limit_reached"}),
        (402, {"message": "Insufficient Balance"}),
        (200, {"code": 402, "message": "Insufficient credits"}),
        (200, {"code": "insufficient_quota"}),
    ],
)
def test_what_was_paid_for_is_used_up_and_the_run_ends_at_once(status, error):
    with (
        chat_endpoint(lambda *_: Reply(status, json.dumps({"error": error}).encode())) as it,
        pytest.raises(EnvironmentFaultError, match="/v1/chat/completions: what was paid for is used up"),
    ):
        generate(it.url, 9, concurrency=1)
    assert len(it.bodies) == 1


def test_a_status_in_the_body_counts_as_the_status():
    def script(body, before):
        if number_of(body) == "1":
            return Reply(body=b'{"error": {"code": 400, "message": "maximum context length"}}')
        return Reply(body=b'{"error": {"code": 429, "message": "slow down"}}') if not before else answer()

    with chat_endpoint(script) as it:
        responses = generate(it.url, 2, concurrency=1)
    assert responses["1"]["error"]["code"] == "status_400" and read_answer(responses["0"]).completion_tokens == 3
    assert sorted(map(number_of, it.bodies)) == ["0", "0", "1"]


def test_what_the_endpoint_takes_no_part_in_is_not_asked_again():
    refusal = Reply(400, b'{"error": {"message": "maximum context length is 2048"}}')
    with chat_endpoint(lambda body, before: refusal if number_of(body) == "1" else answer()) as it:
        responses = generate(it.url, 2)
    assert responses["1"]["error"]["code"] == "status_400"
    assert "status 400" in responses["1"]["error"]["message"] and "2048" in responses["1"]["error"]["message"]
    assert sorted(map(number_of, it.bodies)) == ["0", "1"]


def test_requests_that_are_all_refused_end_the_run():
    with (
        chat_endpoint(lambda body, before: Reply(400, b"too long")) as it,
        pytest.raises(InputError, match="no request is answered: status 400: too long"),
    ):
        generate(it.url, 2)


@pytest.mark.parametrize("fault", ["internal error", "garbage"])
def test_a_dead_endpoint_ends_the_run_with_one_line(fault, capsys):
    with (
        chat_endpoint(lambda body, before: FAULTS[fault]) as it,
        pytest.raises(EnvironmentFaultError, match=r"\d requests in a row without an answer; .* \(3 attempts\)"),
    ):
        generate(it.url, 20, timeout=timeout_of(fault))
    assert capsys.readouterr().out.count("sent again") == 1


def test_nobody_listens():
    with chat_endpoint(lambda body, before: answer()) as it:
        pass
    with pytest.raises(EnvironmentFaultError, match=r"/v1: no request is answered: ConnectError \(.*\) \(3 attempts\)"):
        generate(it.url, 2)


def test_a_key_that_is_refused_is_not_repeated(capsys):
    with (
        chat_endpoint(lambda body, before: Reply(401, b"Incorrect key: sk-canary")) as it,
        pytest.raises(InputError, match=r"setting RELAND_OPENAI_API_KEY: .* refuses the key") as error,
    ):
        generate(it.url, 2)
    assert it.keys == {"Bearer sk-canary"}
    assert "canary" not in str(error.value) + capsys.readouterr().out


def test_an_unknown_model_or_address_is_named():
    with chat_endpoint(lambda body, before: Reply(404, b"The model does not exist.")) as it:
        with pytest.raises(InputError, match=r"no model 'stub' there .*does not exist"):
            generate(it.url, 2)
        with pytest.raises(InputError, match="/v2/chat/completions: no such address"):
            generate(it.url.replace("/v1", "/v2"), 2)


def test_being_told_to_slow_down_is_no_failure():
    with chat_endpoint(lambda body, before: FAULTS["too many, wait 0 s"] if before < 2 * ATTEMPTS else answer()) as it:
        responses = generate(it.url, 1)
    assert responses["0"]["error"] is None and len(it.bodies) == 2 * ATTEMPTS + 1


def test_everybody_waits_when_one_is_told_how_long():
    slowed_down = threading.Event()

    def script(body, before):
        if number_of(body) == "0" and not before:
            slowed_down.set()
            return Reply(429, headers={"Retry-After": "0.5"})
        return answer()

    with chat_endpoint(script) as it:
        generate(it.url, 6, concurrency=1)
    first, *others = it.times
    assert slowed_down.is_set() and min(others) - first >= 0.5


def test_slowing_everybody_down_for_ever_ends_the_run():
    with (
        chat_endpoint(lambda body, before: FAULTS["too many"]) as it,
        pytest.raises(EnvironmentFaultError, match=r"no answer for 0.2 s, only status 429"),
    ):
        generate(it.url, 2, patience=0.2)


def test_a_date_says_how_long_to_wait():
    def wait(value):
        return _retry_after(httpx2.Response(429, headers={"Retry-After": value}))

    assert wait("7") == 7 and wait("-7") == 0 and wait("soon") is None
    assert 3500 < wait(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)) <= 3600
    assert wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert _retry_after(httpx2.Response(429)) is None


@pytest.mark.parametrize("hours", [-24, 0, 24])
def test_a_date_counts_from_the_endpoints_own_clock(hours):
    """Ours is as far from it as a clock that was set back, or ahead, in the middle of a run."""
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    dates = {"Date": now, "Retry-After": now + timedelta(seconds=20)}
    headers = {name: format_datetime(date, usegmt=True) for name, date in dates.items()}
    assert _retry_after(httpx2.Response(503, headers=headers)) == 20


def test_as_many_requests_as_allowed_wait_at_a_time_and_no_more():
    together = threading.Barrier(4)
    waiting, most = 0, 0
    lock = threading.Lock()

    def script(body, before):
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        together.wait(timeout=50)  # passes when four are there
        with lock:
            waiting -= 1
        return answer()

    with chat_endpoint(script) as it:
        generate(it.url, 12, concurrency=4)
    assert most == 4


def test_requests_are_drawn_as_there_is_room_and_closing_stops_the_work():
    drawn = []

    def requests():
        for request in make_requests(100):
            drawn.append(request)
            yield request

    with chat_endpoint(lambda body, before: answer()) as it:
        responses = open_engine(it.url, concurrency=4).generate(requests())
        for _ in range(3):
            next(responses)
        responses.close()
        sent = len(it.bodies)
    assert len(drawn) <= 3 + 2 * 4 and sent <= len(drawn)


def test_what_is_answered_is_yielded_before_a_fault_ends_the_run():
    with chat_endpoint(lambda body, before: answer() if number_of(body) < "4" else Reply(500)) as it:
        responses = open_engine(it.url, concurrency=1, attempts=1, failures=2).generate(make_requests(9))
        answered = [next(responses)["error"] for _ in range(5)]
        assert [error is None for error in answered] == [True] * 4 + [False]
        with pytest.raises(EnvironmentFaultError, match="2 requests in a row"):
            next(responses)


def test_equal_answers_give_equal_responses():
    with chat_endpoint(lambda body, before: answer(model="stub-2026-10-01")) as it:
        first, second = (generate(it.url, 2) for _ in range(2))
    assert first == second  # though ids and dates of the endpoint differ
    assert read_answer(first["0"]).model == "stub-2026-10-01"


@pytest.mark.parametrize("url", ["", "vllm:8000", "ftp://vllm/v1", "http://", "http://[::1/v1"])
def test_a_url_that_is_none(url):
    with pytest.raises(InputError, match="setting RELAND_OPENAI_BASE_URL: expected the URL"):
        open_engine(url)


@pytest.mark.parametrize("key", ["sk canary", "sk-canary\n", "sk-cánary"])
def test_a_key_that_cannot_be_sent_is_not_shown(key):
    with pytest.raises(InputError, match="setting RELAND_OPENAI_API_KEY") as error:
        OpenAIEngine("stub", Endpoint("http://vllm/v1", SecretStr(key)))
    assert "nary" not in str(error.value)
