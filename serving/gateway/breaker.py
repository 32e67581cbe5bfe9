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
        on_failure: Callable[[], None] = lambda: None,
        on_change: Callable[[str | None], None] = lambda reason: None,
    ):
        """`on_failure` is told of each failed call; `on_change` why the circuit opens, and None when it closes."""
        self.name = name
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self._on_failure = on_failure
        self._on_change = on_change
        self._failures = 0
        self._opened: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the dependency is not to be called now."""
        return self._opened is not None

    async def call(self, action: Callable[[], Awaitable[Answer]], seconds: float) -> Answer:
        """The answer of `action`, which is cancelled after `seconds`.

        Raises:
            DependencyError: it failed, it took longer, or the circuit is open.
        """
        self._enter()
        # Where our caller is cancelled, neither is set, which says nothing about the dependency.
        answered, failure = False, ""
        try:
            async with asyncio.timeout(seconds):
                answer = await action()
            answered = True
            return answer
        except TimeoutError as error:
            failure = f"no answer within {seconds * 1000:.0f} ms"
            raise DependencyError(f"{self.name}: {failure}") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: gRPC cancels the calls of a connection that is closed.
            failure = "the call was cancelled"
            raise DependencyError(f"{self.name}: {failure}") from error
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            raise DependencyError(f"{self.name}: {failure}") from error
        finally:
            self._leave(answered, failure)

    def _enter(self) -> None:
        if self._opened is None:
            return
        if self._trying or self._clock() - self._opened < self._seconds:
            raise DependencyError(f"{self.name}: its circuit is open")
        self._trying = True

    def _leave(self, answered: bool, failure: str) -> None:
        self._trying = False
        if answered:
            self._failures = 0
            if self._opened is not None:
                self._opened = None
                self._on_change(None)
        elif failure:
            self._on_failure()
            self._failures += 1
            if self._failures >= self._limit:
                if self._opened is None:
                    self._on_change(failure)
                self._opened = self._clock()
