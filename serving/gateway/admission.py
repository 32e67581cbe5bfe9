"""Taking in no more than can be answered, and from everyone alike.

A service that takes in everything answers nothing in time once more comes than it can do. So a bounded number of
requests is answered at a time, half as many wait, and the rest is refused, which costs next to nothing because it
happens before a request is read. Who asks much does not crowd out who asks little: places that come free go round the
principals that wait, and where too many requests wait, it is the one with most of them whose latest is refused.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.gateway.metrics import Metrics

REMEMBERED_KEYS = 10_000


class BusyError(Exception):
    """There is no place for a request now."""


class Admission:
    """Places for requests, for one event loop: round the principals, and first come first served within each."""

    def __init__(self, concurrency: int, waiting: int, wait_seconds: float, metrics: Metrics):
        self._free = concurrency
        self._waiting_limit = waiting
        self._wait_seconds = wait_seconds
        self._waiting = 0
        # Of each principal that waits; the one whose turn is next comes first.
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        metrics.queued.set_function(lambda: self._waiting)
        self._in_flight = metrics.in_flight

    def is_full(self, principal: str) -> bool:
        """Whether `place` would refuse now."""
        return not self._free and self._waiting >= self._waiting_limit and self._crowding(principal) is None

    @asynccontextmanager
    async def place(self, principal: str) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            BusyError: too many wait, or none came free in time.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(principal)
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()
            self._hand_on()

    async def _wait(self, principal: str) -> None:
        if self._waiting >= self._waiting_limit:
            crowding = self._crowding(principal)
            if crowding is None:
                raise BusyError
            self._refuse(crowding, self._queues[crowding][-1])
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(principal, deque()).append(turn)
        self._waiting += 1
        timer = asyncio.get_running_loop().call_later(self._wait_seconds, self._refuse, principal, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._hand_on()  # the place came at the moment of the cancellation
            else:
                self._drop(principal, turn)
            raise
        finally:
            timer.cancel()

    def _crowding(self, principal: str) -> str | None:
        """Who has more requests waiting than `principal` would have with one more; None where nobody has."""
        own = len(self._queues.get(principal, ())) + 1
        largest = max(self._queues, key=lambda name: len(self._queues[name]), default=None)
        return largest if largest is not None and len(self._queues[largest]) > own else None

    def _hand_on(self) -> None:
        """Give a place that came free to who is next."""
        while self._queues:
            principal, queue = next(iter(self._queues.items()))
            turn = queue[0]
            self._drop(principal, turn)
            if principal in self._queues:
                self._queues.move_to_end(principal)
            if not turn.done():  # one that was cancelled has not left yet
                turn.set_result(None)
                return
        self._free += 1

    def _refuse(self, principal: str, turn: "asyncio.Future[None]") -> None:
        self._drop(principal, turn)
        if not turn.done():
            turn.set_exception(BusyError())

    def _drop(self, principal: str, turn: "asyncio.Future[None]") -> None:
        queue = self._queues.get(principal)
        if queue is not None and turn in queue:
            queue.remove(turn)
            self._waiting -= 1
            if not queue:
                del self._queues[principal]


class RateLimit:
    """A token bucket for each key: `rate` requests a second, of which up to one second's worth at once."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic):
        """`rate` 0 allows any number."""
        self._rate = rate
        self._size = max(1.0, rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def charge(self, key: str, cost: float) -> None:
        """Count a request that was let through as `cost` requests more; what the bucket lacks is waited for later."""
        if self._rate and key in self._buckets:
            tokens, then = self._buckets[key]
            self._buckets[key] = tokens - cost, then

    def seconds_to_wait(self, key: str) -> float:
        """0 where `key` may ask now, which counts as a request; else the seconds until it may."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.get(key, (self._size, now))
        tokens = min(self._size, tokens + (now - then) * self._rate)
        allowed = tokens >= 1.0
        self._buckets[key] = (tokens - allowed, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > REMEMBERED_KEYS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - tokens) / self._rate
