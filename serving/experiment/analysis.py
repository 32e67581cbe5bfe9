"""Candidate against control: lift, its intervals and its tests, from what every user was shown and did.

The control is the concurrent group of equal size, never the champion at large, and users are analysed in the arm that
served them, whatever step of the ladder answered. The stages of a ramp are standardised to one mix (see `lift`).

Where an arm has no outcome there is no logarithm of a rate: the p value is then Fisher's of the users who have one, and
the interval Clopper and Pearson's (see `balance`).
"""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from components.foundation.errors import InputError
from serving.experiment.balance import counts_p_value, covariates_p_value, exact_bounds, exact_p_value
from serving.experiment.cells import EVERYBODY, LEVEL, TRIGGERED, ArmTotals, Cells, Class, read_cells
from serving.experiment.lift import Effect, Trend, estimate, trend
from serving.experiment.moments import Moments
from serving.experiment.power import minimum_detectable_lift
from serving.experiment.sample_ratio import sample_ratio_p_value
from serving.experiment.sequential import confidence_sequence, mixture_p_value
from serving.experiment.tables import DEFAULT_MEMORY


@dataclass(frozen=True)
class Metric:
    """A ratio of sums; more is better.

    Attributes:
        numerator: a count of `cells.COUNTS`, or what counts once a user.
        denominator: a count, or `users` for a mean over all users of the arm.
        outcome: the count that a user must have one of to have an outcome at all; None where every user has.
    """

    numerator: str
    denominator: str
    outcome: str | None


# The paper's ratios of impressions and clicks, whose denominators an arm may change, come first; then means over users.
RATIOS = ("ctr", "cvr")
METRICS = {
    "ctr": Metric("clicks", "impressions", "clicks"),
    "cvr": Metric("conversions", "clicks", "conversions"),
    "clicks_per_user": Metric("clicks", "users", "clicks"),
    "conversions_per_user": Metric("conversions", "users", "conversions"),
    "value_per_user": Metric("value", "users", None),
    "impressions_per_user": Metric("impressions", "users", None),
    "lists_per_user": Metric("lists", "users", None),
    "retention": Metric("returned", "users", None),
}
# What a ratio is per, counted per user: where that differs between the arms, the ratios are of different occasions.
DENOMINATORS = {"ctr": "impressions_per_user", "cvr": "clicks_per_user"}

FEWEST_OUTCOMES = 30  # in an arm, below which intervals are not to be relied on
LARGEST_SHARE = 0.01  # of an arm's impressions by one user, above which a warning says so
# The sequential test rests on normal estimates; before each arm has as many of both there is no look.
LEAST_USERS_OF_LOOK, LEAST_OUTCOMES_OF_LOOK = 250, 100
# With a planned size, the part of alpha that is spent on the looks before it.
ALPHA_OF_LOOKS = 0.2


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """What is compared, and how sure one wants to be.

    Attributes:
        candidate, control: names of the arms.
        candidate_share: share of the users of both arms who were to be the candidate's.
        alpha: level of every test; intervals are of 1 - alpha.
        power: of the minimum detectable effects.
        sample_ratio_alpha: level of the tests of sample ratio and balance, which are to raise no false alarm.
        primary: the metric that decides; all others are secondary.
        margin: relative loss of a secondary metric up to which the candidate counts as not worse.
        planned_users: users an arm that the experiment was planned for, before it; None: no size was planned.
        expected_lift: the size of lifts that one expects, relative; it tunes the sequential test, whose level holds
            for any value that was fixed before the experiment. None: what `planned_users` can detect or, without them,
            what can be detected at the first look.
        stages: the stage of a ramp that each `state` belongs to; a state that is not in it is a stage of its own.
    """

    candidate: str = "candidate"
    control: str = "control"
    candidate_share: float = 0.5
    alpha: float = 0.05
    power: float = 0.8
    sample_ratio_alpha: float = 0.001
    primary: str = "ctr"
    margin: float = 0.02
    planned_users: int | None = None
    expected_lift: float | None = None
    stages: Mapping[int, int] = field(default_factory=dict)

    @property
    def alpha_of_looks(self) -> float:
        """Level of all looks of the sequential test together."""
        return self.alpha if self.planned_users is None else ALPHA_OF_LOOKS * self.alpha

    @property
    def alpha_at_the_end(self) -> float:
        """Level of the one test at the planned size."""
        return self.alpha - self.alpha_of_looks


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The lift of one metric in one group of users and days.

    Attributes:
        candidate, control: the arms' rates, standardised over stages; None where an arm has no denominator.
        lift: relative to the control, 0.03 is +3%; None where there is none, as the control has no outcome.
        low, high: interval of the lift, of level 1 - alpha, not adjusted for being one of several; None: open.
        p_value: two-sided, of no lift.
        adjusted_p_value: by Holm, among the days, the levels or the stages; overall, among the secondary metrics.
        significant: `adjusted_p_value` is at most alpha.
        exact: an arm has no outcome, and test and interval are exact ones of users with an outcome.
        few: an arm has fewer than `FEWEST_OUTCOMES` outcomes.
        verdict: `better`, `worse`, `not worse` (by more than the margin) or `undecided`.
        detectable: the relative lift that is detected with the required power, at this many users.
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
    exact: bool
    few: bool
    verdict: str
    detectable: float | None
    deviation: float | None


