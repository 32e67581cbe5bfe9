"""Taking in no more than can be answered: a bounded number of requests at work, as many waiting, the rest refused.

A service that takes in everything answers nothing in time once more comes than it can do. Refusing costs next to
nothing, because it happens before a request is read.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.gateway.metrics import Metrics

REMEMBERED_KEYS = 10_000


class BusyError(Exception):
    """There is no place for a request now."""


class Admission:
    """Places for requests, for one event loop, first come first served."""

    def __init__(self, concurrency: int, waiting: int, wait_seconds: float, metrics: Metrics):
        self._places = asyncio.Semaphore(concurrency)
        self._waiting_limit = waiting
        self._wait_seconds = wait_seconds
        self._waiting = 0
        metrics.queued.set_function(lambda: self._waiting)
        self._in_flight = metrics.in_flight

    @property
    def is_full(self) -> bool:
        """Whether `place` would refuse now."""
        return self._places.locked() and self._waiting >= self._waiting_limit

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            BusyError: too many wait, or none came free in time.
        """
        if self.is_full:
            raise BusyError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise BusyError from None
        finally:
            self._waiting -= 1
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()
            self._places.release()


class RateLimit:
    """A token bucket for each key: `rate` requests a second, of which up to one second's worth at once."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic):
        """`rate` 0 allows any number."""
        self._rate = rate
        self._size = max(1.0, rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

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
