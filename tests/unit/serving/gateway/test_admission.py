import asyncio

import pytest

from serving.gateway.admission import Admission, BusyError, RateLimit
from serving.gateway.metrics import Metrics


def test_places_go_first_come_first_served_and_one_too_many_is_refused_at_once():
    async def scene():
        admission = Admission(concurrency=1, waiting=1, wait_seconds=60.0, metrics=Metrics())
        leave, order = asyncio.Event(), []

        async def work(name):
            async with admission.place("shop"):
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


def test_who_asks_much_leaves_room_for_who_asks_little():
    """One place, three may wait. Four of the greedy are there; the modest one takes the latest's place, and is next."""

    async def scene():
        admission = Admission(concurrency=1, waiting=3, wait_seconds=60.0, metrics=Metrics())
        leave, order = asyncio.Event(), []

        async def work(principal, name):
            async with admission.place(principal):
                order.append(name)
                await leave.wait()

        greedy = [asyncio.create_task(work("greedy", f"greedy {number}")) for number in range(4)]
        await asyncio.sleep(0)
        assert admission.is_full("greedy") and not admission.is_full("modest")
        modest = asyncio.create_task(work("modest", "modest"))
        await asyncio.sleep(0)
        leave.set()
        answers = await asyncio.gather(*greedy, modest, return_exceptions=True)
        assert [type(answer) for answer in answers] == [type(None)] * 3 + [BusyError, type(None)]
        assert order == ["greedy 0", "greedy 1", "modest", "greedy 2"]

    asyncio.run(scene())


def test_a_place_that_a_cancelled_request_waited_for_goes_to_the_next():
    async def scene():
        admission = Admission(concurrency=1, waiting=2, wait_seconds=60.0, metrics=Metrics())

        async def work():
            async with admission.place("shop"):
                return "done"

        async with admission.place("shop"):
            first, second = asyncio.create_task(work()), asyncio.create_task(work())
            await asyncio.sleep(0)
            first.cancel()
        assert await second == "done" and first.cancelled()
        assert await work() == "done"

    asyncio.run(scene())


def test_who_waits_too_long_is_refused_and_leaves_no_trace():
    async def scene():
        admission = Admission(concurrency=1, waiting=1, wait_seconds=0.01, metrics=Metrics())
        async with admission.place("shop"):
            for _ in range(2):
                with pytest.raises(BusyError):
                    async with admission.place("shop"):
                        pass
        async with admission.place("shop"):
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


def test_what_costs_more_is_paid_for():
    now = 0.0
    limit = RateLimit(10.0, lambda: now)
    assert limit.seconds_to_wait("a") == 0.0
    limit.charge("a", 4.0)
    assert limit.seconds_to_wait("a") == 0.0  # 5 are left, then 4
    limit.charge("a", 30.0)
    assert limit.seconds_to_wait("a") == pytest.approx(2.7)  # 26 are owed
    now = 2.7
    assert limit.seconds_to_wait("a") == 0.0
    limit.charge("nobody", 1.0)


def test_no_rate_is_no_limit_and_a_rate_below_one_lets_one_through():
    assert [RateLimit(0.0).seconds_to_wait("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    slow = RateLimit(0.1, lambda: 0.0)
    assert [slow.seconds_to_wait("a") for _ in range(2)] == [0.0, 10.0]
