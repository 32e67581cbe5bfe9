from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from components.marketplace.sessions import NO_ITEM
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import MarketConfig
from reland.studies.replay import CANDIDATE, CONTROL, Policies, replay_experiment, true_lift
from serving.experiment.user_days import USER_DAYS

USERS, DAY = 300, 31


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(MarketConfig(users=USERS, items=60), 0)


@pytest.fixture(scope="module")
def policies(truth):
    users = np.arange(USERS)
    probability = truth.click_probability(users[:, None], np.arange(60), DAY)
    best = np.argsort(-probability, axis=1)
    return Policies(truth, users, control=best[:, 30:34], candidate=best[:, :4], days=[DAY, DAY + 1])


def test_the_true_lift_of_two_users_by_hand(truth):
    """Lists of one item and of two; users count by how often they come."""
    lists = {"control": np.array([[1, NO_ITEM], [2, 3]]), "candidate": np.array([[4, NO_ITEM], [5, 3]])}
    policies = Policies(truth, np.array([7, 9]), **lists, days=[DAY])
    rate = truth.users.sessions_per_day[[7, 9]].astype(float)

    def p(user, item):
        return float(truth.click_probability(np.array(user), np.array(item), DAY))

    def v(user, item):
        return float(truth.conversion_probability(np.array(user), np.array(item), DAY))

    shown = rate[0] + 2 * rate[1]
    clicks, bought = {}, {}
    for name, (first, second) in {"control": (1, 2), "candidate": (4, 5)}.items():
        clicks[name] = rate[0] * p(7, first) + rate[1] * (p(9, second) + p(9, 3))
        bought[name] = rate[0] * p(7, first) * v(7, first) + rate[1] * (p(9, second) * v(9, second) + p(9, 3) * v(9, 3))
    lift = true_lift(policies)
    assert lift.ctr == pytest.approx((clicks["candidate"] / shown) / (clicks["control"] / shown) - 1, rel=1e-5)
    conversion = {name: bought[name] / clicks[name] for name in clicks}
    assert lift.cvr == pytest.approx(conversion["candidate"] / conversion["control"] - 1, rel=1e-5)


def test_equal_lists_have_no_lift(policies):
    lift = true_lift(replace(policies, candidate=policies.control))
    assert (lift.ctr, lift.cvr) == (0.0, 0.0)


def test_a_replay_is_a_sample_of_the_market(policies):
    user_days = replay_experiment(policies, 20_000, np.random.default_rng(0))
    assert user_days.schema == USER_DAYS
    assert [str(day) for day in pc.unique(user_days["day"]).to_pylist()] == ["2024-02-01", "2024-02-02"]
    rows = user_days.to_pandas()
    assert not rows.duplicated(["user_id", "day"]).any() and rows.groupby("user_id")["arm"].nunique().max() == 1
    assert (rows["impressions"] == 4 * rows["lists"]).all() and (rows["lists"] > 0).all()
    assert (rows["clicks"] <= rows["impressions"]).all() and (rows["conversions"] <= rows["clicks"]).all()
    users = rows.groupby("arm")["user_id"].nunique()
    assert abs(users[CANDIDATE] - users[CONTROL]) < 4 * np.sqrt(users.sum())
    rates = rows.groupby("arm")[["clicks", "impressions"]].sum().eval("clicks / impressions")
    # Some 80,000 impressions an arm, and users who differ: a standard error of 3% is a generous one.
    assert rates[CANDIDATE] / rates[CONTROL] == pytest.approx(1 + true_lift(policies).ctr, rel=0.1)


def test_equal_generators_give_equal_replays(policies):
    one, other = (replay_experiment(policies, 500, np.random.default_rng(3)) for _ in range(2))
    assert one.equals(other)
