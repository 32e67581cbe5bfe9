import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.serving import EXPOSURES
from serving.rollout.guardrails import (
    GROUPS,
    ITEM_GROUPS,
    MEASURED_COLUMNS,
    ArmMeasures,
    Limits,
    Outcomes,
    group_of,
    judge,
    measure,
)

ITEMS = [f"item {number}" for number in range(10)]


def exposure(arm: str = "candidate", **changes) -> dict:
    row = {
        "request_id": "r",
        "user_id": "u",
        "endpoint": "recommend",
        "arm": arm,
        "state": 1,
        "model": "reland_ranker",
        "model_version": 1,
        "generation": "one",
        "items": ITEMS,
        "positions": list(range(1, 11)),
        "scores": [0.0] * 10,
        "ladder_step": "fresh",
        "cold_start": False,
        "rationale_id": "r1",
        "seconds_total": 0.01,
        "time": 0,
    }
    return row | changes


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, EXPOSURES)


def lists(arm: str, number: int, **changes) -> list[dict]:
    """As many lists, each of another user."""
    return [exposure(arm, **({"user_id": f"{arm} {user}"} | changes)) for user in range(number)]


def breached(rows: list[dict], limits: Limits | None = None) -> list[str]:
    measures = measure(table(rows))
    judged = judge(measures.get("candidate", ArmMeasures()), measures.get("control", ArmMeasures()), limits)
    assert [guardrail.name for guardrail in judged] == [
        "latency",
        "fallen_steps",
        "coverage",
        "diversity",
        "lists_per_user",
    ]
    assert all(type(guardrail.breached) is bool for guardrail in judged)  # JSON knows no other
    return [guardrail.name for guardrail in judged if guardrail.breached]


def test_an_arm_is_measured_as_by_hand():
    rows = [
        exposure(items=["a", "b"], seconds_total=0.010),
        exposure(items=["a", "c"], ladder_step="last_known", rationale_id=None, seconds_total=0.012),
        exposure(items=["a"], ladder_step="id_only", rationale_id=None, seconds_total=0.2),
        # Of a new user nothing is known, of a request without a known item nothing can be ranked: neither is a fall.
        exposure(items=["d"], ladder_step="popular", rationale_id=None, cold_start=True, seconds_total=0.001),
        exposure(items=[], ladder_step="popular", rationale_id=None, seconds_total=0.001),
    ]
    (found,) = measure(table(rows).select(MEASURED_COLUMNS)).values()
    counts = found.lists, found.warm, found.fallen, found.explained
    assert [int(count.sum()) for count in counts] == [5, 3, 1, 1]
    assert [int(count[group_of("u")]) for count in counts] == [5, 3, 1, 1]
    assert (found.fallen_share, found.coverage) == (1 / 3, 1 / 3)
    group = group_of("u") % ITEM_GROUPS
    assert found.items == {(group, "a"): 3, (group, "b"): 1, (group, "c"): 1, (group, "d"): 1}
    assert 0.2 <= found.p99_seconds <= 0.2 * 1.02


def test_diversity_by_hand_is_that_of_draws_from_different_users():
    # Of 4 groups, two were served a and b, two a and c. Pairs of different groups: 4 · 3 · 2² = 48 ordered draws, of
    # which a meets a in 4 · 3 and b meets b, c meets c in 2 each: λ = 16 / 48.
    items = Counter({(group, "a"): 1 for group in range(4)})
    items += Counter({(0, "b"): 1, (1, "b"): 1, (2, "c"): 1, (3, "c"): 1})
    assert ArmMeasures(items=items).effective_items == pytest.approx(3)


@given(st.lists(st.sampled_from(["control", "candidate"])), st.integers(0, 20))
@settings(deadline=None)
def test_measures_of_parts_add_up_to_those_of_the_whole(arms, cut):
    rows = [exposure(arm, items=ITEMS[: 1 + i % 3], seconds_total=0.001 * i) for i, arm in enumerate(arms)]
    whole = measure(table(rows))
    first, second = measure(table(rows[:cut])), measure(table(rows[cut:]))
    for arm, measures in whole.items():
        added = first.get(arm, ArmMeasures()) + second.get(arm, ArmMeasures())
        assert np.array_equal(added.latencies, measures.latencies)
        assert np.array_equal(added.lists, measures.lists) and np.array_equal(added.warm, measures.warm)
        assert added.items == measures.items


