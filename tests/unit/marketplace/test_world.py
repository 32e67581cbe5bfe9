import numpy as np
import pytest

from components.marketplace.world import (
    LEVEL_SHARES,
    MarketConfig,
    draw_by_taste,
    generator_of,
    make_items,
    make_users,
    turned,
)

CONFIG = MarketConfig(users=20_000, items=2_000)


@pytest.fixture(scope="module")
def users():
    return make_users(CONFIG, 0)


def test_users_and_items_arrive_on_every_day(users):
    for days, count, late in (
        (users.signup_day, CONFIG.users, CONFIG.late_users),
        (make_items(CONFIG, 0).launch_day, CONFIG.items, CONFIG.late_items),
    ):
        assert (np.diff(days) >= 0).all()  # numbered in the order of arrival
        assert (days < CONFIG.days).sum() == count
        assert (days == 0).sum() == round(count * (1 - late))
        assert set(range(CONFIG.horizon)) == set(days.tolist())  # some on each day, after the log too


def test_a_market_of_one_day_has_no_late_arrivals():
    assert (make_users(MarketConfig(users=5, items=3, days=1), 0).signup_day == 0).all()


def test_activity_is_heavy_tailed_and_levels_follow_it(users):
    shares = np.bincount(users.level)[1:] / len(users.level)
    np.testing.assert_allclose(shares, LEVEL_SHARES, atol=0.015)
    for level in (1, 2, 3):
        assert users.sessions_per_day[users.level == level].max() <= users.sessions_per_day[users.level > level].min()
    busiest = np.sort(users.sessions_per_day)[-len(users.level) // 10 :]
    assert busiest.sum() > 0.3 * users.sessions_per_day.sum()
    assert users.sessions_per_day.mean() == pytest.approx(CONFIG.sessions_per_day, rel=0.03)


def test_tastes_turn_by_the_drift(users):
    later = turned(users.category_taste, users.category_drift, CONFIG.drift * 30)
    assert later.std() == pytest.approx(1, abs=0.01)
    correlation = np.corrcoef(users.category_taste.ravel(), later.ravel())[0, 1]
    assert correlation == pytest.approx(np.cos(CONFIG.drift * 30), abs=0.01)


def test_what_users_are_after_follows_their_taste(users):
    rows = np.arange(len(users.level))
    brand = users.intent_brand[:, 0]
    assert users.brand_taste[rows, brand].mean() > 1
    assert users.category_taste[rows, users.intent_category[:, 0]].mean() > 1


def test_draws_follow_the_softmax_of_taste():
    taste = np.broadcast_to(np.log(np.float32([1, 2, 5])), (100_000, 3))
    share = np.bincount(draw_by_taste(taste, 1.0, generator_of(0, 9))) / len(taste)
    np.testing.assert_allclose(share, [1 / 8, 2 / 8, 5 / 8], atol=0.005)


def test_a_market_without_users_is_refused():
    with pytest.raises(ValueError, match="at least one user"):
        MarketConfig(users=0)
