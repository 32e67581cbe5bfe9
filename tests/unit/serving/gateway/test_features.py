"""The feature reader over a store that stands in for Feast, because here its failures are what is tested."""

import asyncio

import numpy as np
import pytest

from components.contracts.exclusions import ADMIT, EXCLUDE, TEXT, decide, read_exclusions
from feature_repo.online import OnlineRationale, OnlineUser
from serving.gateway.breaker import CircuitBreaker, DependencyError
from serving.gateway.catalogue import Catalogue
from serving.gateway.features import FeatureReader
from serving.gateway.metrics import Metrics

CATALOGUE = Catalogue(
    {"a": 1},
    ["a"],
    np.ones((1, 2), np.float32),
    ["a"],
    {"a": 1},
    inputs=("history", "rationale"),
    rationales_per_user=2,
    text_encoder="tiny",
    text_dimension=3,
)


def user(ids, history=("a",)):
    return OnlineUser(list(history), list(ids), [0.9 - 0.1 * n for n in range(len(ids))], 1.0)


def rationale(value, banned=False, encoder="tiny", dimension=3):
    return OnlineRationale(np.full(dimension, value, np.float32), encoder, f"text {value}", banned)


class Store:
    """What Feast would answer; `down` makes it fail."""

    def __init__(self, users, rationales):
        self.known_users, self.known_rationales = users, rationales
        self.down = False
        self.reads = []

    async def users(self, service, ids):
        self.reads.append((service, tuple(ids)))
        if self.down:
            raise ConnectionError("down")
        return {key: self.known_users.get(key, OnlineUser([], [], [], None)) for key in ids}

    async def rationales(self, ids):
        self.reads.append(tuple(ids))
        if self.down:
            raise ConnectionError("down")
        return {key: self.known_rationales[key] for key in ids if key in self.known_rationales}


def make_reader(store, user_seconds=60.0, rationale_seconds=60.0):
    breaker = CircuitBreaker("feature_store", failures=10_000)
    return FeatureReader(store, breaker, Metrics(), 600.0, user_seconds, rationale_seconds=rationale_seconds)


def test_a_slow_read_of_the_user_may_take_what_the_rationales_leave():
    class Slow(Store):
        async def users(self, service, user_ids):
            await asyncio.sleep(0.3)  # more than half of the time
            return await super().users(service, user_ids)

    store = Slow({"u": user(["r1"])}, {"r1": rationale(1)})
    breaker = CircuitBreaker("feature_store")
    features = asyncio.run(FeatureReader(store, breaker, Metrics(), 0.5, 60.0).read("blue", "u", CATALOGUE))
    assert features.fresh and features.complete and features.explanation.rationale_id == "r1"
    with pytest.raises(DependencyError):
        asyncio.run(FeatureReader(store, breaker, Metrics(), 0.2, 60.0).read("blue", "u", CATALOGUE))


def test_features_have_the_rankers_shape_and_the_best_rationale_explains():
    store = Store({"u": user(["r1", "r2", "r3"])}, {"r1": rationale(1), "r2": rationale(2), "r3": rationale(3)})
    features = asyncio.run(make_reader(store).read("blue", "u", CATALOGUE))
    assert features.rationale.tolist() == [[[1.0] * 3, [2.0] * 3]]  # K = 2
    assert (features.explanation.rationale_id, features.explanation.similarity) == ("r1", 0.9)
    assert features.fresh and features.complete and not features.cold


def test_a_banned_rationale_gives_its_place_to_the_next():
    store = Store({"u": user(["r1", "r2", "gone"])}, {"r1": rationale(1, banned=True), "r2": rationale(2)})
    features = asyncio.run(make_reader(store).read("blue", "u", CATALOGUE))
    assert features.rationale.tolist() == [[[2.0] * 3, [0.0] * 3]]
    assert features.explanation.preference_summary == "text 2" and features.complete


