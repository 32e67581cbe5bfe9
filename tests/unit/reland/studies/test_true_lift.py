import numpy as np
import pytest

from components.marketplace.replay import policy_value
from components.marketplace.sessions import NO_ITEM
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import MarketConfig
from reland.studies.true_lift import lists_of, true_rates


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(MarketConfig(users=50, items=30, slots=3), 0)


def test_the_rates_of_one_day_are_the_policys_value(truth):
    users, lists = np.array([3, 3, 8]), np.array([[1, 2, 9], [4, NO_ITEM, NO_ITEM], [7, 2, NO_ITEM]])
    rates = true_rates(truth, users, np.array([32, 32, 32]), lists)
    assert (rates.ctr, rates.cvr) == pytest.approx(policy_value(truth, users, lists, 32))


def test_days_are_added_up_and_not_averaged(truth):
    """Three impressions on one day and one on another: CTR is that of the four."""
    users, lists = np.array([3, 8]), np.array([[1, 2, 9], [7, NO_ITEM, NO_ITEM]])
    rates = true_rates(truth, users, np.array([31, 40]), lists)
    one, other = (policy_value(truth, users[[row]], lists[[row]], day) for row, day in ((0, 31), (1, 40)))
    assert rates.ctr == pytest.approx((3 * one[0] + other[0]) / 4)
    clicks = 3 * one[0], other[0]
    assert rates.cvr == pytest.approx((clicks[0] * one[1] + clicks[1] * other[1]) / sum(clicks))


def test_lists_of_item_ids(truth):
    found = lists_of(truth, [["i000004", "i000001"], [], ["i000002", "i000000", "i000009"]])
    assert found.tolist() == [[4, 1, NO_ITEM], [NO_ITEM] * 3, [2, 0, 9]]
    with pytest.raises(ValueError, match="'other' is not of this market"):
        lists_of(truth, [["other"]])
