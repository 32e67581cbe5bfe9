"""The log's clicks, carts and purchases against the probabilities that the truth states."""

from dataclasses import replace

import numpy as np
import pytest

from components.marketplace.sessions import (
    NO_ITEM,
    Sessions,
    draw_outcomes,
    simulate_day,
)
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import MarketConfig, generator_of

CONFIG = MarketConfig(users=4_000, items=800, days=10)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(CONFIG, 0)


@pytest.fixture(scope="module")
def days(truth) -> list[Sessions]:
    return [simulate_day(truth, day) for day in range(CONFIG.days)]


def standard_errors(happened: np.ndarray, probability: np.ndarray) -> float:
    """By how many standard errors the number of events differs from its expectation; each is a Bernoulli trial."""
    probability = probability.astype(np.float64)
    return abs(happened.sum() - probability.sum()) / np.sqrt((probability * (1 - probability)).sum())


def groups(level: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """All, the activity levels and the tenths of the probability, as masks."""
    tenth = np.searchsorted(np.quantile(probability, np.linspace(0.1, 0.9, 9)), probability)
    return {
        "all": np.ones(len(level), dtype=bool),
        **{f"L{number}": level == number for number in (1, 2, 3, 4)},
        **{f"tenth {number}": tenth == number for number in range(10)},
    }


def test_empirical_rates_agree_with_the_stated_probabilities(truth, days):
    """Within 3 standard errors: click-through, cart and conversion rate; overall, by level and by probability."""
    level, click, clicked, conversion, carted, purchased = [], [], [], [], [], []
    for day, sessions in enumerate(days):
        session, slot = np.nonzero(sessions.lists != NO_ITEM)
        user, item = sessions.user[session], sessions.lists[session, slot]
        level.append(truth.users.level[user])
        click.append(truth.click_probability(user, item, day))
        clicked.append(sessions.outcomes.clicked[session, slot])
        conversion.append(truth.conversion_probability(user, item, day))
        carted.append(sessions.outcomes.carted[session, slot])
        purchased.append(sessions.outcomes.purchased[session, slot])
    level, click, clicked, conversion, carted, purchased = map(
        np.concatenate, (level, click, clicked, conversion, carted, purchased)
    )
    assert len(click) > 150_000
    for name, group in groups(level, click).items():
        assert standard_errors(clicked[group], click[group]) < 3, f"CTR, {name}"
    for name, group in groups(level[clicked], conversion[clicked]).items():
        stated = conversion[clicked][group]
        assert standard_errors(purchased[clicked][group], stated) < 3, f"CVR, {name}"
        assert standard_errors(carted[clicked][group], 1 - (1 - stated) ** 2) < 3, f"cart rate, {name}"
    assert not (purchased & ~carted).any() and not (carted & ~clicked).any()


def test_slots_further_down_are_looked_at_less():
    truth = make_truth(replace(CONFIG, position_bias=0.7), 0)
    users = np.arange(4_000)
    lists = np.random.default_rng(0).integers(600, size=(4_000, 8))
    outcomes = draw_outcomes(truth, users, lists, 0, generator_of(1))
    stated = truth.click_probability(users[:, None], lists, 0)
    for slot in (0, 1, 7):
        clicked, looked_at = outcomes.clicked[:, slot], (slot + 1) ** -0.7
        assert standard_errors(clicked, stated[:, slot] * looked_at) < 3
    assert standard_errors(outcomes.clicked[:, 7], stated[:, 7]) > 3


def test_an_empty_slot_is_never_clicked(truth):
    lists = np.full((1_000, 10), NO_ITEM)
    assert not draw_outcomes(truth, np.arange(1_000), lists, 0, generator_of(1)).clicked.any()


def test_only_who_and_what_is_there_is_shown_and_nothing_twice(truth, days):
    for day, sessions in enumerate(days):
        assert sessions.user.max() < truth.users_on(day)
        assert sessions.lists.max() < truth.items_on(day)
        ordered = np.sort(sessions.lists, axis=1)
        assert not ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_ITEM)).any()
        assert (sessions.lists[:, 0] != NO_ITEM).all()
    late_users, late_items = truth.users_on(0), truth.items_on(0)
    assert (days[-1].user >= late_users).any() and (days[-1].lists >= late_items).any()


def test_a_search_shows_what_the_user_is_after(truth, days):
    found = days[3]
    category, brand = truth.intent(found.user, 3)
    shown = found.lists != NO_ITEM
    right_category = (truth.items.category[found.lists] == category[:, None])[shown]
    right_brand = (truth.items.brand[found.lists] == brand[:, None])[shown]
    searching = np.broadcast_to(found.searching[:, None], shown.shape)[shown]
    named = np.broadcast_to((found.searching & found.names_brand)[:, None], shown.shape)[shown]
    assert right_category[searching].all()
    assert 0.2 < right_category[~searching].mean() < 0.7
    assert right_brand[named].mean() > 2 * right_brand[searching & ~named].mean()


def test_an_item_missing_from_a_category_is_replaced_by_others():
    truth = make_truth(MarketConfig(users=200, items=2), 0)  # nearly every category is empty
    lists = simulate_day(truth, 0).lists
    assert set(lists.ravel().tolist()) <= {NO_ITEM, 0, 1}


def test_evenings_are_busier_than_nights(days):
    hour = np.concatenate([sessions.start for sessions in days]) // 3600
    counts = np.bincount(hour, minlength=24)
    assert len(counts) == 24 and counts[20] > 5 * counts[3]