def test_a_ban_by_text_is_in_force_with_the_next_request_whatever_is_remembered(tmp_path):
    file = tmp_path / "exclusions.jsonl"
    store = Store({"u": user(["r1", "r2"])}, {"r1": rationale(1), "r2": rationale(2)})
    breaker = CircuitBreaker("feature_store")
    reader = FeatureReader(store, breaker, Metrics(), 600.0, 60.0, lambda: read_exclusions(file))

    async def scene():
        first = await reader.read("blue", "u", CATALOGUE)
        decide(file, EXCLUDE, TEXT, ["TEXT 1"], "why")
        banned = await reader.read("blue", "u", CATALOGUE)
        decide(file, ADMIT, TEXT, ["text 1"], "why")
        return first, banned, await reader.read("blue", "u", CATALOGUE)

    first, banned, lifted = asyncio.run(scene())
    assert first.explanation.rationale_id == lifted.explanation.rationale_id == "r1"
    assert banned.explanation.rationale_id == "r2" and banned.complete


def test_an_assignment_of_another_pool_is_not_given_to_the_ranker():
    of_another = OnlineUser(["a"], ["r1"], [0.9], 1.0, pool="another")
    store = Store({"u": of_another, "bare": user([])}, {"r1": rationale(1)})
    reader = make_reader(store)
    features = asyncio.run(reader.read("blue", "u", CATALOGUE))
    assert not features.complete and features.history == ["a"]
    assert asyncio.run(reader.read("blue", "bare", CATALOGUE)).complete  # of no pool, so it is of none that is wrong


@pytest.mark.parametrize("odd", [rationale(1, encoder="another"), rationale(1, dimension=4)])
def test_a_rationale_that_does_not_fit_the_ranker_is_not_given_to_it(odd):
    features = asyncio.run(make_reader(Store({"u": user(["r"])}, {"r": odd})).read("blue", "u", CATALOGUE))
    assert not features.complete and not features.rationale.any()


def test_nobody_is_cold_and_all_zeros():
    features = asyncio.run(make_reader(Store({}, {})).read("blue", "nobody", CATALOGUE))
    assert features.cold and features.complete and features.explanation is None
    assert not features.rationale.any()


def test_what_is_fresh_is_not_read_again_and_the_slots_are_kept_apart():
    async def scene():
        store = Store({"u": user(["r"])}, {"r": rationale(1)})
        reader = make_reader(store)
        for _ in range(3):
            await reader.read("blue", "u", CATALOGUE)
        assert store.reads == [("blue", ("u",)), ("r",)]
        await reader.read("green", "u", CATALOGUE)
        assert store.reads[2:] == [("green", ("u",))]

    asyncio.run(scene())


def test_while_the_store_is_down_the_last_known_serve_and_who_is_not_known_is_an_error():
    async def scene():
        store = Store({"u": user(["r"])}, {"r": rationale(1)})
        reader = make_reader(store, user_seconds=-1.0, rationale_seconds=-1.0)
        before = await reader.read("blue", "u", CATALOGUE)
        store.down = True
        after = await reader.read("blue", "u", CATALOGUE)
        assert before.fresh and not after.fresh and after.complete
        np.testing.assert_array_equal(after.rationale, before.rationale)
        with pytest.raises(DependencyError, match="ConnectionError: down"):
            await reader.read("blue", "other", CATALOGUE)
        store.down = False
        assert (await reader.read("blue", "u", CATALOGUE)).fresh

    asyncio.run(scene())


def test_a_rationale_that_was_never_read_and_cannot_be_makes_the_features_incomplete():
    async def scene():
        store = Store({"u": user(["r"])}, {"r": rationale(1)})
        reader = make_reader(store)
        reader._rationale_reads._read = store_down  # the store fails between the two reads
        features = await reader.read("blue", "u", CATALOGUE)
        assert not features.complete and features.explanation is None and features.history == ["a"]

    async def store_down(ids):
        raise DependencyError("down")

    asyncio.run(scene())


def test_concurrent_reads_share_a_request_to_the_store():
    async def scene():
        users = {f"u{number}": user(["r"]) for number in range(20)}
        store = Store(users, {"r": rationale(1)})
        reader = make_reader(store)
        await asyncio.gather(*(reader.read("blue", name, CATALOGUE) for name in [*users, *users]))
        asked = [keys for read in store.reads if isinstance(read[1:], tuple) and read[0] == "blue" for keys in read[1]]
        assert sorted(asked) == sorted(users)  # each once
        assert len(store.reads) < 10

    asyncio.run(scene())
