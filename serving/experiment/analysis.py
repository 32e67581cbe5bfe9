"""Candidate against control: lift, its intervals and its tests, from what every user was shown and did.

The control is the concurrent group of equal size, never the champion at large, and users are analysed in the arm that
served them, whatever step of the ladder answered. The stages of a ramp are standardised to one mix (see `lift`).
"""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from statsmodels.stats.multitest import multipletests

from serving.experiment.cells import ArmTotals, Cells, read_cells
from serving.experiment.lift import Effect, estimate
from serving.experiment.moments import Moments
from serving.experiment.power import minimum_detectable_lift
from serving.experiment.sample_ratio import sample_ratio_p_value
from serving.experiment.sequential import confidence_sequence, mixture_p_value
from serving.experiment.tables import DEFAULT_MEMORY

METRICS = {"ctr": ("clicks", "impressions"), "cvr": ("conversions", "clicks")}

FEWEST_OUTCOMES = 30  # in an arm, below which intervals are not to be relied on
LARGEST_SHARE = 0.01  # of an arm's impressions by one user, above which a warning says so


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """What is compared, and how sure one wants to be.

    Attributes:
        candidate, control: names of the arms.
        candidate_share: share of the users of both arms who were to be the candidate's.
        alpha: level of every test; intervals are of 1 - alpha.
        power: of the minimum detectable effects.
        sample_ratio_alpha: level of the sample-ratio test, which is to raise no false alarm.
        expected_lift: the size of lifts that one expects, relative; it tunes the sequential test, whose level holds
            for any value that was fixed before the experiment.
        stages: the stage of a ramp that each `state` belongs to; a state that is not in it is a stage of its own.
    """

    candidate: str = "candidate"
    control: str = "control"
    candidate_share: float = 0.5
    alpha: float = 0.05
    power: float = 0.8
    sample_ratio_alpha: float = 0.001
    expected_lift: float = 0.03
    stages: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The lift of one metric in one group of users and days.

    Attributes:
        candidate, control: the arms' rates, standardised over stages; None where an arm has no denominator.
        lift: relative to the control, 0.03 is +3%; None where there is none, as an arm has no outcome.
        low, high: interval of the lift, of level 1 - alpha.
        p_value: two-sided, of no lift.
        adjusted_p_value: among the days, or the levels, or the stages, by Holm; the same where it is one of one.
        significant: `adjusted_p_value` is below alpha.
        detectable: the relative lift that was found with the power asked for, at this many users.
        deviation: of one user's part in an arm's log rate: see `power`.
    """

    candidate: float | None
    control: float | None
    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    adjusted_p_value: float | None
    significant: bool
    detectable: float | None
    deviation: float | None


@dataclass(frozen=True, kw_only=True)
class Adjusted:
    """A lift by CUPED.

    Attributes:
        explained: ρ², the share of the variance that the time before the experiment explains.
    """

    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    explained: float | None


@dataclass(frozen=True, kw_only=True)
class Look:
    """The sequential test after a day, on all days up to it."""

    day: datetime.date
    lift: float | None
    low: float | None
    high: float | None
    p_value: float
    significant: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    """One row of a table: a day, a level of activity or a stage."""

    name: str
    users: tuple[int, int] | None
    metrics: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class SampleRatio:
    """Users of the arms against the share that was to be."""

    candidate: int
    control: int
    share: float
    p_value: float
    mismatch: bool


@dataclass(frozen=True, kw_only=True)
class ExperimentResult:
    """Everything that a report shows.

    Attributes:
        arms: totals of candidate and control, by the arms' names.
        overall: by metric, `ctr` and `cvr`, as the groups below.
        cuped: by metric; empty without a table of activity.
        by_day, by_level, by_stage: in order; `by_level` is empty without a table of activity.
        pooled: overall with the stages thrown together, to see what standardising them changes.
        sequential: by metric, a look for each day.
        sample_ratio: of all users; `sample_ratio_by_stage` has the name of each stage.
        boundaries: activity up to which a user is of L1, L2, L3.
        warnings: whatever speaks against relying on this, one sentence each.
    """

    arms: dict[str, ArmTotals]
    overall: dict[str, Estimate]
    cuped: dict[str, Adjusted]
    by_day: list[Group]
    by_level: list[Group]
    by_stage: list[Group]
    pooled: dict[str, Estimate]
    sequential: dict[str, list[Look]]
    sample_ratio: SampleRatio
    sample_ratio_by_stage: dict[str, SampleRatio]
    boundaries: list[int]
    warnings: list[str]


def analyze(
    user_days: pa.Table | Path,
    config: AnalysisConfig,
    activity: pa.Table | Path | None = None,
    memory: str = DEFAULT_MEMORY,
) -> ExperimentResult:
    """Analyse an experiment.

    Args:
        user_days: `USER_DAYS`, or a Parquet file of it.
        activity: `ACTIVITY`, or a Parquet file of it; without it there are no levels of activity and no CUPED.
        memory: of the sorting, as "2GiB"; the rest is done on disk.

    Raises:
        InputError: a column is missing or of another type, or an arm served nobody.
    """
    cells = read_cells(user_days, (config.candidate, config.control), config.stages, activity, memory)
    comparison = _Comparison(cells, config)
    days = sorted({day for _, day in cells.cells})
    stages = sorted({stage for stage, _ in cells.cells})
    overall = comparison.metrics(comparison.everybody, _everywhere)
    result = ExperimentResult(
        arms=cells.arms,
        overall=overall,
        cuped=comparison.adjusted() if cells.before else {},
        by_day=comparison.table([(str(day), None, comparison.metrics(comparison.everybody, _on(day))) for day in days]),
        by_level=comparison.table(
            [
                (level, comparison.users(arms), comparison.metrics(arms, _everywhere))
                for level in cells.levels
                if (arms := comparison.of_level(level)) is not None
            ]
        ),
        by_stage=comparison.table(
            [
                (
                    str(stage),
                    (cells.stage_users[config.candidate, stage], cells.stage_users[config.control, stage]),
                    comparison.metrics(comparison.everybody, _of(stage)),
                )
                for stage in stages
            ]
        ),
        pooled=comparison.metrics(comparison.everybody, _everywhere, pooled=True),
        sequential={metric: comparison.looks(metric, days) for metric in METRICS},
        sample_ratio=_sample_ratio(cells.arms[config.candidate].users, cells.arms[config.control].users, config),
        sample_ratio_by_stage={
            str(stage): _sample_ratio(
                cells.stage_users[config.candidate, stage], cells.stage_users[config.control, stage], config
            )
            for stage in stages
        },
        boundaries=cells.boundaries,
        warnings=[],
    )
    return replace(result, warnings=_warnings(result, cells, config))


# (stage, day) of a cell: whether it counts.
Chosen = Callable[[int, datetime.date], bool]


def _everywhere(stage: int, day: datetime.date) -> bool:
    return True


def _on(chosen: datetime.date) -> Chosen:
    return lambda stage, day: day == chosen


def _until(last: datetime.date) -> Chosen:
    return lambda stage, day: day <= last


def _of(chosen: int) -> Chosen:
    return lambda stage, day: stage == chosen


class _Comparison:
    """The estimates of one experiment."""

    def __init__(self, cells: Cells, config: AnalysisConfig):
        self._cells = cells
        self._config = config
        self.everybody = (cells.of_arm(config.candidate), cells.of_arm(config.control))

    def of_level(self, level: str) -> tuple[Moments, Moments] | None:
        """The users of a level in both arms; None where an arm has none."""
        arms = [self._cells.moments.get((arm, level)) for arm in (self._config.candidate, self._config.control)]
        return (arms[0], arms[1]) if arms[0] is not None and arms[1] is not None else None

    def users(self, arms: tuple[Moments, Moments]) -> tuple[int, int]:
        return int(arms[0].users), int(arms[1].users)

    def metrics(
        self,
        arms: tuple[Moments, Moments],
        chosen: Chosen,
        pooled: bool = False,
    ) -> dict[str, Estimate]:
        """Every metric over the cells (stage, day) that are `chosen`."""
        effects = {metric: self._effect(metric, arms, chosen, pooled=pooled) for metric in METRICS}
        return {metric: self._shown(effect, arms) for metric, effect in effects.items()}

    def adjusted(self) -> dict[str, Adjusted]:
        """Every metric over everything, by CUPED."""
        shown = {}
        for metric in METRICS:
            effect = self._effect(metric, self.everybody, _everywhere, before=True)
            low, high = effect.interval(self._config.alpha)
            shown[metric] = Adjusted(
                lift=_number(effect.lift),
                low=_number(low),
                high=_number(high),
                p_value=_number(effect.p_value),
                explained=_number(1 - effect.variance / effect.unadjusted_variance)
                if effect.unadjusted_variance > 0
                else None,
            )
        return shown

    def looks(self, metric: str, days: Sequence[datetime.date]) -> list[Look]:
        """The sequential test after each day."""
        config = self._config
        tau = math.log1p(config.expected_lift)
        effects = [self._effect(metric, self.everybody, _until(last)) for last in days]
        log_lift, variance = (
            np.array([float(getattr(effect, name)) for effect in effects]) for name in ("log_lift", "variance")
        )
        half = confidence_sequence(variance, tau, config.alpha)
        p_values = mixture_p_value(log_lift, variance, tau)
        with np.errstate(over="ignore"):
            lows, highs = np.expm1(log_lift - half), np.expm1(log_lift + half)
        return [
            Look(
                day=day,
                lift=_number(np.expm1(log_lift[index])),
                low=_number(lows[index]),
                high=_number(highs[index]),
                p_value=float(p_values[index]),
                significant=bool(p_values[index] <= config.alpha),
            )
            for index, day in enumerate(days)
        ]

    def table(self, rows: list[tuple[str, tuple[int, int] | None, dict[str, Estimate]]]) -> list[Group]:
        """Rows whose tests are adjusted for being several, each metric by itself."""
        metrics = [dict(estimates) for _, _, estimates in rows]
        for metric in METRICS:
            tested = [row for row in metrics if row[metric].p_value is not None]
            if not tested:
                continue
            p_values = [row[metric].p_value for row in tested]
            _, adjusted, *_ = multipletests(p_values, alpha=self._config.alpha, method="holm")
            for row, p_value in zip(tested, adjusted, strict=True):
                row[metric] = replace(
                    row[metric], adjusted_p_value=float(p_value), significant=bool(p_value <= self._config.alpha)
                )
        return [
            Group(name=name, users=users, metrics=estimates)
            for (name, users, _), estimates in zip(rows, metrics, strict=True)
        ]

    def _effect(
        self,
        metric: str,
        arms: tuple[Moments, Moments],
        chosen: Chosen,
        pooled: bool = False,
        before: bool = False,
    ) -> Effect:
        cells = self._cells
        strata: dict[int, list[int]] = {}
        for index, (stage, day) in enumerate(cells.cells):
            if chosen(stage, day):
                strata.setdefault(0 if pooled else stage, []).append(index)
        numerators, denominators = (
            [[cells.feature(index, count) for index in indices] for indices in strata.values()]
            for count in METRICS[metric]
        )
        covariates = [[feature] for feature in cells.before] if before else []
        candidate, control = (arm.combine([*numerators, *denominators, *covariates]) for arm in arms)
        count = len(strata)
        return estimate(
            candidate,
            control,
            range(count),
            range(count, 2 * count),
            range(2 * count, 2 * count + len(covariates)),
        )

    def _shown(self, effect: Effect, arms: tuple[Moments, Moments]) -> Estimate:
        config = self._config
        low, high = effect.interval(config.alpha)
        p_value = _number(effect.p_value)
        candidate_users, control_users = (float(arm.users) for arm in arms)
        # One user's part has this deviation, were it the same in both arms.
        deviation = math.sqrt(effect.variance / (1 / candidate_users + 1 / control_users))
        detectable = minimum_detectable_lift(deviation, candidate_users, control_users, config.alpha, config.power)
        return Estimate(
            candidate=_number(effect.candidate_rate),
            control=_number(effect.control_rate),
            lift=_number(effect.lift),
            low=_number(low),
            high=_number(high),
            p_value=p_value,
            adjusted_p_value=p_value,
            significant=p_value is not None and p_value <= config.alpha,
            detectable=_number(detectable),
            deviation=_number(deviation),
        )


def _number(value: Any) -> float | None:
    """As a report shows it: a number that is none is None."""
    number = float(value)
    return number if math.isfinite(number) else None


def _sample_ratio(candidate: int, control: int, config: AnalysisConfig) -> SampleRatio:
    p_value = float(sample_ratio_p_value(np.array(candidate), np.array(control), config.candidate_share))
    return SampleRatio(
        candidate=candidate,
        control=control,
        share=config.candidate_share,
        p_value=p_value,
        mismatch=p_value < config.sample_ratio_alpha,
    )


def _warnings(result: ExperimentResult, cells: Cells, config: AnalysisConfig) -> list[str]:
    warnings = []
    ratios = {"": result.sample_ratio, **{f" in stage {name}": of for name, of in result.sample_ratio_by_stage.items()}}
    for where, ratio in ratios.items():
        if ratio.mismatch:
            warnings.append(
                f"Sample-ratio mismatch{where}: {ratio.candidate:,} users of {config.candidate} and {ratio.control:,} "
                f"of {config.control}, where {ratio.share:.1%} were to be the candidate's (p = {ratio.p_value:.2g}): "
                "users went missing in one arm, and no lift can be relied on before it is known why."
            )
    if cells.users_in_both_arms:
        warnings.append(
            f"{cells.users_in_both_arms:,} users were served by both arms: they changed groups on the way, and are "
            "counted in each for what it served."
        )
    for arm, totals in result.arms.items():
        if totals.impressions and totals.largest_user > LARGEST_SHARE * totals.impressions and totals.users > 100:
            warnings.append(
                f"One user has {totals.largest_user:,} of the {totals.impressions:,} impressions of {arm}: the "
                "intervals allow for it, but is it a person?"
            )
        for metric, (outcome, base) in METRICS.items():
            outcomes = getattr(totals, outcome)
            if outcomes < FEWEST_OUTCOMES:
                warnings.append(
                    f"{arm} has {outcomes:,} {outcome} of {getattr(totals, base):,} {base}: "
                    + (f"there is no lift of {metric.upper()}." if not outcomes else "too few for a normal interval.")
                )
    for metric, estimate_ in result.overall.items():
        pooled = result.pooled[metric]
        if estimate_.lift is not None and pooled.lift is not None and estimate_.lift * pooled.lift < 0:
            warnings.append(
                f"{metric.upper()}: with the stages thrown together the lift would be {pooled.lift:+.2%}, within them "
                f"it is {estimate_.lift:+.2%} (Simpson's paradox): the arms' shares of the traffic changed between "
                "stages."
            )
    for stage in sorted({stage for stage, _ in cells.cells}):
        if 0 in (cells.stage_users[config.candidate, stage], cells.stage_users[config.control, stage]):
            warnings.append(f"Stage {stage} has users of one arm only: it compares nothing and is left out of lifts.")
    return warnings
