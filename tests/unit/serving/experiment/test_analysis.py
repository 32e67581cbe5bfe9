import datetime
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.tables import USERS
from components.foundation.errors import InputError
from serving.experiment import cells
from serving.experiment.analysis import AnalysisConfig, ExperimentResult, analyze
from serving.experiment.decision import decide
from serving.experiment.user_days import ACTIVITY, USER_DAYS

CONFIG = AnalysisConfig()
FIRST = datetime.date(2024, 1, 14)

Row = tuple[int, str, str, int, int, int, int]  # state, arm, user, day, impressions, clicks, conversions


def table(*rows: Row) -> pa.Table:
    names = ("state", "arm", "user_id", "day", "lists", "impressions", "clicks", "conversions", "ranked_lists", "value")
    whole = [(*row[:3], FIRST + datetime.timedelta(days=row[3]), 1, *row[4:], 1, 0.0) for row in rows]
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in whole], USER_DAYS)


def activity(**clicks: int) -> pa.Table:
    rows = [{"user_id": user, "impressions": 9, "clicks": done, "conversions": 0} for user, done in clicks.items()]
    return pa.Table.from_pylist(rows, ACTIVITY)


# Two users an arm on two days; the candidate's CTR is 6/20 and 2/20, the control's 4/20 and 1/20.
SMALL = table(
    (1, "candidate", "a", 0, 10, 4, 2),
    (1, "candidate", "b", 0, 10, 2, 1),
    (1, "candidate", "a", 1, 20, 2, 0),
    (1, "control", "c", 0, 10, 1, 1),
    (1, "control", "d", 0, 10, 3, 1),
    (1, "control", "d", 1, 20, 1, 0),
)


def crowd(generator: np.random.Generator, users: int = 600, lift: float = 0.0) -> pa.Table:
    rows: list[Row] = []
    for user in range(users):
        arm = "candidate" if user % 2 else "control"
        for day in range(3):
            impressions = int(generator.integers(1, 60))
            clicks = int(generator.binomial(impressions, 0.2 * (1 + lift * (user % 2))))
            rows.append((1, arm, f"user {user}", day, impressions, clicks, int(generator.binomial(clicks, 0.3))))
    return table(*rows)


def test_lifts_by_day_and_overall_by_hand() -> None:
    result = analyze(SMALL, CONFIG)
    assert [day.metrics["ctr"].lift for day in result.by_day] == pytest.approx([6 / 4 - 1, 2 / 1 - 1])
    overall = result.overall["ctr"]
    assert (overall.candidate, overall.control) == pytest.approx((8 / 40, 5 / 40))
    assert overall.lift == pytest.approx(8 / 5 - 1)
    assert result.overall["cvr"].lift == pytest.approx((3 / 8) / (2 / 5) - 1)
    # Parts of the users: 6 - 30/5 = 0 and 2 - 10/5 = 0; 1 - 10/8 and 4 - 30/8. var = 2 · 2 (1/4)² / 40² / (1/8)².
    # By their leverages, 10 and 30 of 40 items, the control's parts count 4/3 and 4 times. The variance is of these
    # two users alone, so there is one degree of freedom, for which Student's quantile is 12.7062.
    parts = 2 * ((1 / 4 * 4 / 3) ** 2 + (1 / 4 * 4) ** 2)
    deviation = 12.7062 * np.sqrt(parts / 40**2 * 64)
    assert overall.low == pytest.approx(8 / 5 * np.exp(-deviation) - 1, rel=1e-6)
    assert [result.arms[arm].users for arm in ("candidate", "control")] == [2, 2]
    assert result.arms["candidate"].largest_user == 30
    assert [day.name for day in result.by_day] == ["2024-01-14", "2024-01-15"]
    assert result.cuped == {} and result.by_level == []
    assert result.sequential["ctr"].looks[-1].lift is None  # two users an arm are too few


def test_other_arms_have_no_say() -> None:
    others = table((1, "champion", "e", 0, 1_000, 900, 9), (1, "hold_out", "f", 5, 1_000, 900, 9))
    assert analyze(pa.concat_tables([SMALL, others]), CONFIG) == analyze(SMALL, CONFIG)


def test_users_are_read_whole_whatever_the_batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user_days = crowd(np.random.default_rng(0), users=50)
    done = activity(**{f"user {user}": user for user in range(50)})
    whole = analyze(user_days, CONFIG, done)
    monkeypatch.setattr(cells, "ROWS_A_BATCH", 2)
    pq.write_table(user_days, tmp_path / "user_days.parquet")
    pq.write_table(done, tmp_path / "activity.parquet")
    again = analyze(tmp_path / "user_days.parquet", CONFIG, tmp_path / "activity.parquet")
    assert again.arms == whole.arms
    assert again.sample_ratio == whole.sample_ratio
    for ours, theirs in zip(again.by_level, whole.by_level, strict=True):
        assert ours.users == theirs.users
        assert ours.metrics["ctr"].low == pytest.approx(theirs.metrics["ctr"].low)


