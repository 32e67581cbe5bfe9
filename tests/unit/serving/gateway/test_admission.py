import asyncio

import pytest

from serving.gateway.admission import Admission, BusyError, RateLimit
from serving.gateway.metrics import Metrics


def test_places_go_first_come_first_served_and_one_too_many_is_refused_at_once():
    async def scene():
        admission = Admission(concurrency=1, waiting=1, wait_seconds=60.0, metrics=Metrics())
        leave, order = asyncio.Event(), []

        async def work(name):
            async with admission.place():
                order.append(name)
                await leave.wait()

        first, second = asyncio.create_task(work("first")), asyncio.create_task(work("second"))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await work("third")
        assert order == ["first"]
        leave.set()
        await asyncio.gather(first, second)
        await work("fourth")
        assert order == ["first", "second", "fourth"]

    asyncio.run(scene())


def test_who_waits_too_long_is_refused_and_leaves_no_trace():
    async def scene():
        admission = Admission(concurrency=1, waiting=1, wait_seconds=0.01, metrics=Metrics())
        async with admission.place():
            for _ in range(2):
                with pytest.raises(BusyError):
                    async with admission.place():
                        pass
        async with admission.place():
            pass

    asyncio.run(scene())


def test_a_key_has_its_rate_and_a_burst_of_one_second_and_the_next_key_its_own():
    now = 0.0
    limit = RateLimit(2.0, lambda: now)
    assert [limit.seconds_to_wait("a") for _ in range(3)] == [0.0, 0.0, 0.5]
    assert limit.seconds_to_wait("b") == 0.0
    now = 0.5
    assert [limit.seconds_to_wait("a") for _ in range(2)] == [0.0, 0.5]
    now = 100.0
    assert [limit.seconds_to_wait("a") for _ in range(3)] == [0.0, 0.0, 0.5]


def test_no_rate_is_no_limit_and_a_rate_below_one_lets_one_through():
    assert [RateLimit(0.0).seconds_to_wait("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    slow = RateLimit(0.1, lambda: 0.0)
    assert [slow.seconds_to_wait("a") for _ in range(2)] == [0.0, 10.0]
