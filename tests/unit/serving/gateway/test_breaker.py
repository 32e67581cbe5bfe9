import asyncio

import pytest

from serving.gateway.breaker import CircuitBreaker, DependencyError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def answer():
    return 7


async def fail():
    raise OSError("gone")


def outcome(breaker, action, seconds=1.0):
    async def ask():
        return await breaker.call(action, seconds)

    try:
        return asyncio.run(ask())
    except DependencyError as error:
        return str(error)


def test_opens_after_failures_in_a_row_and_closes_with_the_first_success_after_a_pause():
    clock, changes = Clock(), []
    failed = []
    breaker = CircuitBreaker(
        "store", 2, 1.0, clock, on_failure=lambda: failed.append(clock.now), on_change=changes.append
    )
    assert outcome(breaker, fail) == "store: OSError: gone"
    assert outcome(breaker, answer) == 7  # ends the row
    assert outcome(breaker, fail) == outcome(breaker, fail) == "store: OSError: gone"
    assert breaker.is_open
    assert outcome(breaker, answer) == "store: its circuit is open"
    clock.now = 0.99
    assert outcome(breaker, answer) == "store: its circuit is open"
    clock.now = 1.0
    assert outcome(breaker, fail) == "store: OSError: gone"  # the one that tries
    clock.now = 1.99
    assert outcome(breaker, answer) == "store: its circuit is open"
    clock.now = 2.0
    assert outcome(breaker, answer) == 7
    assert not breaker.is_open and changes == ["OSError: gone", None]
    assert failed == [0.0, 0.0, 0.0, 1.0]  # not those that were turned away


def test_a_call_that_takes_too_long_is_cancelled_and_counts_as_a_failure():
    cancelled = []

    async def hang():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    breaker = CircuitBreaker("store", failures=1)
    assert outcome(breaker, hang, 0.01) == "store: no answer within 10 ms"
    assert cancelled == [True] and breaker.is_open


def test_while_one_call_tries_the_others_are_turned_away_and_a_cancelled_try_decides_nothing():
    clock = Clock()
    breaker = CircuitBreaker("store", failures=1, seconds=1.0, clock=clock)

    async def scene():
        with pytest.raises(DependencyError):
            await breaker.call(fail, 1.0)
        clock.now = 1.0
        trying = asyncio.create_task(breaker.call(lambda: asyncio.sleep(60), 60.0))
        await asyncio.sleep(0)
        with pytest.raises(DependencyError, match="its circuit is open"):
            await breaker.call(answer, 1.0)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
        return await breaker.call(answer, 1.0)

    assert asyncio.run(scene()) == 7


def test_a_call_that_the_dependency_cancels_is_a_failure_and_no_cancellation_of_ours():
    async def cancelled():
        raise asyncio.CancelledError

    breaker = CircuitBreaker("store", failures=1)
    assert outcome(breaker, cancelled) == "store: the call was cancelled"
    assert breaker.is_open
