"""Bounds on connections, before there is a request: how many there are, how much and how long one may send.

uvicorn reads whatever a client sends until a request's headers end: one that never ends fills the memory and holds the
event loop, because what has come is copied with each part that is added. Here a connection is ended that sends too much
which is neither a request's headers nor its body, or that takes too long; and where there are too many connections, the
one that has been sending its headers for the longest makes room for a new one.
"""

import asyncio
from collections import OrderedDict
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.gateway.problems import MEDIA_TYPE, problem_body

MAX_CONNECTIONS = 1_000
# Bytes that belong to no complete headers and to no body; the gate refuses headers of more than 16 KiB by themselves.
MAX_UNFINISHED = 24 << 10
PART = 4 << 10  # bytes that are parsed before they are counted
MAX_PIPELINED = 16  # requests that wait on one connection for the one before them
HEADER_SECONDS = 10.0  # from a new connection, or a later request's first byte, to the end of the headers
LINGER_SECONDS = 5.0  # for the rest of a body that is no longer wanted: who has not read the answer would lose it
# Longer than load balancers and clients keep a connection at rest (60 s): who closes first cannot be answered into.
KEEP_ALIVE_SECONDS = 75.0


class Connections:
    """The connections of one server that are not waiting for an answer, those that have waited longest first."""

    def __init__(self, limit: int = MAX_CONNECTIONS):
        self.limit = limit
        self.reading: OrderedDict[BoundedProtocol, None] = OrderedDict()  # a request's headers have not ended
        self.resting: OrderedDict[BoundedProtocol, None] = OrderedDict()  # between two requests

    def forget(self, connection: "BoundedProtocol") -> None:
        """Take a connection out of the count."""
        self.reading.pop(connection, None)
        self.resting.pop(connection, None)

    def make_room(self) -> bool:
        """Close the connection that is missed the least; False where every one waits for its answer."""
        for waiting in (self.reading, self.resting):
            if waiting:
                next(iter(waiting)).end()
                return True
        return False


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol within those bounds; use `protocol_of`."""

    room: Connections
    _unfinished = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection and begin the time that its headers may take."""
        super().connection_made(transport)
        if len(self.connections) > self.room.limit and not self.room.make_room():
            self._refuse(503, "too many connections")
            return
        self._wait(self.room.reading, HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection out of the count."""
        self._at_work()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes that belong to no body before they are parsed."""
        for start in range(0, len(data), PART):
            if self.transport.is_closing():
                return
            part = data[start : start + PART]
            self._unfinished += len(part)
            super().data_received(part)
            if self._unfinished > MAX_UNFINISHED and not self.transport.is_closing():
                self._refuse(431, "headers too large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self not in self.room.reading:  # the time for the first request began with the connection
            self._wait(self.room.reading, HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        """The headers have come in time: their clock stops."""
        self._unfinished = 0
        self._at_work()
        if len(self.pipeline) >= MAX_PIPELINED:
            self.end()
        elif not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Bytes of a body are no header bytes: the count begins anew, and the gate bounds bodies."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has come whole."""
        self._unfinished = 0
        super().on_message_complete()
        if self.cycle.response_complete and not self.pipeline:
            self._wait(self.room.resting, KEEP_ALIVE_SECONDS)

    def on_response_complete(self) -> None:
        """The answer is sent: the next request's headers get a time of their own."""
        last = not self.pipeline
        super().on_response_complete()
        if last and not self.transport.is_closing():
            self._wait(self.room.resting, LINGER_SECONDS if self.cycle.more_body else KEEP_ALIVE_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed in the form of every other refusal."""
        self._refuse(400, "not HTTP")

    def end(self) -> None:
        """Close the connection."""
        self._at_work()
        self.transport.close()

    def _wait(self, where: "OrderedDict[BoundedProtocol, None]", seconds: float) -> None:
        self._at_work()
        where[self] = None
        self._timer = self.loop.call_later(seconds, self.end)

    def _at_work(self) -> None:
        if self._timer is not None:  # it is set for as long as the connection waits
            self.room.forget(self)
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, detail: str) -> None:
        if (
            self.cycle is None or self.cycle.response_complete
        ):  # else an answer is under way, and nothing may come between
            body = problem_body(status, detail)
            self.transport.write(
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                + body
            )
        self.end()


def protocol_of(connections: Connections) -> type[BoundedProtocol]:
    """The protocol of a server whose connections these are."""
    return type("ServerProtocol", (BoundedProtocol,), {"room": connections})
