"""What is no proper request gets a defined answer below 500, and never what was sent."""

import json
import socket

import pytest

RANK, RECOMMEND, EVENTS = "/v1/rank", "/v1/recommend", "/v1/events"
GOOD = {"user_id": "known", "candidates": ["item 01"]}


def raw(gateway, content: bytes, path: str = RANK, **headers: str):
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.client.post(path, content=content, headers=named)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        "text",
        1e308,
        {"user_id": "known"},
        {"candidates": ["item 01"]},
        {"user_id": "known", "candidates": []},
        {"user_id": "known", "candidates": ["item 01", "item 02", "item 01"]},
        {"user_id": "known", "candidates": [f"i{number}" for number in range(10_000)]},
        {"user_id": "known", "candidates": "item 01"},
        {"user_id": "known", "candidates": {"item 01": 1}},
        {"user_id": "known", "candidates": [1]},
        {"user_id": "known", "candidates": [None]},
        {"user_id": "known", "candidates": [["item 01"]]},
        {"user_id": "known", "candidates": [""]},
        {"user_id": "known", "candidates": ["x" * 513]},
        {"user_id": "known", "candidates": ["é" * 300]},
        {"user_id": "", "candidates": ["item 01"]},
        {"user_id": 5, "candidates": ["item 01"]},
        {"user_id": None, "candidates": ["item 01"]},
        {"user_id": ["known"], "candidates": ["item 01"]},
        {"user_id": {"$ne": ""}, "candidates": ["item 01"]},
        {"user_id": True, "candidates": ["item 01"]},
        {"user_id": "x" * 100_000, "candidates": ["item 01"]},
        GOOD | {"seed_user_id": "known"},
        GOOD | {"explanation": True},
    ],
)
def test_a_ranking_request_that_is_not_as_described_is_refused(gateway, body):
    response = gateway.post(RANK, body)
    assert response.status_code == 422
    faults = response.json()["errors"]
    assert faults and all(set(fault) == {"location", "message"} for fault in faults)
    assert "x" * 100 not in response.text  # what was sent does not come back


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b'{"user_id": "kn\xffown", "candidates": ["item 01"]}',
        b'{"user_id": "kn\xed\xa0\x80own", "candidates": ["item 01"]}',  # half of a surrogate pair, as bytes
        b'{"user_id": "\\ud800", "candidates": ["item 01"]}',
        b'{"user_id": "known", "candidates": ["item 01"], "a": NaN}',
        b'{"user_id": "known", "candidates": [NaN]}',
        b'{"user_id": Infinity, "candidates": ["item 01"]}',
        b'{"user_id": "known", "count": 1e999}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
@pytest.mark.parametrize("path", [RANK, RECOMMEND, EVENTS])
def test_what_is_no_json_is_refused(gateway, content, path):
    assert raw(gateway, content, path).status_code == 422


@pytest.mark.parametrize(
    "count", ["10", 0, -1, 101, 10.5, 1e308, 10**30, True, None, [], float("nan"), float("inf"), -float("inf")]
)
def test_a_count_that_is_no_number_of_items_is_refused(gateway, count):
    content = json.dumps({"user_id": "known", "count": count}).encode()
    assert raw(gateway, content, RECOMMEND).status_code == 422


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "refund"},
        {"time": -1},
        {"time": 10**15},
        {"time": "2026-01-31T12:00:00"},
        {"time": "1969-12-31T12:00:00Z"},
        {"time": 1.5},
        {"time": "now"},
        {"item_id": ""},
        {"request_id": "x" * 65},
        {"user_id": "known"},
    ],
)
def test_an_event_that_is_none_is_refused_and_none_of_its_company_is_taken_in(gateway, changes):
    event = {"request_id": "r", "item_id": "item 01", "outcome": "conversion"}
    before = gateway.metric("events_total", outcome="conversion")
    assert gateway.post(EVENTS, {"events": [event, event | changes]}).status_code == 422
    assert gateway.post(EVENTS, {"events": []}).status_code == 422
    assert gateway.metric("events_total", outcome="conversion") == before


def test_a_body_that_is_too_large_is_refused_told_or_not(gateway):
    large = b'{"user_id": "' + b"x" * (20 << 20) + b'"}'
    assert raw(gateway, large).status_code == 413

    def untold():
        for start in range(0, len(large), 1 << 16):
            yield large[start : start + (1 << 16)]

    response = gateway.client.post(RANK, content=untold(), headers={"content-type": "application/json"})
    assert response.status_code == 413


def test_a_body_of_another_kind_is_refused(gateway):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert raw(gateway, json.dumps(GOOD).encode(), content_type=kind).status_code == 422


def test_headers_that_are_too_large_are_refused_and_odd_ones_do_no_harm(gateway):
    assert raw(gateway, json.dumps(GOOD).encode(), x_large="x" * (17 << 10)).status_code == 431
    odd = {"x_user_id": "other", "x_forwarded_for": "1.1.1.1", "authorization": "Bearer", "accept": "text/html"}
    assert raw(gateway, json.dumps(GOOD).encode(), **odd).status_code == 200


@pytest.mark.parametrize(
    "request_line",
    [
        b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
        b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/rank HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{}",
        b"GET /v1/explanations/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/explanations/%c3%28 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/explanations/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_400_or_is_hung_up_on(gateway, request_line):
    url = gateway.client.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(request_line)
        answer = connection.recv(4096)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413")
    assert gateway.client.get("/healthz").status_code == 200


def test_other_paths_and_methods_are_not_there(gateway):
    assert gateway.client.get(RANK).status_code == 405
    assert gateway.client.get("/v1/users/known").status_code == 404
    assert gateway.client.get("/v1/explanations/").status_code == 422
    assert gateway.client.get(f"/v1/explanations/{'x' * 513}").status_code == 422


@pytest.mark.parametrize("trick", ["../explanations/known", "known%00", "known%20", "%6bnown/", "known%0a", "known;a"])
def test_an_id_that_looks_like_anothers_is_another_user(gateway, trick):
    response = gateway.client.get(f"/v1/explanations/x{trick}")
    assert response.status_code == 200 and response.json()["cold_start"]
