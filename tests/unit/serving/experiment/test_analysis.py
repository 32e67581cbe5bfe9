import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.foundation.errors import InputError
from serving.experiment import cells
from serving.experiment.analysis import AnalysisConfig, ExperimentResult, analyze
from serving.experiment.user_days import ACTIVITY, USER_DAYS

CONFIG = AnalysisConfig()
FIRST = datetime.date(2024, 1, 14)

Row = tuple[int, str, str, int, int, int, int]  # state, arm, user, day, impressions, clicks, conversions


def table(*rows: Row) -> pa.Table:
    names = ("state", "arm", "user_id", "day", "lists", "impressions", "clicks", "conversions")
    whole = [(*row[:3], FIRST + datetime.timedelta(days=row[3]), 1, *row[4:]) for row in rows]
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


def crowd(generator: np.random.Generator, users: int = 400, lift: float = 0.0) -> pa.Table:
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
    deviation = 1.959964 * np.sqrt(2 * 2 / 16 / 40**2 * 64)
    assert overall.low == pytest.approx(8 / 5 * np.exp(-deviation) - 1, rel=1e-6)
    assert [result.arms[arm].users for arm in ("candidate", "control")] == [2, 2]
    assert result.arms["candidate"].largest_user == 30
    assert [day.name for day in result.by_day] == ["2024-01-14", "2024-01-15"]
    assert result.cuped == {} and result.by_level == []
    assert result.sequential["ctr"][-1].lift == pytest.approx(overall.lift)


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
    assert found.overall["ctr"].significant and found.sequential["ctr"][-1].significant
    assert all(day.metrics["ctr"].significant for day in found.by_day)
    assert not nothing.overall["ctr"].significant and not nothing.sequential["ctr"][-1].significant


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


def test_users_of_both_arms_are_told() -> None:
    result = analyze(pa.concat_tables([SMALL, table((2, "control", "a", 1, 1, 1, 0))]), CONFIG)
    assert any(warning.startswith("1 users were served by both arms") for warning in result.warnings)
    assert result.arms["control"].users == 3


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