def test_levels_are_quartiles_of_activity_and_ties_are_of_the_lower_level() -> None:
    # Activity 0 (unknown), 1, 1, 8: the quartiles are 0, 1, 1, so nobody is of L3.
    result = analyze(SMALL, CONFIG, activity(b=1, c=1, d=8, stranger=100))
    assert result.boundaries == [0, 1, 1]
    # L1 is a alone, L4 is d alone: nothing to compare them with.
    assert {level.name: level.users for level in result.by_level} == {"L2": (1, 1)}
    assert result.by_level[0].metrics["ctr"].lift == pytest.approx(2 / 1 - 1)


def test_stages_that_pooled_would_reverse_the_sign_are_standardised_and_told() -> None:
    rows: list[Row] = []
    for stage, arm, users, clicks in (
        (1, "candidate", 10, 12),
        (1, "control", 100, 10),
        (2, "candidate", 100, 3),
        (2, "control", 10, 2),
    ):
        rows += [
            (stage, arm, f"{arm} {stage} {user}", stage, 100, clicks + user % 2 * 2 - 1, 1) for user in range(users)
        ]
    result = analyze(table(*rows), CONFIG)
    assert [stage.metrics["ctr"].lift for stage in result.by_stage] == pytest.approx([0.2, 0.5])
    # Half of the items were shown in each stage: (0.12 + 0.03) / (0.10 + 0.02).
    assert result.overall["ctr"].lift == pytest.approx(0.15 / 0.12 - 1)
    assert result.pooled["ctr"].lift < -0.5
    assert any("Simpson" in warning for warning in result.warnings)
    assert result.sample_ratio_by_stage["1"].mismatch and not result.sample_ratio.mismatch


def test_states_of_one_stage_are_one_stratum() -> None:
    moved = SMALL.set_column(0, USER_DAYS.field("state"), pa.array([1, 1, 2, 1, 1, 2]))
    together = analyze(moved, AnalysisConfig(stages={1: 7, 2: 7}))
    assert [stage.name for stage in together.by_stage] == ["7"]
    assert together.overall == analyze(SMALL, CONFIG).overall
    assert [stage.name for stage in analyze(moved, CONFIG).by_stage] == ["1", "2"]


def test_a_large_lift_is_found_and_none_is_not() -> None:
    generator = np.random.default_rng(5)
    found, nothing = (analyze(crowd(generator, lift=lift), CONFIG) for lift in (0.4, 0.0))
    assert found.overall["ctr"].significant and found.sequential["ctr"].looks[-1].significant
    assert all(day.metrics["ctr"].significant for day in found.by_day)
    assert not nothing.overall["ctr"].significant and not nothing.sequential["ctr"].looks[-1].significant


def test_days_are_adjusted_for_their_number() -> None:
    result = analyze(crowd(np.random.default_rng(2)), CONFIG)
    raw = sorted(day.metrics["ctr"].p_value for day in result.by_day)
    adjusted = sorted(day.metrics["ctr"].adjusted_p_value for day in result.by_day)
    by_hand = [min(1.0, 3 * raw[0]), min(1.0, max(3 * raw[0], 2 * raw[1]))]
    assert adjusted[:2] == pytest.approx(by_hand)


def test_zero_impressions_in_an_arm_give_no_lift_and_say_so() -> None:
    result = analyze(table((1, "candidate", "a", 0, 0, 0, 0), (1, "control", "c", 0, 10, 1, 0)), CONFIG)
    overall = result.overall["ctr"]
    assert (overall.lift, overall.low, overall.p_value, overall.significant) == (None, None, None, False)
    assert any(warning.startswith("candidate has 0 clicks") for warning in result.warnings)


def test_one_user_with_a_million_impressions_widens_the_interval_and_is_told() -> None:
    usual = crowd(np.random.default_rng(3))
    heavy = pa.concat_tables([usual, table((1, "candidate", "robot", 0, 1_000_000, 900_000, 0))])
    before, after = analyze(usual, CONFIG), analyze(heavy, CONFIG)
    assert not after.overall["ctr"].significant  # although nearly all of the candidate's items are clicked now
    assert after.overall["ctr"].high - after.overall["ctr"].low > 10 * (before.overall["ctr"].high + 1)
    assert any("1,000,000 of the" in warning for warning in after.warnings)


def test_users_of_both_arms_are_left_out_and_reported() -> None:
    result = analyze(pa.concat_tables([SMALL, table((2, "control", "a", 1, 1, 1, 0))]), CONFIG)
    assert warned(result, "1 users were served by both arms") and result.users_in_both_arms == 1
    assert [result.arms[arm].users for arm in ("candidate", "control")] == [1, 2]
    assert [result.arms[arm].clicks for arm in ("candidate", "control")] == [2, 5]