@given(st.floats(0.0002, 90), st.integers(1, 300))
@settings(deadline=None)
def test_the_percentile_is_the_order_statistic_within_a_bin(seconds, number):
    slow = lists("candidate", 1, seconds_total=seconds)
    fast = lists("candidate", number - 1, seconds_total=0.0001)
    (found,) = measure(table(slow + fast)).values()
    expected = seconds if math.ceil(0.99 * number) == number else 0.0001
    assert expected * 0.999 <= found.p99_seconds <= expected * 1.021


def test_equal_arms_breach_nothing():
    assert breached(lists("candidate", 500) + lists("control", 500)) == []
    assert breached(lists("candidate", 3) + lists("control", 1)) == []


def test_nothing_measured_is_nothing_breached():
    assert breached([]) == []
    judged = judge(ArmMeasures(), ArmMeasures())
    assert math.isnan(judged[0].candidate) and str(judged[0]).startswith("latency nan")


def test_a_slow_candidate_breaches_latency_and_what_both_suffer_does_not():
    slow = lists("candidate", 180) + lists("candidate", 20, seconds_total=0.2)
    assert breached(slow + lists("control", 200)) == ["latency"]
    assert breached(slow + lists("control", 180) + lists("control", 20, seconds_total=0.2)) == []
    # 2 of 200 beyond it are the 1% that a 99th percentile leaves.
    assert breached(lists("candidate", 198) + lists("candidate", 2, seconds_total=0.2) + lists("control", 200)) == []
    # 5 are more, but so few that chance may have given them to this arm.
    assert breached(lists("candidate", 195) + lists("candidate", 5, seconds_total=0.2) + lists("control", 200)) == []


def test_a_candidate_slow_all_over_breaches_latency_beside_a_stall_of_both():
    """By hand: 2 of 200 lists of each arm stall; the others of the candidate, halved, are slower than the control's."""
    rows = lists("candidate", 198, seconds_total=0.06) + lists("control", 198, seconds_total=0.01)
    stalled = lists("candidate", 2, seconds_total=0.5) + lists("control", 2, seconds_total=0.5)
    assert breached(rows + stalled) == ["latency"]


def test_a_failing_candidate_breaches_fallen_steps_from_few_lists_on():
    fallen = {"ladder_step": "id_only", "rationale_id": None}
    assert "fallen_steps" in breached(lists("candidate", 30, **fallen) + lists("control", 30))
    # While the ranker of both is down, the candidate is not to blame.
    assert breached(lists("candidate", 300, **fallen) + lists("control", 300, **fallen)) == []
    few = lists("candidate", 960) + lists("candidate", 40, **fallen)
    assert breached(few + lists("control", 1000)) == []  # 4 points are within the margin


def test_users_without_a_rationale_breach_coverage():
    bare = lists("candidate", 200, rationale_id=None)
    assert breached(bare + lists("control", 200)) == ["coverage"]


def test_a_candidate_that_serves_everyone_the_same_breaches_diversity():
    same = lists("candidate", 200, items=["one"])
    varied = [exposure("control", user_id=f"control {i}", items=[ITEMS[i % 10]]) for i in range(200)]
    assert breached(same + varied) == ["diversity"]


def test_diversity_is_not_less_for_few_lists():
    """200 lists of 20,000 items are hardly two alike, and 5,000 of the same policy are not more diverse."""
    random = np.random.default_rng(0)

    def served(arm: str, number: int) -> list[dict]:
        drawn = random.integers(0, 300, (number, 10))
        return [exposure(arm, user_id=f"{arm} {i}", items=[f"i{item}" for item in drawn[i]]) for i in range(number)]

    measures = measure(table(served("candidate", 200) + served("control", 5_000)))
    few, many = (measures[arm].effective_items for arm in ("candidate", "control"))
    assert few == pytest.approx(300, rel=0.1) and many == pytest.approx(300, rel=0.02)
    assert not judge(measures["candidate"], measures["control"])[3].breached


