"""On a small market with one good ranker, one bad one, and popularity: everything else is as in a run's market."""

import numpy as np
import pytest

from components.marketplace.truth import make_truth
from components.marketplace.world import MarketConfig
from reland.studies.bandit import LENGTH, LISTS_OF_DUEL, BlendMarket, compare_ways, regret_of_test
from reland.studies.bandit_page import render
from reland.studies.simulated_market import RankedMarket

LISTS = 2_000


@pytest.fixture(scope="module")
def ranked() -> RankedMarket:
    truth = make_truth(MarketConfig(users=100, items=50), 0)
    users, items = np.arange(100), np.arange(40)
    good = truth.click_probability(users[:, None], items, 30)
    scores = {"good": good, "bad": -good, "popularity": np.broadcast_to(truth.items.popularity[items], good.shape)}
    seen = np.zeros(good.shape, bool)
    seen[:, 0] = True
    return RankedMarket(truth, users, items, scores, seen)


@pytest.fixture(scope="module")
def market(ranked) -> BlendMarket:
    return BlendMarket(ranked)


def test_the_best_unseen_items_are_on_top(ranked):
    scores = np.tile(np.arange(40.0)[::-1], (2, 1))  # the first item is the best, and seen
    assert ranked.top(scores, np.array([3, 5]), 3).tolist() == [[1, 2, 3]] * 2


def test_the_value_of_a_blend_is_its_expected_clicks_by_how_often_users_come(market, ranked):
    rows = np.arange(100)
    lists = ranked.top(ranked.scores["good"], rows, LENGTH)
    clicks = [ranked.truth.click_probability(rows[:, None], lists, day).sum(axis=1) for day in range(30, 44)]
    rate = ranked.truth.users.sessions_per_day[:100].astype(float)
    assert market.value(np.array([1.0, 0.0, 0.0])) == pytest.approx((np.mean(clicks, axis=0) @ rate) / rate.sum())


def test_every_way_ends_near_the_good_ranker_and_the_page_shows_it(market):
    best = market.best(np.random.default_rng(0))
    ways = compare_ways(market, best, LISTS, repetitions=2, seed=0)
    assert [way.name for way in ways] == ["dueling bandit", "A/B duels", "A/B/n test"]
    never_learning = LISTS * (market.value(best) - market.value(np.array([0.0, 0.0, 1.0])))
    for way in ways:
        assert way.lists.tolist() == list(range(LISTS_OF_DUEL, LISTS + 1, LISTS_OF_DUEL))
        assert 0 < way.clicks[-1] < never_learning
        assert way.weights[0] - way.weights[1] > 0.1  # "bad" is "good" upside down
    assert ways[0].clicks[-1] < ways[1].clicks[-1]  # interleaving tells more of as many lists
    content = render(market, best, ways, 2)
    assert all(text in content for text in ("dueling bandit", "weight of popularity", "<polyline", "good alone"))


def test_a_test_of_arms_gives_the_rest_to_the_winner(market):
    """Of the arms "good" is the best: after the tested tenth, regret grows by what "good" misses, and no more."""
    good = np.array([1.0, 0.0, 0.0])
    regret = regret_of_test(market, good, LISTS, np.random.default_rng(0))
    assert regret.weights.tolist() == good.tolist()
    tested = LISTS // 10 // LISTS_OF_DUEL
    assert np.allclose(np.diff(regret.clicks[tested:]), 0)
