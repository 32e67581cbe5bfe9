import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.serving import EXPOSURES
from serving.rollout.guardrails import MEASURED_COLUMNS, ArmMeasures, Limits, judge, measure

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
    return [exposure(arm, **changes)] * number


def breached(rows: list[dict], limits: Limits | None = None) -> list[str]:
    measures = measure(table(rows))
    judged = judge(measures.get("candidate", ArmMeasures()), measures.get("control", ArmMeasures()), limits)
    assert [guardrail.name for guardrail in judged] == ["latency", "fallen_steps", "coverage", "diversity", "traffic"]
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
    assert (found.lists, found.warm, found.fallen, found.explained) == (5, 3, 1, 1)
    assert (found.fallen_share, found.coverage) == (1 / 3, 1 / 3)
    assert found.items == {"a": 3, "b": 1, "c": 1, "d": 1}
    assert found.effective_items == pytest.approx(36 / 12)  # 6² / (3² + 1 + 1 + 1)
    assert 0.2 <= found.p99_seconds <= 0.2 * 1.02


@given(st.lists(st.sampled_from(["control", "candidate"])), st.integers(0, 20))
@settings(deadline=None)
def test_measures_of_parts_add_up_to_those_of_the_whole(arms, cut):
    rows = [exposure(arm, items=ITEMS[: 1 + i % 3], seconds_total=0.001 * i) for i, arm in enumerate(arms)]
    whole = measure(table(rows))
    first, second = measure(table(rows[:cut])), measure(table(rows[cut:]))
    for arm, measures in whole.items():
        added = first.get(arm, ArmMeasures()) + second.get(arm, ArmMeasures())
        assert np.array_equal(added.latencies, measures.latencies)
        assert (added.lists, added.warm, added.items) == (measures.lists, measures.warm, measures.items)


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
    varied = [exposure("control", items=[ITEMS[i % 10]]) for i in range(200)]
    assert breached(same + varied) == ["diversity"]


def test_a_candidate_whose_lists_do_not_come_breaches_traffic():
    assert breached(lists("control", 300)) == ["traffic"]
    assert breached(lists("control", 200) + lists("candidate", 60)) == []


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
    fallen = random.binomial(400, 0.15, 2_000), random.binomial(400, 0.10, 2_000)
    wrong = 0
    for ours, theirs in zip(*fallen, strict=True):
        judged = judge(
            ArmMeasures(lists=400, warm=400, fallen=int(ours)),
            ArmMeasures(lists=400, warm=400, fallen=int(theirs)),
            limits,
        )
        wrong += judged[1].breached
    assert wrong <= 0.01 * 2_000