def test_a_candidate_whose_lists_do_not_come_breaches_lists_per_user():
    assert breached(lists("control", 300)) == ["lists_per_user"]
    assert breached(lists("control", 300) + lists("candidate", 90)) == ["lists_per_user"]
    assert breached(lists("control", 300) + lists("candidate", 260)) == []


def outcomes(clicks: float, conversions: float = 3, impressions: int = 100) -> Outcomes:
    """As many in each group of users; every other group has one more click, so that groups differ a little."""
    clicked = np.full(GROUPS, int(clicks)) + (np.arange(GROUPS) % 2 if clicks else 0)
    return Outcomes(
        impressions=np.full(GROUPS, impressions), clicks=clicked, conversions=np.full(GROUPS, int(conversions))
    )


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (outcomes(20), []),
        (outcomes(18), []),  # 10% fewer are within the limit
        (outcomes(11), ["ctr"]),
        (outcomes(0, 0), ["ctr"]),  # none at all, and no click that could convert
        (outcomes(20, 1), ["cvr"]),
        (outcomes(20, 0), ["cvr"]),
    ],
)
def test_fewer_clicks_or_conversions_breach_their_guardrails(candidate, expected):
    judged = judge(ArmMeasures(outcomes=candidate), ArmMeasures(outcomes=outcomes(20)))
    assert [guardrail.name for guardrail in judged if guardrail.breached] == expected


def test_few_users_with_many_lists_each_are_few():
    """20 users an arm, 100 lists each, whose rates of fallen steps differ: two equal arms are taken for equal."""
    random = np.random.default_rng(1)
    limits = Limits(fallen_margin=0.0, level=0.01)
    wrong = 0
    for _ in range(400):
        measures = []
        for _ in range(2):
            groups = random.integers(0, GROUPS, 20)
            fallen = random.binomial(100, random.beta(1, 4, 20))
            warm = np.bincount(groups, minlength=GROUPS) * 100
            counted = np.bincount(groups, fallen, GROUPS).astype(np.int64)
            measures.append(ArmMeasures(lists=warm, warm=warm, fallen=counted))
        wrong += judge(*measures, limits)[1].breached
    assert wrong <= 0.01 * 400


def test_limits_are_the_operators():
    rows = lists("candidate", 200, seconds_total=0.018) + lists("control", 200)
    assert breached(rows) == []  # 8 ms more are none
    assert breached(rows, Limits(latency_seconds=0.0)) == ["latency"]


@pytest.mark.parametrize("number", [100, 1_000])
def test_the_level_of_latency_holds_whatever_its_tail(number):
    """A candidate at the limit, latencies of a tail so heavy that few lists say little of their 99th percentile."""
    random = np.random.default_rng(0)
    limits = Limits(latency_seconds=0.0, level=0.01)
    rows = table(lists("candidate", number, items=[])).select(MEASURED_COLUMNS)
    column = rows.schema.get_field_index("seconds_total")

    def measured(seconds: np.ndarray) -> ArmMeasures:
        return measure(rows.set_column(column, "seconds_total", pa.array(seconds)))["candidate"]

    wrong = 0
    for _ in range(300):
        ours, theirs = 0.002 * (1 + random.pareto(1.5, (2, number)))
        judged = judge(measured(ours * limits.latency_ratio), measured(theirs), limits)
        wrong += judged[0].breached
    assert wrong <= 0.01 * 300


def test_the_level_holds_for_a_candidate_at_the_limit():
    """A candidate just at the margin is aborted in less than the level of the looks: binomial draws, fixed seed."""
    random = np.random.default_rng(0)
    limits = Limits(level=0.01)
    fallen = random.binomial(10, 0.15, (1_000, GROUPS)), random.binomial(10, 0.10, (1_000, GROUPS))
    wrong = 0
    served = np.full(GROUPS, 10)
    for ours, theirs in zip(*fallen, strict=True):
        judged = judge(
            ArmMeasures(lists=served, warm=served, fallen=ours),
            ArmMeasures(lists=served, warm=served, fallen=theirs),
            limits,
        )
        wrong += judged[1].breached
    assert wrong <= 0.01 * 1_000