@dataclass(frozen=True, kw_only=True)
class Adjusted:
    """A lift by CUPED.

    Attributes:
        adjusted_p_value, significant, verdict: as of `Estimate`.
        explained: ρ², the share of the variance that the time before the experiment explains.
    """

    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    adjusted_p_value: float | None
    significant: bool
    verdict: str
    explained: float | None


@dataclass(frozen=True, kw_only=True)
class Look:
    """The sequential test after a day, on all days up to it; without a lift where it was too early for a look."""

    day: datetime.date
    lift: float | None
    low: float | None
    high: float | None
    p_value: float
    significant: bool


@dataclass(frozen=True, kw_only=True)
class SequentialTest:
    """The test of the primary metric or of another that may be looked at daily.

    Attributes:
        alpha: level of all looks together.
        tau: standard deviation of the log lifts that it is tuned to; None before the first look.
        deviation: √V of the last look, in the same unit; None before the first look. Above tau the test is weak.
        adjusted: whether the looks are of lifts by CUPED.
    """

    alpha: float
    tau: float | None
    deviation: float | None
    adjusted: bool
    looks: list[Look]


@dataclass(frozen=True, kw_only=True)
class PlannedEnd:
    """The one fixed-horizon test of the primary metric, on the first day on which the planned size is reached.

    Attributes:
        alpha: its level; low and high are of 1 - alpha.
        adjusted: whether it is of the lift by CUPED.
    """

    day: datetime.date
    alpha: float
    adjusted: bool
    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    significant: bool


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Whether the arms' users were alike before the experiment.

    Attributes:
        covariates_p_value: of equal means of what they did (Hotelling's T²).
        levels_p_value: of equal shares of the levels of activity (chi-square).
    """

    covariates_p_value: float
    levels_p_value: float
    balanced: bool


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
        overall: by metric.
        cuped: by metric; empty without a table of activity.
        balance: None without a table of activity.
        by_day, by_stage: in order, of `RATIOS`; what is per user is of the whole experiment.
        by_level: by metric; empty without a table of activity.
        by_dimension: for each attribute of users, its classes.
        triggered: the users who were served a list for which arms can differ, that is, who were no new users each time.
        pooled: overall with the stages thrown together, to see what standardising them changes.
        trends: of `RATIOS`, how the lift changes from day to day: a novelty wears off.
        sequential: by metric.
        planned_end: None before the planned size is reached, and where none was planned.
        sample_ratio: of all users; `sample_ratio_by_stage` has the name of each stage.
        users_in_both_arms: who was served by both arms, and so is left out.
        boundaries: activity up to which a user is of L1, L2, L3.
        value_cap: what the value of one user's conversions counts as at most.
        warnings: whatever speaks against relying on this, one sentence each.
    """

    arms: dict[str, ArmTotals]
    overall: dict[str, Estimate]
    cuped: dict[str, Adjusted]
    balance: Balance | None
    by_day: list[Group]
    by_level: list[Group]
    by_dimension: dict[str, list[Group]]
    triggered: Group | None
    by_stage: list[Group]
    pooled: dict[str, Estimate]
    trends: dict[str, Trend]
    sequential: dict[str, SequentialTest]
    planned_end: PlannedEnd | None
    sample_ratio: SampleRatio
    sample_ratio_by_stage: dict[str, SampleRatio]
    sample_ratio_of_triggered: SampleRatio | None
    users_in_both_arms: int
    boundaries: list[int]
    value_cap: float
    warnings: list[str]


def analyze(
    user_days: pa.Table | Path,
    config: AnalysisConfig,
    activity: pa.Table | Path | None = None,
    attributes: pa.Table | Path | None = None,
    memory: str = DEFAULT_MEMORY,
) -> ExperimentResult:
    """Analyse an experiment.

    Args:
        user_days: `USER_DAYS`, or a Parquet file of it.
        activity: `ACTIVITY`, or a Parquet file of it; without it there are no levels of activity and no CUPED.
        attributes: `contracts.tables.USERS`, or a Parquet file of it: the dimensions beyond days, levels and stages.
        memory: of the sorting, as "2GiB"; the rest is done on disk.

    Raises:
        InputError: a column is missing or of another type, or an arm served nobody.
    """
    cells = read_cells(user_days, (config.candidate, config.control), config.stages, activity, attributes, memory)
    comparison = _Comparison(cells, config)
    if config.primary not in comparison.metric_names:
        raise InputError(f"metric {config.primary}: no conversion of both arms has a value")
    users = cells.arms[config.candidate].users, cells.arms[config.control].users
    triggered = comparison.classes(TRIGGERED[0])
    result = ExperimentResult(
        arms=cells.arms,
        overall=comparison.overall(),
        cuped=comparison.cuped() if cells.before else {},
        balance=comparison.balance,
        by_day=comparison.table(
            [(str(day), None, comparison.metrics(RATIOS, EVERYBODY, _on(day))) for day in cells.days]
        ),
        by_level=comparison.table(comparison.classes(LEVEL)),
        by_dimension={name: comparison.table(comparison.classes(name)) for name in cells.dimensions},
        triggered=comparison.table(triggered)[0] if triggered else None,
        by_stage=comparison.table(
            [
                (
                    str(stage),
                    comparison.users_of_stage(stage),
                    comparison.metrics(RATIOS, EVERYBODY, _of(stage)),
                )
                for stage in cells.stages
            ]
        ),
        pooled=comparison.metrics(RATIOS, EVERYBODY, _everywhere, pooled=True),
        trends={metric: comparison.trend(metric) for metric in RATIOS},
        sequential={metric: comparison.sequential(metric) for metric in comparison.metric_names},
        planned_end=comparison.planned_end(),
        sample_ratio=_sample_ratio(users, config),
        sample_ratio_by_stage={
            str(stage): _sample_ratio(comparison.users_of_stage(stage), config) for stage in cells.stages
        },
        sample_ratio_of_triggered=_sample_ratio(comparison.users(TRIGGERED), config) if triggered else None,
        users_in_both_arms=cells.users_in_both_arms,
        boundaries=cells.boundaries,
        value_cap=cells.value_cap,
        warnings=[],
    )
    return replace(result, warnings=_warnings(result, cells, config))


Shown = TypeVar("Shown", Estimate, Adjusted)
# (stage, day) of a cell: whether it counts.
Chosen = Callable[[int, datetime.date], bool]
Row = tuple[str, tuple[int, int] | None, dict[str, Estimate]]


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
        self.arms = (config.candidate, config.control)
        self.metric_names = [name for name in METRICS if name != "value_per_user" or cells.value_cap > 0]
        self.balance = self._balance() if cells.before else None
        # What decides is adjusted where it can be: by a rule that does not look at the lift.
        self.adjusts = self.balance is not None and self.balance.balanced

    def classes(self, dimension: str) -> list[Row]:
        """Every metric of each class of users that both arms have."""
        return [
            (name, self.users((dimension, name)), self.metrics(self.metric_names, (dimension, name), _everywhere))
            for name in self._cells.classes(dimension)
            if all((arm, (dimension, name)) in self._cells.moments for arm in self.arms)
        ]

    def metrics(self, names: Sequence[str], users: Class, chosen: Chosen, pooled: bool = False) -> dict[str, Estimate]:
        """Metrics of a class of users over the cells (stage, day) that are `chosen`, which are a span of `Cells`."""
        return {name: self._shown(name, users, chosen, self._effect(name, users, chosen, pooled)) for name in names}

    def overall(self) -> dict[str, Estimate]:
        """Every metric over everything, the secondary ones tested together."""
        return self._with_secondary_tests(self.metrics(self.metric_names, EVERYBODY, _everywhere))

    def cuped(self) -> dict[str, Adjusted]:
        """Every metric over everything, by CUPED."""
        shown = {}
        for metric in self.metric_names:
            effect = self._effect(metric, EVERYBODY, _everywhere, adjusted=True)
            low, high = (_number(bound) for bound in effect.interval(self._config.alpha))
            p_value = _number(effect.p_value)
            shown[metric] = Adjusted(
                lift=_number(effect.lift),
                low=low,
                high=high,
                p_value=p_value,
                adjusted_p_value=p_value,
                significant=p_value is not None and p_value <= self._config.alpha,
                verdict=_verdict(low, high, self._config.margin),
                explained=_number(max(1 - effect.variance / effect.unadjusted_variance, 0.0))
                if effect.unadjusted_variance > 0
                else None,
            )
        return self._with_secondary_tests(shown)

    def trend(self, metric: str) -> Trend:
        """How the lift of a ratio changes over the days."""
        cells, days = self._cells, self._cells.days
        groups = [
            [cells.feature(index, count) for index, (_, cell_day) in enumerate(cells.cells) if cell_day == day]
            for count in (METRICS[metric].numerator, METRICS[metric].denominator)
            for day in days
        ]
        candidate, control = (self._moments(arm, EVERYBODY).combine(groups) for arm in self.arms)
        return trend(candidate, control, range(len(days)), range(len(days), 2 * len(days)))

    def sequential(self, metric: str) -> SequentialTest:
        """The sequential test after each day that has enough of everything."""
        config, days = self._config, self._cells.days
        effects = [self._effect(metric, EVERYBODY, _until(last), adjusted=self.adjusts) for last in days]
        enough = np.array([self._enough(metric, last) for last in days])
        log_lift, variance = (
            np.where(enough, np.array([float(getattr(effect, name)) for effect in effects]), np.nan)
            for name in ("log_lift", "variance")
        )
        looked = np.flatnonzero(np.isfinite(log_lift) & (variance > 0))
        if not len(looked):
            early = [Look(day=day, lift=None, low=None, high=None, p_value=1.0, significant=False) for day in days]
            return SequentialTest(
                alpha=config.alpha_of_looks, tau=None, deviation=None, adjusted=self.adjusts, looks=early
            )
        tau = self._tau(float(variance[looked[0]]), days[looked[0]])
        half = confidence_sequence(variance, tau, config.alpha_of_looks)
        p_values = mixture_p_value(log_lift, variance, tau)
        with np.errstate(over="ignore"):
            lows, highs = np.expm1(log_lift - half), np.expm1(log_lift + half)
        looks = [
            Look(
                day=day,
                lift=_number(np.expm1(log_lift[index])),
                low=_number(lows[index]),
                high=_number(highs[index]),
                p_value=float(p_values[index]),
                significant=bool(p_values[index] <= config.alpha_of_looks),
            )
            for index, day in enumerate(days)
        ]
        return SequentialTest(
            alpha=config.alpha_of_looks,
            tau=tau,
            deviation=math.sqrt(variance[looked[-1]]),
            adjusted=self.adjusts,
            looks=looks,
        )

    def planned_end(self) -> PlannedEnd | None:
        """The fixed-horizon test of the primary metric on the first day that has the planned size."""
        config = self._config
        if config.planned_users is None:
            return None
        for day in self._cells.days:
            if min(self._users_until(day)) < config.planned_users:
                continue
            effect = self._effect(config.primary, EVERYBODY, _until(day), adjusted=self.adjusts)
            shown = self._shown(config.primary, EVERYBODY, _until(day), effect, config.alpha_at_the_end)
            return PlannedEnd(
                day=day,
                alpha=config.alpha_at_the_end,
                adjusted=self.adjusts and not shown.exact,
                lift=shown.lift,
                low=shown.low,
                high=shown.high,
                p_value=shown.p_value,
                significant=shown.significant,
            )
        return None

    def table(self, rows: list[Row]) -> list[Group]:
        """Rows whose tests are adjusted for being several, each metric by itself."""
        metrics = [dict(estimates) for _, _, estimates in rows]
        for metric in dict.fromkeys(name for row in metrics for name in row):
            for row, shown in zip(metrics, self._adjusted([row[metric] for row in metrics]), strict=True):
                row[metric] = shown
        return [
            Group(name=name, users=users, metrics=estimates)
            for (name, users, _), estimates in zip(rows, metrics, strict=True)
        ]

    def _with_secondary_tests(self, metrics: dict[str, Shown]) -> dict[str, Shown]:
        secondary = [name for name in metrics if name != self._config.primary]
        return metrics | dict(zip(secondary, self._adjusted([metrics[name] for name in secondary]), strict=True))

    def _adjusted(self, estimates: list[Shown]) -> list[Shown]:
        """Estimates whose tests are adjusted for being several."""
        tested = [shown.p_value for shown in estimates if shown.p_value is not None]
        if not tested:
            return estimates
        adjusted = iter(_holm(np.array(tested)))
        corrected = []
        for shown in estimates:
            if shown.p_value is not None:
                p_value = float(next(adjusted))
                shown = replace(shown, adjusted_p_value=p_value, significant=p_value <= self._config.alpha)
            corrected.append(shown)
        return corrected

    def _moments(self, arm: str, users: Class) -> Moments:
        return self._cells.moments[arm, users]

    def users(self, users: Class) -> tuple[int, int]:
        candidate, control = (int(self._moments(arm, users).users) for arm in self.arms)
        return candidate, control

    def users_of_stage(self, stage: int) -> tuple[int, int]:
        """Users of both arms to whom something was shown in a stage."""
        candidate, control = (self._cells.users_of_stage(arm, stage) for arm in self.arms)
        return candidate, control

    def _users_until(self, last: datetime.date) -> tuple[int, int]:
        until = [cell for cell in self._cells.cells if cell[1] <= last]
        candidate, control = (self._cells.users_with(arm, EVERYBODY, "impressions", until) for arm in self.arms)
        return candidate, control

    def _enough(self, metric: str, last: datetime.date) -> bool:
        """Whether there are as many users and outcomes up to a day as the sequential test needs."""
        if min(self._users_until(last)) < LEAST_USERS_OF_LOOK:
            return False
        return METRICS[metric].outcome is None or min(self._outcomes(metric, EVERYBODY, _until(last))) >= (
            LEAST_OUTCOMES_OF_LOOK
        )

    def _outcomes(self, metric: str, users: Class, chosen: Chosen) -> tuple[int, int]:
        """The metric's numerator in both arms."""
        features = self._features(METRICS[metric].numerator, chosen)
        candidate, control = (int(self._moments(arm, users).totals[features].sum()) for arm in self.arms)
        return candidate, control

    def _features(self, count: str, chosen: Chosen) -> list[int]:
        if count in ("clicks", "conversions", "impressions"):
            return [self._cells.feature(index, count) for index, cell in enumerate(self._cells.cells) if chosen(*cell)]
        return [self._cells.once(count)]

    def _tau(self, variance: float, day: datetime.date) -> float:
        """What the first look fixes, and no later one changes: its variance tells nothing of the lift."""
        config = self._config
        if config.expected_lift is not None:
            return math.log1p(config.expected_lift)
        candidate, control = self._users_until(day)
        deviation = math.sqrt(variance / (1 / candidate + 1 / control))
        planned = (candidate, control) if config.planned_users is None else (config.planned_users, config.planned_users)
        return math.log1p(minimum_detectable_lift(deviation, *planned, config.alpha, config.power))

    def _balance(self) -> Balance:
        cells, arms = self._cells, self.arms
        candidate, control = (self._moments(arm, EVERYBODY) for arm in arms)
        levels = [
            np.array(
                [
                    float(cells.moments[arm, (LEVEL, name)].users) if (arm, (LEVEL, name)) in cells.moments else 0.0
                    for name in cells.classes(LEVEL)
                ]
            )
            for arm in arms
        ]
        covariates, by_level = covariates_p_value(candidate, control, cells.before), counts_p_value(*levels)
        return Balance(
            covariates_p_value=covariates,
            levels_p_value=by_level,
            balanced=2 * min(covariates, by_level) >= self._config.sample_ratio_alpha,
        )

    def _effect(
        self, metric: str, users: Class, chosen: Chosen, pooled: bool = False, adjusted: bool = False
    ) -> Effect:
        cells, ratio = self._cells, METRICS[metric]
        strata: dict[int, list[int]] = {}
        if ratio.denominator == "users":
            # Both arms have their share of the users in every stage, so there is nothing to standardise.
            groups = [self._features(ratio.numerator, chosen), [cells.once("users")]]
            count = 1
        else:
            for index, (stage, day) in enumerate(cells.cells):
                if chosen(stage, day):
                    strata.setdefault(0 if pooled else stage, []).append(index)
            groups = [
                [cells.feature(index, count) for index in indices]
                for count in (ratio.numerator, ratio.denominator)
                for indices in strata.values()
            ]
            count = len(strata)
        covariates = [[feature] for feature in cells.before] if adjusted else []
        candidate, control = (self._moments(arm, users).combine([*groups, *covariates]) for arm in self.arms)
        return estimate(
            candidate,
            control,
            range(count),
            range(count, 2 * count),
            range(2 * count, 2 * count + len(covariates)),
        )

    def _shown(self, metric: str, users: Class, chosen: Chosen, effect: Effect, alpha: float | None = None) -> Estimate:
        config = self._config
        alpha = alpha or config.alpha
        outcomes = self._outcomes(metric, users, chosen)
        lift, (low, high) = _number(effect.lift), (_number(bound) for bound in effect.interval(alpha))
        p_value = _number(effect.p_value)
        exact = METRICS[metric].outcome is not None and min(outcomes) == 0 and self._reached(metric, users, chosen)
        if exact:
            candidate, control = exact
            p_value = exact_p_value(candidate, control)
            low, high = (_number(bound) for bound in exact_bounds(candidate, control, alpha))
            lift = -1.0 if control[0] else None
        candidate_users, control_users = (float(count) for count in self.users(users))
        # One user's part has this deviation, were it the same in both arms.
        deviation = math.sqrt(effect.variance / (1 / candidate_users + 1 / control_users))
        detectable = minimum_detectable_lift(deviation, candidate_users, control_users, config.alpha, config.power)
        return Estimate(
            candidate=_number(effect.candidate_rate),
            control=_number(effect.control_rate),
            lift=lift,
            low=low,
            high=high,
            p_value=p_value,
            adjusted_p_value=p_value,
            significant=p_value is not None and p_value <= alpha,
            exact=bool(exact),
            few=METRICS[metric].outcome is not None and min(outcomes) < FEWEST_OUTCOMES,
            verdict=_verdict(low, high, config.margin),
            detectable=_number(detectable),
            deviation=_number(deviation),
        )

    def _reached(self, metric: str, users: Class, chosen: Chosen) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Of each arm, the users who have an outcome and those who could; None where there is nothing to compare."""
        cells = [cell for cell in self._cells.cells if chosen(*cell)]
        ratio, both = METRICS[metric], []
        for arm in self.arms:
            if ratio.denominator == "users":
                could = int(self._moments(arm, users).users)
            else:
                could = self._cells.users_with(arm, users, ratio.denominator, cells)
            did = self._cells.users_with(arm, users, ratio.numerator, cells)
            both.append((did, max(could, did)))  # a conversion may come without a click
        candidate, control = both
        return (candidate, control) if candidate[1] and control[1] and candidate[0] + control[0] else None


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p values (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    factors = len(p_values) - np.arange(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def _verdict(low: float | None, high: float | None, margin: float) -> str:
    """By the interval alone: whether it is above 0, below 0, or above the loss that is put up with."""
    if low is not None and low > 0:
        return "better"
    if high is not None and high < 0:
        return "worse"
    return "not worse" if low is not None and low > -margin else "undecided"


def _number(value: Any) -> float | None:
    """As a report shows it: a number that is none is None."""
    number = float(value)
    return number if math.isfinite(number) else None


def _sample_ratio(users: tuple[int, int], config: AnalysisConfig) -> SampleRatio:
    candidate, control = users
    p_value = float(sample_ratio_p_value(np.array(candidate), np.array(control), config.candidate_share))
    return SampleRatio(
        candidate=candidate,
        control=control,
        share=config.candidate_share,
        p_value=p_value,
        mismatch=p_value < config.sample_ratio_alpha,
    )


def _warnings(result: ExperimentResult, cells: Cells, config: AnalysisConfig) -> list[str]:
    return [
        *_of_randomisation(result, config),
        *_of_outcomes(result),
        *_of_denominators(result, config),
        *_of_the_sequential_test(result, config),
        *_of_stages(result, cells, config),
    ]


def _of_randomisation(result: ExperimentResult, config: AnalysisConfig) -> list[str]:
    warnings = []
    ratios = {"": result.sample_ratio, **{f" in stage {name}": of for name, of in result.sample_ratio_by_stage.items()}}
    if result.sample_ratio_of_triggered is not None:
        ratios[" among the triggered users"] = result.sample_ratio_of_triggered
    for where, ratio in ratios.items():
        if ratio.mismatch:
            warnings.append(
                f"Sample-ratio mismatch{where}: {ratio.candidate:,} users of {config.candidate} and {ratio.control:,} "
                f"of {config.control}, where {ratio.share:.1%} were to be the candidate's (p = {ratio.p_value:.2g}): "
                "users went missing in one arm, and no lift can be relied on until the cause is clear."
            )
    balance = result.balance
    if balance is not None and not balance.balanced:
        warnings.append(
            "The arms differ in what their users did before the experiment (means p = "
            f"{balance.covariates_p_value:.2g}, levels p = {balance.levels_p_value:.2g}), which chance hardly does: "
            "either users were not dealt at random, or the activity is not of the time before. Adjusted lifts and "
            "levels of activity are not to be relied on, and the decision does not use them."
        )
    if result.users_in_both_arms:
        warnings.append(
            f"{result.users_in_both_arms:,} users were served by both arms: they changed groups on the way, and are "
            "left out."
        )
    for arm, totals in result.arms.items():
        if totals.impressions and totals.largest_user > LARGEST_SHARE * totals.impressions and totals.users > 100:
            warnings.append(
                f"One user has {totals.largest_user:,} of the {totals.impressions:,} impressions of {arm}: the "
                "intervals allow for it, but is it a person?"
            )
    return warnings


def _of_outcomes(result: ExperimentResult) -> list[str]:
    warnings = []
    for arm, totals in result.arms.items():
        for metric in RATIOS:
            outcome, base = METRICS[metric].numerator, METRICS[metric].denominator
            outcomes = getattr(totals, outcome)
            if outcomes >= FEWEST_OUTCOMES:
                continue
            reason = "too few for a normal interval."
            if not outcomes:
                p_value = result.overall[metric].p_value
                reason = f"there is no lift of {metric.upper()}."
                if result.overall[metric].exact and p_value is not None:
                    reason = f"by the exact test of users with {outcome}, p = {p_value:.2g}."
            warnings.append(f"{arm} has {outcomes:,} {outcome} of {getattr(totals, base):,} {base}: {reason}")
    return warnings


def _of_denominators(result: ExperimentResult, config: AnalysisConfig) -> list[str]:
    warnings = []
    for ratio, per_user in DENOMINATORS.items():
        shown = result.overall[per_user]
        if shown.p_value is not None and shown.p_value <= config.alpha / len(DENOMINATORS) and shown.lift is not None:
            warnings.append(
                f"{ratio.upper()} is per {METRICS[ratio].denominator.removesuffix('s')}, and a user of "
                f"{config.candidate} has {shown.lift:+.2%} of these: the arms' rates are of different occasions. Read "
                f"{METRICS[ratio].numerator} per user beside it."
            )
    for arm in (config.candidate, config.control):
        totals = result.arms[arm]
        if totals.conversions > totals.clicks > 0:
            warnings.append(
                f"{arm} has more conversions ({totals.conversions:,}) than clicks ({totals.clicks:,}), so its CVR is "
                "above 1: clicks are not logged, or conversions come without them. Read conversions per user instead."
            )
    return warnings


def _of_the_sequential_test(result: ExperimentResult, config: AnalysisConfig) -> list[str]:
    test = result.sequential[config.primary]
    if test.tau is None or test.deviation is None:
        return [
            f"Too early for the sequential test: it needs {LEAST_USERS_OF_LOOK} users and {LEAST_OUTCOMES_OF_LOOK} "
            "outcomes in each arm."
        ]
    if test.deviation > test.tau:
        return [
            f"The sequential test is tuned to lifts of {math.expm1(test.tau):.2%}, and the last estimate is uncertain "
            f"by {math.expm1(test.deviation):.2%} (one standard error): it finds hardly anything before there are more "
            "users; `reland experiment plan` says how many."
        ]
    return []


def _of_stages(result: ExperimentResult, cells: Cells, config: AnalysisConfig) -> list[str]:
    warnings = []
    for metric, pooled in result.pooled.items():
        within = result.overall[metric]
        if within.lift is not None and pooled.lift is not None and within.lift * pooled.lift < 0:
            warnings.append(
                f"{metric.upper()}: with the stages thrown together the lift would be {pooled.lift:+.2%}, within them "
                f"it is {within.lift:+.2%} (Simpson's paradox): the arms' shares of the traffic changed between "
                "stages."
            )
    for stage in cells.stages:
        if 0 in (cells.users_of_stage(config.candidate, stage), cells.users_of_stage(config.control, stage)):
            warnings.append(f"Stage {stage} has users of one arm only: it compares nothing and is left out of lifts.")
    return warnings
