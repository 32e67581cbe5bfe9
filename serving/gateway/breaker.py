"""A circuit breaker: a dependency that keeps failing is not asked for a moment, so that requests do not wait for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")


class DependencyError(Exception):
    """A dependency gave no answer: it failed, it took too long, or its circuit is open."""


class CircuitBreaker:
    """Closed: calls go through. Open after `failures` in a row: none does. After `seconds` one call goes through to
    try: it closes the circuit when it succeeds and opens it for as long again when it fails.

    For one event loop; the clock (seconds) is a parameter so that tests need not wait.
    """

    def __init__(
        self,
        name: str,
        failures: int = 5,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[bool], None] = lambda is_open: None,
    ):
        """`on_change` is told when the circuit opens (True) and closes (False)."""
        self.name = name
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._on_change = on_change
        self._failures = 0
        self._opened: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    async def call(self, action: Callable[[], Awaitable[Answer]], seconds: float) -> Answer:
        """The answer of `action`, which is cancelled after `seconds`.

        Raises:
            DependencyError: it failed, it took longer, or the circuit is open.
        """
        self._enter()
        answered: bool | None = None  # None: our caller was cancelled, which says nothing about the dependency
        try:
            async with asyncio.timeout(seconds):
                answer = await action()
            answered = True
            return answer
        except TimeoutError as error:
            answered = False
            raise DependencyError(f"{self.name}: no answer within {seconds * 1000:.0f} ms") from error
        except Exception as error:
            answered = False
            raise DependencyError(f"{self.name}: {type(error).__name__}: {error}") from error
        finally:
            self._leave(answered)

    def _enter(self) -> None:
        if self._opened is None:
            return
        if self._trying or self._clock() - self._opened < self._seconds:
            raise DependencyError(f"{self.name}: its circuit is open")
        self._trying = True

    def _leave(self, answered: bool | None) -> None:
        self._trying = False
        if answered:
            self._failures = 0
            if self._opened is not None:
                self._opened = None
                self._on_change(False)
        elif answered is False:
            self._failures += 1
            if self._failures >= self._limit:
                if self._opened is None:
                    self._on_change(True)
                self._opened = self._clock()
