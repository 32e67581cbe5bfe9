"""The Python client, and idempotency keys, on the real gateway."""

import uuid
from datetime import UTC, datetime

import pytest

from components.contracts.ranking_signature import MODEL_NAME
from reland.client import Client, Event, Explanation, GatewayError, RefusedEvent


@pytest.fixture(scope="module")
def client(gateway):
    with Client(str(gateway.client.base_url), timeout=30.0) as opened:
        yield opened


def test_lists_and_explanations_are_read(client):
    ranked = client.rank("known", ["item 03", "no item", "item 01"])
    assert {item.item_id for item in ranked.items} == {"item 03", "item 01"}
    assert ranked.items[0].score >= ranked.items[1].score and ranked.unknown_items == ("no item",)
    assert ranked.excluded_items == ()
    assert (ranked.arm, ranked.model, ranked.model_version) == ("champion", MODEL_NAME, 1)
    assert ranked.explanation == Explanation("likes quiet films", "r1", 0.75)
    recommended = client.recommend("nobody", 3)
    assert [item.item_id for item in recommended.items] == ["item 30", "item 29", "item 28"]
    assert (recommended.ladder_step, recommended.cold_start) == ("popular", True)
    assert (recommended.explanation, recommended.candidates_from) == (None, "popular")
    assert client.explain("known").explanation == ranked.explanation
    assert client.explain("a/b c?").cold_start


def test_events_are_taken_in_and_refused_singly(client, gateway):
    answer = client.recommend("known", 2)
    before = gateway.metric("events_total", outcome="cart")
    items = [item.item_id for item in answer.items]
    events = [
        Event(answer.request_id, items[0], "click", datetime.now(UTC)),
        Event("invented", items[0], "click"),
        Event(answer.request_id, items[0], "cart"),
    ]
    taken_in = client.send_events(events)
    assert (taken_in.accepted, taken_in.refused) == (2, (RefusedEvent(1, "no request of this gateway"),))
    assert gateway.metric("events_total", outcome="cart") == before + 1


def test_a_fault_says_what_is_wrong(client):
    with pytest.raises(GatewayError, match=r"status 422: .*body\.count: .*less than or equal to 100") as error:
        client.recommend("known", 1_000)
    assert error.value.errors[0]["location"] == ["body", "count"]


def test_a_gateway_that_is_not_there_is_told(client):
    with Client("http://127.0.0.1:9", attempts=2, first_wait=0.001) as nobody, pytest.raises(GatewayError) as error:
        nobody.recommend("known")
    assert error.value.status is None and "ConnectError" in str(error.value)


def test_a_request_is_carried_out_once_under_its_key(client, gateway):
    answer = client.recommend("known", 2)
    event = {"request_id": answer.request_id, "item_id": answer.items[0].item_id, "outcome": "favourite"}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    before = gateway.metric("events_total", outcome="favourite")
    body = {"events": [event, event | {"request_id": "invented"}]}
    answers = [gateway.client.post("/v1/events", json=body, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202] and answers[0].json() == answers[1].json()
    assert gateway.metric("events_total", outcome="favourite") == before + 1
    other = gateway.client.post("/v1/events", json={"events": [event]}, headers=key)
    assert (other.status_code, other.json()["detail"]) == (422, "the idempotency key was used for another body")
    assert gateway.client.post("/v1/events", json=body, headers={"Idempotency-Key": "a b"}).status_code == 422