def warned(result: ExperimentResult, start: str) -> bool:
    return any(warning.startswith(start) for warning in result.warnings)


def test_a_sample_ratio_mismatch_is_told() -> None:
    rows: list[Row] = [(1, "candidate", f"a{user}", 0, 9, 1, 0) for user in range(600)]
    rows += [(1, "control", f"c{user}", 0, 9, 1, 0) for user in range(400)]
    assert warned(analyze(table(*rows), CONFIG), "Sample-ratio mismatch: 600 users of candidate and 400 of control")
    assert not warned(analyze(table(*rows), AnalysisConfig(candidate_share=0.6)), "Sample-ratio")


@pytest.mark.parametrize(
    ("user_days", "message"),
    [
        (USER_DAYS.empty_table(), "arm 'candidate': no list was served to its users; arms with lists: none"),
        (SMALL.filter(pa.compute.equal(SMALL["arm"], "candidate")), "arm 'control': no list .* lists: candidate$"),
        (SMALL.drop_columns("clicks"), "table user_days: has no column clicks"),
        (SMALL.set_column(0, "state", pa.array(["1"] * 6)), "table user_days: column state is string, expected int64"),
        (SMALL.set_column(5, "impressions", pa.array([None] * 6, pa.int64())), "column impressions has 6 null values"),
    ],
)
def test_bad_tables_are_one_line(user_days: pa.Table, message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyze(user_days, CONFIG)


def test_bad_files_and_settings_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.parquet: no such file"):
        analyze(tmp_path / "missing.parquet", CONFIG)
    with pytest.raises(InputError, match="memory 'plenty': expected an amount"):
        analyze(SMALL, CONFIG, memory="plenty")


def arms_of(users: int, clicks: dict[str, list[int]], impressions: int = 50, days: int = 1) -> pa.Table:
    """User u of an arm clicks as the arm's list says at u, beginning again at its end, on each day."""
    rows: list[Row] = []
    for arm, numbers in clicks.items():
        for user in range(users):
            count = numbers[user % len(numbers)]
            rows += [(1, arm, f"{arm} {user}", day, impressions, count, 0) for day in range(days)]
    return table(*rows)


def test_a_candidate_without_any_click_is_found_worse_by_the_exact_test() -> None:
    # 10 of the control's 20 users click and none of the candidate's: Fisher's two-sided p is 2 C(20,10) / C(40,10).
    result = analyze(arms_of(20, {"candidate": [0], "control": [1, 0]}), CONFIG)
    ctr = result.overall["ctr"]
    assert ctr.exact and ctr.few and ctr.lift == -1
    assert ctr.p_value == pytest.approx(2 * math.comb(20, 10) / math.comb(40, 10))
    # Clopper and Pearson: the candidate's part of the 10 is at most 1 - 0.025^(1/10) = 0.3085, and that over 0.6915.
    assert (ctr.low, ctr.high) == pytest.approx((-1, 0.30850 / 0.69150 - 1), rel=1e-3)
    assert ctr.verdict == "worse" and result.overall["clicks_per_user"].significant
    assert decide(result, CONFIG, []).outcome == "worse"


def test_a_control_without_any_click_has_no_lift_but_a_lower_bound() -> None:
    ctr = analyze(arms_of(20, {"candidate": [1, 0], "control": [0]}), CONFIG).overall["ctr"]
    assert (ctr.lift, ctr.high, ctr.verdict) == (None, None, "better")
    assert ctr.low == pytest.approx(0.69150 / 0.30850 - 1, rel=1e-3)


def test_metrics_per_user_and_retention_by_hand() -> None:
    result = analyze(SMALL, CONFIG)
    shown = {name: (estimate.candidate, estimate.control) for name, estimate in result.overall.items()}
    assert shown["clicks_per_user"] == pytest.approx((8 / 2, 5 / 2))
    assert shown["conversions_per_user"] == pytest.approx((3 / 2, 2 / 2))
    assert shown["lists_per_user"] == pytest.approx((3 / 2, 3 / 2))
    assert shown["retention"] == pytest.approx((1 / 2, 1 / 2))  # a and d came again
    assert "value_per_user" not in shown


def test_a_users_value_counts_up_to_the_cap() -> None:
    users = [(1, arm, f"{arm} {user}", 0, 10, 5, 1) for arm in ("candidate", "control") for user in range(100)]
    values = np.ones(200)
    values[0] = 1_000.0
    worth = table(*users).set_column(9, USER_DAYS.field("value"), pa.array(values))
    result = analyze(worth, CONFIG)
    assert result.value_cap == 1
    assert result.overall["value_per_user"].lift == pytest.approx(0)
    assert result.arms["candidate"].value == 1_099


def test_users_who_were_new_each_time_are_not_triggered() -> None:
    new = SMALL.set_column(8, USER_DAYS.field("ranked_lists"), pa.array([1, 0, 1, 1, 1, 1]))
    triggered = analyze(new, CONFIG).triggered
    assert triggered is not None and triggered.users == (1, 2)
    assert triggered.metrics["ctr"].candidate == pytest.approx(6 / 30)


def test_attributes_divide_users_once_more() -> None:
    rows = [("a", "city", "Rome"), ("b", "city", "Oslo"), ("c", "city", "Rome"), ("d", "city", "Oslo")]
    attributes = pa.Table.from_pylist([dict(zip(USERS.names, row, strict=True)) for row in rows], USERS)
    (name, groups), *others = analyze(SMALL, CONFIG, attributes=attributes).by_dimension.items()
    assert name == "city" and not others
    assert {group.name: group.metrics["ctr"].lift for group in groups} == pytest.approx(
        {"Oslo": (2 / 10) / (4 / 30) - 1, "Rome": (6 / 30) / (1 / 10) - 1}
    )


def test_a_lift_that_wears_off_is_a_trend() -> None:
    rows: list[Row] = []
    for user in range(400):
        for day in range(4):
            candidate, control = 20 - 4 * day + user % 3, 8 + user % 3
            rows += [
                (1, "candidate", f"a{user}", day, 100, candidate, 0),
                (1, "control", f"c{user}", day, 100, control, 0),
            ]
    trend = analyze(table(*rows), CONFIG).trends["ctr"]
    means = np.log(np.array([20 - 4 * day + 0.9975 for day in range(4)]))  # (133 · 1 + 133 · 2) / 400
    slope = (means * np.array([-1.5, -0.5, 0.5, 1.5])).sum() / 5
    assert trend.slope == pytest.approx(slope) and trend.p_value is not None and trend.p_value < 1e-6


def test_unlike_arms_before_the_experiment_are_reported_and_not_adjusted_for() -> None:
    user_days = crowd(np.random.default_rng(6), lift=0.3)
    alike = activity(**{f"user {user}": user // 2 % 20 for user in range(600)})
    lopsided = activity(**{f"user {user}": user // 2 % 20 + 10 * (user % 2) for user in range(600)})
    balanced, unbalanced = (analyze(user_days, CONFIG, done) for done in (alike, lopsided))
    assert balanced.balance is not None and balanced.balance.balanced and balanced.sequential["ctr"].adjusted
    assert unbalanced.balance is not None and not unbalanced.balance.balanced
    assert warned(unbalanced, "The arms differ in what their users did before") and not warned(balanced, "The arms")
    assert not unbalanced.sequential["ctr"].adjusted


def test_more_lists_to_a_user_are_a_shift_of_the_denominator() -> None:
    rows: list[Row] = []
    for user in range(300):
        rows.append((1, "candidate", f"a{user}", 0, 60 + user % 7, 6, 0))
        rows.append((1, "control", f"c{user}", 0, 40 + user % 7, 4 + user % 2, 5))
    result = analyze(table(*rows), CONFIG)
    assert warned(result, "CTR is per impression, and a user of candidate has +46")
    assert warned(result, "control has more conversions (1,500) than clicks (1,350)")


def test_the_planned_size_makes_the_fixed_test_once() -> None:
    user_days = crowd(np.random.default_rng(8), users=700, lift=0.3)
    early, late = (AnalysisConfig(planned_users=users) for users in (300, 400))
    result = analyze(user_days, early)
    assert result.planned_end is not None and result.planned_end.day == FIRST and result.planned_end.significant
    assert result.planned_end.alpha == pytest.approx(0.04) and result.sequential["ctr"].alpha == pytest.approx(0.01)
    decision = decide(result, early, [])
    assert decision.outcome == "better" and "300 users an arm" in decision.rule
    assert decide(result, early, ["latency"]).outcome == "guardrail"
    assert analyze(user_days, late).planned_end is None


def test_the_sequential_test_is_tuned_by_the_first_look_and_says_where_it_is_weak() -> None:
    user_days = crowd(np.random.default_rng(8), users=700)
    assert warned(
        analyze(user_days, AnalysisConfig(expected_lift=0.001)), "The sequential test is tuned to lifts of 0.10%"
    )
    (first, *_), tau = (lambda test: (test.looks, test.tau))(analyze(user_days, CONFIG).sequential["ctr"])
    one_day = analyze(user_days.filter(pa.compute.equal(user_days["day"], FIRST)), CONFIG)
    assert first.lift == pytest.approx(one_day.overall["ctr"].lift)
    assert tau == pytest.approx(math.log1p(one_day.overall["ctr"].detectable), rel=1e-2)  # leverages of one day
