"""What is decided before a request is answered: is it too large, who asks, has it asked too often, is there a place.

A request's body is read before it takes a place, so that who sends slowly keeps nobody from being answered.

A plain ASGI middleware: Starlette's base class would put a task and a queue around every request.
"""

import asyncio
import math
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.admission import Admission, BusyError, RateLimit
from serving.gateway.authentication import Authenticator, UnauthorizedError
from serving.gateway.metrics import Metrics

MAX_BODY = 1 << 20  # bytes; 1,000 candidates of 512 bytes fit
MAX_HEADERS = 16 << 10
BODY_SECONDS = 10.0  # within which a body must have come
PRINCIPAL = "reland.principal"  # where the principal is in a request's scope
GUARDED = "/v1/"
ROUTES = ("/v1/rank", "/v1/recommend", "/v1/events", "/v1/explanations")  # as metrics call them: no user id

BUSY = HTTPException(429, "busy", {"retry-after": "1"})


class Gate:
    """Lets requests to `/v1/` through to `app` when all of it allows; health and metrics are open."""

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, rate_limit: RateLimit, admission: Admission, metrics: Metrics
    ):
        self._app = app
        self._authenticator = authenticator
        self._rate_limit = rate_limit
        self._admission = admission
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = next((route for route in ROUTES if scope["path"].startswith(route)), "other")

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.responses.labels(route, str(message["status"])).inc()
            await send(message)

        headers = dict(scope["headers"])
        refusal = _refuse_form(scope, headers)
        if refusal is None and scope["path"].startswith(GUARDED):
            refusal = await self._answer(scope, headers, receive, counted)
        elif refusal is None:
            await self._app(scope, receive, counted)
        if refusal is not None:
            self._metrics.refused.labels(refusal.detail.replace(" ", "_")).inc()
            await _send(refusal, counted)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> HTTPException | None:
        """Have the application answer, or say why it does not."""
        try:
            principal = await self._authenticator.authenticate(headers)
        except UnauthorizedError:
            return HTTPException(401, "unauthorized", {"www-authenticate": "Bearer"})
        seconds = self._rate_limit.seconds_to_wait(principal.name)
        if seconds:
            return HTTPException(429, "too many requests", {"retry-after": str(math.ceil(seconds))})
        scope[PRINCIPAL] = principal
        if self._admission.is_full:
            return BUSY
        try:
            body = await _read_body(receive)
        except HTTPException as refusal:
            return refusal
        try:
            async with self._admission.place():
                await self._app(scope, _received(body, receive), send)
        except BusyError:
            return BUSY
        return None


def _refuse_form(scope: Scope, headers: dict[bytes, bytes]) -> HTTPException | None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
        return HTTPException(431, "headers too large")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        return HTTPException(400, "invalid content length")
    if int(length[:20]) > MAX_BODY:
        return HTTPException(413, "body too large")
    path = scope.get("raw_path") or b""
    if b"%" in path:
        try:
            unquote_to_bytes(path).decode("utf-8")
        except UnicodeDecodeError:
            return HTTPException(400, "path is not UTF-8")
    return None


async def _read_body(receive: Receive) -> bytes:
    """
    Raises:
        HTTPException: the body, whatever length was told, is too large, or it did not come in time.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY:
                    raise HTTPException(413, "body too large")
                if not message.get("more_body", False):  # the last part, or the client has gone
                    return b"".join(parts)
    except TimeoutError:
        raise HTTPException(408, "body too slow") from None


def _received(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body`, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _send(refusal: HTTPException, send: Send) -> None:
    body = orjson.dumps({"detail": refusal.detail})
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode()) for name, value in (refusal.headers or {}).items()),
    ]
    start: dict[str, Any] = {"type": "http.response.start", "status": refusal.status_code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
