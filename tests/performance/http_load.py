"""Load on an HTTP server from one event loop, by a client that costs little beside what it measures.

In a closed loop a number of clients ask, each as soon as it has its answer; in an open loop requests come at a given
rate whether or not those before them are answered, as they do from users.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools
import numpy as np


@dataclass
class Load:
    """What came of a load.

    Attributes:
        seconds: of each answered request, by HTTP status; 0 stands for one without an answer.
        duration: of the whole load, in seconds.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    duration: float = 0.0

    @property
    def statuses(self) -> Counter[int]:
        return Counter({status: len(found) for status, found in self.seconds.items()})

    @property
    def throughput(self) -> float:
        """Requests a second that were answered with 200."""
        return self.statuses[200] / self.duration

    def percentile(self, share: float) -> float:
        """Seconds within which this share, in percent, of the answers with 200 came."""
        return float(np.percentile(self.seconds[200], share))

    def count(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)


def post(path: str, body: bytes) -> bytes:
    """A request as it goes over the network."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body


class Connection(asyncio.Protocol):
    """A connection that stays open, for one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None

    @staticmethod
    async def open(port: int) -> "Connection":
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
        return connection

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            ConnectionError: the connection was closed instead.
        """
        if self._transport.is_closing():
            raise ConnectionError("closed before it was asked")
        self._parts.clear()
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        if self._answered is not None:
            self._answered.set_result((self._parser.get_status_code(), b"".join(self._parts)))
            self._answered = None

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError("closed before it answered"))


async def closed_loop(ask: Callable[[], Awaitable[int]], clients: int, seconds: float) -> Load:
    """`clients` ask for this long, one request after the other; `ask` gives the status of an answer."""
    load = Load()
    began = time.perf_counter()

    async def client() -> None:
        while (start := time.perf_counter()) < began + seconds:
            status = await ask()
            load.count(status, time.perf_counter() - start)

    await asyncio.gather(*(client() for _ in range(clients)))
    load.duration = time.perf_counter() - began
    return load


async def open_loop(
    port: int,
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    connections: int,
    read: Callable[[int, bytes], None],
) -> Load:
    """`rate` requests a second, evenly, for this long, over connections of which there are enough to refuse on.

    A request's time counts from when it was due, so that a client which falls behind cannot flatter the server.

    Args:
        read: is given the status and the body of each answer.
    """
    free = [await Connection.open(port) for _ in range(connections)]
    load = Load()
    tasks = set()

    async def ask(request: bytes, due: float) -> None:
        while free and not free[-1].is_open:  # the server may close one that rests
            free.pop()
        connection = free.pop() if free else await Connection.open(port)
        try:
            status, body = await connection.ask(request)
            read(status, body)
        except ConnectionError:
            status = 0
        else:
            free.append(connection)
        load.count(status, time.perf_counter() - due)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        elif number % 8 == 0:
            await asyncio.sleep(0)
        task = asyncio.create_task(ask(requests[number % len(requests)], due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    load.duration = time.perf_counter() - began
    for connection in free:
        connection.close()
    return load
