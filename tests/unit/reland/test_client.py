"""What the client does where the gateway refuses, hangs or is gone; what it says to a real one: tests/integration."""

from datetime import UTC, datetime
from typing import get_args

import httpx2
import pytest

from components.contracts.serving import LADDER, OTHER_BEHAVIORS, OUTCOMES
from reland import client as client_module
from reland.client import Client, Event, GatewayError, Outcome, RefusedEvent, Step

RECOMMENDATION = {
    "arm": "champion",
    "model_version": 3,
    "ladder_step": "fresh",
    "cold_start": False,
    "explanation": None,
    "request_id": "r",
    "model": "reland_ranker",
    "items": [{"item_id": "a", "score": 2.5}],
    "candidates_from": "exact",
    "of_a_later_version": 1,
}
TAKEN_IN = httpx2.Response(202, json={"accepted": 1, "refused": []})
BUSY = {"detail": "busy"}


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(client_module.time, "sleep", waited.append)
    monkeypatch.setattr(client_module.random, "uniform", lambda low, high: high)
    return waited


def asking(*answers: httpx2.Response | Exception, **options) -> tuple[Client, list[httpx2.Request]]:
    """A client of something that answers so, one after the other; and what it is asked."""
    requests: list[httpx2.Request] = []
    left = list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        following = left.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    return Client("http://gateway", transport=httpx2.MockTransport(answer), **options), requests


def test_outcomes_and_steps_are_those_of_the_gateway():
    assert get_args(Outcome) == OUTCOMES + OTHER_BEHAVIORS
    assert get_args(Step) == LADDER


def test_it_waits_longer_each_time_and_at_least_as_long_as_it_is_asked_to(waits):
    refusals = [httpx2.Response(status, json=BUSY, headers=headers) for status, headers in ((429, {}), (503, {}))]
    longer = httpx2.Response(429, json=BUSY, headers={"Retry-After": "3"})
    client, requests = asking(*refusals, longer, httpx2.Response(200, json=RECOMMENDATION), key="k")
    answer = client.recommend("u")
    assert (answer.request_id, answer.items[0].item_id, answer.items[0].score) == ("r", "a", 2.5)
    assert waits == [0.1, 0.2, 3.0]
    assert {request.headers["Authorization"] for request in requests} == {"Bearer k"}


def test_patience_ends(waits):
    client, requests = asking(*[httpx2.Response(429, json=BUSY) for _ in range(4)])
    with pytest.raises(GatewayError, match="status 429: busy") as error:
        client.recommend("u")
    assert error.value.status == 429 and len(requests) == 4
    client, requests = asking(httpx2.Response(503, text="<html>", headers={"Retry-After": "3600"}))
    with pytest.raises(GatewayError, match="status 503: Service Unavailable"):
        client.recommend("u")
    assert len(requests) == 1


def test_what_is_wrong_is_told_and_not_sent_again(waits):
    fault = {"location": ["body", "count"], "message": "too large"}
    problem = {"detail": "the request is not as described", "errors": [fault]}
    client, requests = asking(httpx2.Response(422, json=problem))
    with pytest.raises(GatewayError, match=r"422: the request is not as described: body\.count: too large"):
        client.recommend("u", 1_000)
    assert len(requests) == 1 and waits == []


def test_events_that_may_have_come_through_are_sent_again_under_the_same_key(waits):
    client, requests = asking(httpx2.ReadTimeout("slow"), httpx2.ReadError("reset"), TAKEN_IN, TAKEN_IN)
    events = [Event("r", "a", "click", datetime(2026, 1, 31, 12, tzinfo=UTC))]
    assert client.send_events(events).accepted == 1
    assert client.send_events(events).accepted == 1
    keys = [request.headers["Idempotency-Key"] for request in requests]
    assert keys[0] == keys[1] == keys[2] != keys[3] and len(waits) == 2
    assert b"2026-01-31T12:00:00+00:00" in requests[0].content


def test_a_list_is_asked_for_again_only_where_no_request_was_sent(waits):
    client, requests = asking(httpx2.ConnectError("refused"), httpx2.Response(200, json=RECOMMENDATION))
    assert client.recommend("u").request_id == "r" and len(requests) == 2
    client, requests = asking(httpx2.ReadTimeout("slow"))
    with pytest.raises(GatewayError, match="ReadTimeout") as error:
        client.recommend("u")
    assert error.value.status is None and len(requests) == 1


def test_many_events_go_in_parts_and_keep_their_numbers(waits):
    some = httpx2.Response(202, json={"accepted": 1_000, "refused": []})
    none = httpx2.Response(202, json={"accepted": 0, "refused": [{"index": 0, "reason": "no request"}]})
    client, _ = asking(some, none)
    answer = client.send_events([Event("r", f"i{number}", "click") for number in range(1_001)])
    assert (answer.accepted, answer.refused) == (1_000, (RefusedEvent(1_000, "no request"),))


def test_a_time_without_an_offset_is_refused_before_anything_is_sent():
    client, requests = asking()
    with pytest.raises(ValueError, match="offset from UTC"):
        client.send_events([Event("r", "a", "click", datetime(2026, 1, 31))])
    assert requests == []


def test_any_user_id_is_one_part_of_the_address():
    explanation = {name: RECOMMENDATION[name] for name in ("arm", "model_version", "ladder_step", "cold_start")}
    client, requests = asking(httpx2.Response(200, json=explanation | {"explanation": None}))
    assert client.explain("a/b c?ü").arm == "champion"
    assert requests[0].url.raw_path == b"/v1/explanations/a%2Fb%20c%3F%C3%BC"
