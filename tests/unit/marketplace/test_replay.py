from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from components.marketplace.replay import (
    CLICKS,
    CONVERSIONS,
    IMPRESSIONS,
    policy_value,
    replay,
)
from components.marketplace.sessions import NO_ITEM
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import MarketConfig

CONFIG = MarketConfig(users=3_000, items=200, days=5, days_after=5)
DAY = 7  # after the log
LENGTH = 5


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(CONFIG, 0)


@pytest.fixture(scope="module")
def policies(truth):
    """By name, from worst to best: at random, the most popular, what the truth says."""
    generator = np.random.default_rng(0)

    def random(users: np.ndarray, day: int) -> np.ndarray:
        return generator.integers(truth.items_on(day), size=(len(users), LENGTH))

    def popular(users: np.ndarray, day: int) -> np.ndarray:
        best = np.argsort(-truth.items.popularity[: truth.items_on(day)], kind="stable")[:LENGTH]
        return np.tile(best, (len(users), 1))

    def oracle(users: np.ndarray, day: int) -> np.ndarray:
        scores = truth.click_probability(users[:, None], np.arange(truth.items_on(day)), day)
        return np.argsort(-scores, axis=1)[:, :LENGTH]

    return {"random": random, "popular": popular, "oracle": oracle}


def test_policy_value_by_hand(truth):
    users, lists = np.array([4, 9]), np.array([[1, 2], [3, NO_ITEM]])
    p = [truth.click_probability(np.array(u), np.array(i), DAY) for u, i in ((4, 1), (4, 2), (9, 3))]
    v = [truth.conversion_probability(np.array(u), np.array(i), DAY) for u, i in ((4, 1), (4, 2), (9, 3))]
    ctr, cvr = policy_value(truth, users, lists, DAY)
    assert ctr == pytest.approx((p[0] + p[1] + p[2]) / 3)
    assert cvr == pytest.approx((p[0] * v[0] + p[1] * v[1] + p[2] * v[2]) / (p[0] + p[1] + p[2]))

    biased = replace(truth, config=replace(CONFIG, position_bias=1.0))  # the second slot counts one half
    ctr, cvr = policy_value(biased, users, lists, DAY)
    assert ctr == pytest.approx((p[0] + p[1] / 2 + p[2]) / 3)
    assert cvr == pytest.approx((p[0] * v[0] + p[1] * v[1] / 2 + p[2] * v[2]) / (p[0] + p[1] / 2 + p[2]))

    with pytest.raises(ValueError, match="show no item"):
        policy_value(truth, users, np.full((2, 2), NO_ITEM), DAY)


def test_better_policies_are_worth_more(truth, policies):
    users = np.arange(truth.users_on(DAY))
    rates = [policy_value(truth, users, policy(users, DAY), DAY)[0] for policy in policies.values()]
    assert rates[0] * 1.3 < rates[1] and rates[1] * 1.3 < rates[2]


@pytest.mark.parametrize("name", ["popular", "oracle"])
def test_a_replay_agrees_with_the_true_value(truth, policies, name):
    users = np.arange(truth.users_on(DAY))
    ctr, cvr = policy_value(truth, users, policies[name](users, DAY), DAY)
    played = replay(truth, policies[name], DAY, users, seed=3)
    shown, clicks, conversions = map(len, (played.impressions, played.clicks, played.conversions))
    assert shown == len(users) * LENGTH
    # A binomial bounds the variance of a sum of unequal Bernoulli trials from above.
    assert abs(clicks / shown - ctr) < 3 * np.sqrt(ctr * (1 - ctr) / shown)
    assert abs(conversions / clicks - cvr) < 3 * np.sqrt(cvr * (1 - cvr) / clicks)


def test_the_tables_of_a_replay(truth):
    users = np.array([10, 3, 10])  # in any order, and more than once

    def policy(users: np.ndarray, day: int) -> np.ndarray:
        return np.tile([5, NO_ITEM, 6], (len(users), 1))

    played = replay(truth, policy, DAY, users, seed=0)
    assert (played.impressions.schema, played.clicks.schema) == (IMPRESSIONS, CLICKS)
    assert played.impressions.to_pylist()[:3] == [
        {"user_id": "u0000010", "item_id": "i000005", "day": DAY, "position": 1},
        {"user_id": "u0000010", "item_id": "i000006", "day": DAY, "position": 3},
        {"user_id": "u0000003", "item_id": "i000005", "day": DAY, "position": 1},
    ]


def test_conversions_are_clicks_and_clicks_impressions(truth, policies):
    users = np.arange(500)
    played = replay(truth, policies["oracle"], 0, users, seed=0)
    shown, clicked, bought = (
        {tuple(row[name] for name in IMPRESSIONS.names) for row in table.to_pylist()}
        for table in (played.impressions, played.clicks, played.conversions)
    )
    assert bought < clicked < shown
    assert played.conversions.schema == CONVERSIONS
    prices = truth.items.price[truth.item_index(played.conversions["item_id"])]
    assert played.conversions["value"].equals(pa.chunked_array([pa.array(prices)]))


def test_equal_seeds_give_equal_replays(truth, policies):
    users = np.arange(500)
    first, again, other = (replay(truth, policies["oracle"], DAY, users, seed) for seed in (1, 1, 2))
    assert first.clicks.equals(again.clicks) and first.conversions.equals(again.conversions)
    assert not first.clicks.equals(other.clicks)
