"""What is decided before a request is answered: is it too large, is it meant for here, who asks, may they, have they
asked too often, is there a place.

A request's body is read before it takes a place, so that who sends slowly keeps nobody from being answered.

A plain ASGI middleware: Starlette's base class would put a task and a queue around every request.
"""

import asyncio
import math
import time
from collections import Counter
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.foundation.progress import say
from serving.gateway.admission import Admission, BusyError, RateLimit
from serving.gateway.api import API_VERSION, VERSION_HEADER
from serving.gateway.authentication import (
    EVENTS,
    OPERATE,
    SERVE,
    Authenticator,
    Principal,
    UnauthorizedError,
    is_loopback,
)
from serving.gateway.metrics import Metrics
from serving.gateway.problems import MEDIA_TYPE, problem_body

MAX_BODY = 1 << 20  # bytes; 1,000 candidates of 512 bytes fit
MAX_HEADERS = 16 << 10
BODY_SECONDS = 10.0  # within which a body must have come
# Bodies that have come in part, of all requests together; one of at most SMALL_BODY is taken in any case.
MAX_PENDING = 16 << 20
SMALL_BODY = 16 << 10
SAY_SECONDS = 10.0  # between two lines about refusals
PRINCIPAL = "reland.principal"  # where the principal is in a request's scope
# The scope that a path wants, by what it begins with; health is open.
SCOPE_OF = {"/v1/events": EVENTS, "/v1/": SERVE, "/metrics": OPERATE, "/docs": SERVE, "/openapi.json": SERVE}
OPEN = ("/healthz", "/readyz")
ROUTES = ("/v1/rank", "/v1/recommend", "/v1/events", "/v1/explanations")  # as metrics call them: no user id

_VERSION = (VERSION_HEADER.lower().encode(), API_VERSION.encode())
BUSY = HTTPException(429, "busy", {"retry-after": "1"})


class Gate:
    """Lets requests through to `app` when all of it allows; health is open, and takes no place."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        rate_limit: RateLimit,
        admission: Admission,
        metrics: Metrics,
        local: bool = False,
    ):
        """`local`: anyone on this machine may ask, and no page of the web in a browser on it (DNS rebinding)."""
        self._app = app
        self._authenticator = authenticator
        self._rate_limit = rate_limit
        self._admission = admission
        self._metrics = metrics
        self._local = local
        self._pending = 0
        self._refusals: Counter[str] = Counter()
        self._said = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = next((route for route in ROUTES if scope["path"].startswith(route)), "other")

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), _VERSION]
                self._metrics.responses.labels(route, str(message["status"])).inc()
            await send(message)

        headers = dict(scope["headers"])
        refusal = _refuse_form(scope, headers)
        if refusal is None and self._local:
            refusal = _refuse_foreign(headers)
        if refusal is None and scope["path"] not in OPEN:
            refusal = await self._answer(scope, headers, receive, counted)
        elif refusal is None:
            await self._app(scope, receive, counted)
        if refusal is not None:
            self._count(refusal, scope.get(PRINCIPAL))
            await _send(refusal, counted)

    def _count(self, refusal: HTTPException, principal: Principal | None) -> None:
        self._metrics.refused.labels(refusal.detail.replace(" ", "_")).inc()
        self._refusals[f"{refusal.detail} ({principal.name if principal else 'nobody'})"] += 1
        now = time.monotonic()
        if now - self._said >= SAY_SECONDS:
            self._said = now
            say("refused: " + ", ".join(f"{count} × {text}" for text, count in self._refusals.most_common(10)))
            self._refusals.clear()

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> HTTPException | None:
        """Have the application answer, or say why it does not."""
        try:
            principal = await self._authenticator.authenticate(headers)
        except UnauthorizedError:
            return HTTPException(401, "unauthorized", {"www-authenticate": "Bearer"})
        scope[PRINCIPAL] = principal
        wanted = next((needed for path, needed in SCOPE_OF.items() if scope["path"].startswith(path)), None)
        if wanted is not None and wanted not in principal.scopes:
            return HTTPException(403, f"not within the scope {wanted}")
        seconds = self._rate_limit.seconds_to_wait(principal.name)
        if seconds:
            return HTTPException(429, "too many requests", {"retry-after": str(math.ceil(seconds))})
        if self._admission.is_full(principal.name):
            return BUSY
        try:
            body = await self._read_body(receive)
        except HTTPException as refusal:
            return refusal
        try:
            async with self._admission.place(principal.name):
                await self._app(scope, _received(body, receive), send)
        except BusyError:
            return BUSY
        return None

    async def _read_body(self, receive: Receive) -> bytes:
        """
        Raises:
            HTTPException: the body, whatever length was stated, is too large, it did not come in time, or too much is
                on its way already.
        """
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    part = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    self._pending += len(part)
                    if size > MAX_BODY:
                        raise HTTPException(413, "body too large")
                    if not message.get("more_body", False):  # the last part, or the client has gone
                        return b"".join(parts)
                    if self._pending > MAX_PENDING and size > SMALL_BODY:
                        raise BUSY
        except TimeoutError:
            raise HTTPException(408, "body too slow") from None
        finally:
            self._pending -= size


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


def _refuse_foreign(headers: dict[bytes, bytes]) -> HTTPException | None:
    """Refuse what a browser sends for a page of the web: by a name that leads here, or from an origin elsewhere."""
    if not _names_this_machine(headers.get(b"host", b"").decode("latin-1")):
        return HTTPException(421, "host is not this machine")
    origin = headers.get(b"origin")
    if origin is not None and not _names_this_machine(origin.decode("latin-1").partition("://")[2]):
        return HTTPException(403, "origin is not this machine")
    return None


def _names_this_machine(host: str) -> bool:
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)


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
    body = problem_body(refusal.status_code, refusal.detail)
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode()) for name, value in (refusal.headers or {}).items()),
    ]
    start: dict[str, Any] = {"type": "http.response.start", "status": refusal.status_code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
