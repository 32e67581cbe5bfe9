import asyncio

import pytest

from serving.gateway.batching import BatchReader


class Store:
    """A store whose reads end when the test says so, and which keeps what it was asked."""

    def __init__(self):
        self.reads = []

    async def read(self, keys):
        ended = asyncio.get_running_loop().create_future()
        self.reads.append((list(keys), ended))
        await ended
        return {key: key.upper() for key in keys if key != "none"}

    def end(self, number, error=None):
        ended = self.reads[number][1]
        ended.set_result(None) if error is None else ended.set_exception(error)


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_comes_during_a_read_goes_together_in_the_next_and_equal_keys_are_read_once():
    async def scene():
        store = Store()
        reader = BatchReader(store.read, batch=3, concurrency=1)
        gets = [asyncio.create_task(reader.get(key)) for key in ("a", "b", "a", "c", "none", "d", "b")]
        await turns()
        assert [keys for keys, _ in store.reads] == [["a"]]
        store.end(0)
        await turns()
        assert store.reads[1][0] == ["b", "c", "none"]
        again = asyncio.create_task(reader.get("c"))  # being read: no further read
        store.end(1)
        await turns()
        assert store.reads[2][0] == ["d"]
        store.end(2)
        assert await asyncio.gather(*gets, again) == ["A", "B", "A", "C", None, "D", "B", "C"]
        assert len(store.reads) == 3

    asyncio.run(scene())


def test_a_failure_reaches_everyone_who_waits_and_the_next_read_is_a_new_one():
    async def scene():
        store = Store()
        reader = BatchReader(store.read)
        gets = [asyncio.create_task(reader.get("a")) for _ in range(2)]
        await turns()
        store.end(0, OSError("gone"))
        assert [type(error) for error in await asyncio.gather(*gets, return_exceptions=True)] == [OSError, OSError]
        new = asyncio.create_task(reader.get("a"))
        await turns()
        store.end(1)
        assert await new == "A"

    asyncio.run(scene())


def test_who_is_cancelled_leaves_the_read_to_the_others():
    async def scene():
        store = Store()
        reader = BatchReader(store.read)
        impatient, patient = (asyncio.create_task(reader.get("a")) for _ in range(2))
        await turns()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        store.end(0)
        assert await patient == "A"

    asyncio.run(scene())
