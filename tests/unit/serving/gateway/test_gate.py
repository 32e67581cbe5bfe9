"""The gate before an application that stands in for the gateway's: it answers with the body that it was given."""

import asyncio
import json

import pytest

from serving.gateway import gate
from serving.gateway.admission import Admission, RateLimit
from serving.gateway.authentication import SCOPES, Principal, UnauthorizedError
from serving.gateway.gate import MAX_BODY, MAX_HEADERS, PRINCIPAL, Gate
from serving.gateway.metrics import Metrics


class OneKey:
    """Lets in who sends `x-api-key: key`."""

    def __init__(self, scopes=SCOPES):
        self.scopes = frozenset(scopes)

    async def authenticate(self, headers):
        if headers.get(b"x-api-key") != b"key":
            raise UnauthorizedError("the key is not known")
        return Principal("shop", scopes=self.scopes)


class Application:
    """Answers with what it was given, once `leave` is set."""

    def __init__(self):
        self.leave = asyncio.Event()
        self.leave.set()
        self.principals = []

    async def __call__(self, scope, receive, send):
        self.principals.append(scope.get(PRINCIPAL))
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        await self.leave.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def make_gate(application, rate=0.0, concurrency=1, scopes=SCOPES, local=False):
    metrics = Metrics()
    admission = Admission(concurrency, 1, 60.0, metrics)
    return Gate(application, OneKey(scopes), RateLimit(rate), admission, metrics, local)


def scope(path="/v1/rank", method="POST", raw_path=None, **headers):
    headers = {"x-api-key": "key"} | {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": path, "raw_path": raw_path or path.encode(), "method": method, "headers": encoded}


async def ask(door, scope, parts=(b"body",), pause=0.0):
    """The status, the headers and the body of the answer."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number + 1 < len(parts)}
        for number, part in enumerate(parts)
    ]
    sent = []

    async def receive():
        await asyncio.sleep(pause)
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await door(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


PROBLEM = {"type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": "busy"}


def status_of(scope, **options):
    async def scene():
        return (await ask(make_gate(Application()), scope, **options))[0]

    return asyncio.run(scene())


def test_a_request_goes_through_with_its_body_and_who_asks():
    async def scene():
        application = Application()
        status, _, body = await ask(make_gate(application), scope(), [b"a", b"", b"bc"])
        assert (status, body) == (200, b"abc")
        assert application.principals[0].name == "shop"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"x_api_key": "other"}, 401),
        ({"x_large": "x" * MAX_HEADERS}, 431),
        ({"content_length": str(MAX_BODY + 1)}, 413),
        ({"content_length": "9" * 1_000}, 413),
        ({"content_length": "-1"}, 400),
        ({"content_length": "\u0662"}, 400),
        ({"raw_path": b"/v1/explanations/%ff"}, 400),
        ({"raw_path": b"/v1/explanations/%c3%a9"}, 200),
    ],
)
def test_what_is_refused_before_it_is_read(changes, status):
    assert status_of(scope(**changes)) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8080"}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "[::1]:8080", "origin": "http://[::1]:8080"}, 200),
        ({"host": "rebound.example:8080"}, 421),
        ({}, 421),
        ({"host": "127.0.0.1.example"}, 421),
        ({"host": "localhost:8080", "origin": "https://page.example"}, 403),
        ({"host": "localhost:8080", "origin": "null"}, 403),
    ],
)
def test_on_loopback_a_page_of_the_web_in_a_browser_here_is_refused(headers, status):
    async def scene():
        door = make_gate(Application(), local=True)
        assert (await ask(door, scope(**headers)))[0] == status
        assert (await ask(door, scope("/healthz", "GET", **headers)))[0] == status

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("path", "wanted"), [("/v1/rank", "serve"), ("/v1/events", "events"), ("/metrics", "operate"), ("/docs", "serve")]
)
def test_a_key_does_what_its_scopes_say(path, wanted, capsys):
    async def status(scopes):
        return (await ask(make_gate(Application(), scopes=scopes), scope(path)))[0]

    assert asyncio.run(status([wanted])) == 200
    assert asyncio.run(status(set(SCOPES) - {wanted})) == 403
    assert f"refused: 1 × not within the scope {wanted} (shop)" in capsys.readouterr().out
    assert status_of(scope(path, x_api_key="none")) == 401


def test_bodies_that_are_on_their_way_are_bounded_together_and_small_ones_are_taken(monkeypatch):
    monkeypatch.setattr(gate, "MAX_PENDING", 100_000)
    part = b"x" * 30_000

    async def scene():
        door = make_gate(Application(), concurrency=2)
        slow = [asyncio.create_task(ask(door, scope(), parts=[part] * 3, pause=0.05)) for _ in range(3)]
        await asyncio.sleep(0.12)  # two parts of each have come
        small = asyncio.create_task(ask(door, scope(), parts=[b"small", b" body"], pause=0.01))
        assert sorted(answer[0] for answer in await asyncio.gather(*slow)) in ([200, 200, 429], [200, 429, 429])
        assert (await small)[0] == 200
        assert (await ask(door, scope(), parts=[part] * 3))[0] == 200  # what was refused is no longer counted

    asyncio.run(scene())


def test_health_needs_no_key_and_takes_no_place():
    async def scene():
        application = Application()
        door = make_gate(application)
        application.leave.clear()
        waiting = [asyncio.create_task(ask(door, scope())) for _ in range(2)]
        await asyncio.sleep(0.01)
        health = asyncio.create_task(ask(door, scope("/healthz", "GET", x_api_key="none")))
        await asyncio.sleep(0.01)
        application.leave.set()
        assert [answer[0] for answer in await asyncio.gather(*waiting, health)] == [200, 200, 200]

    asyncio.run(scene())


def test_a_body_that_grows_too_large_is_refused_though_no_length_was_told():
    part = b"x" * (MAX_BODY // 2)
    assert status_of(scope(), parts=[part, part]) == 200
    assert status_of(scope(), parts=[part, part, b"x", b"never read"]) == 413


def test_a_slow_body_is_given_up_and_takes_no_place_meanwhile(monkeypatch):
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.2)

    async def scene():
        door = make_gate(Application())
        slow = [asyncio.create_task(ask(door, scope(), pause=60.0)) for _ in range(5)]
        await asyncio.sleep(0.01)
        assert (await ask(door, scope()))[0] == 200
        assert [answer[0] for answer in await asyncio.gather(*slow)] == [408] * 5

    asyncio.run(scene())


def test_one_too_many_is_told_when_to_come_again():
    async def scene():
        application = Application()
        door = make_gate(application)
        application.leave.clear()
        taken = [asyncio.create_task(ask(door, scope())) for _ in range(2)]
        await asyncio.sleep(0.01)
        status, headers, body = await ask(door, scope())
        assert headers[b"content-type"] == b"application/problem+json"
        assert (status, headers[b"retry-after"], json.loads(body)) == (429, b"1", PROBLEM)
        application.leave.set()
        assert [answer[0] for answer in await asyncio.gather(*taken)] == [200, 200]
        assert (await ask(door, scope()))[0] == 200

    asyncio.run(scene())


def test_a_key_that_asks_too_often_is_told_how_long_to_wait():
    async def scene():
        door = make_gate(Application(), rate=0.25)
        assert (await ask(door, scope()))[0] == 200
        status, headers, _ = await ask(door, scope())
        assert (status, headers[b"retry-after"]) == (429, b"4")

    asyncio.run(scene())
