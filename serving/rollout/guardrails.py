"""Guardrails: what a candidate must not make worse, whatever it does to clicks; measured from the exposure log alone.

================  ====================================================================================================
`latency`         the 99th percentile of a request's time in the gateway
`fallen_steps`    share of the lists that neither `fresh` nor `last_known` answered: how an error, and a model too slow
                  for its budget, show in a gateway that fails no request
`coverage`        share of the lists that were ranked with a rationale
`diversity`       effective number of items served: 1 / Σ p_i² (inverse Simpson), p_i an item's share of what is served
`traffic`         the candidate's part of both arms' lists: groups of equal size are served equally often
================  ====================================================================================================

The control is a concurrent group of equal size, so what both arms suffer breaches nothing. A guardrail is breached
where the candidate is beyond the limit and chance does not explain it: by an exact test at a level small enough to look
every second. Lists of a user are counted as if they were independent; limits, not the level, allow for that they are
not.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from components.contracts.serving import RANKED_STEPS

MEASURED_COLUMNS = ("arm", "items", "ladder_step", "cold_start", "rationale_id", "seconds_total")

# Latencies are counted in bins, so that measures add up: bounds grow by 2% from 0.1 ms to more than 100 s.
_GROWTH = 1.02
_BOUNDS = 1e-4 * _GROWTH ** np.arange(700)
_PERCENTILE = 0.99
# The slowest lists of which the latency test counts the candidate's, where 1% are fewer: at 20, chance gives one arm 19
# of them in 1 of 50,000 looks.
_SLOWEST = 20
# Below this the 99th percentile is the largest of a few values, and an effective number is that of the lists.
MINIMUM_LISTS = 100


@dataclass(frozen=True, kw_only=True)
class ArmMeasures:
    """What the exposures of one arm add up to; the sum of two is that of both tables' rows.

    Attributes:
        lists: exposures.
        warm: those of users of whom something is known, with an item; the shares below are of these.
        fallen: those of `warm` that the ladder answered below `last_known`.
        explained: those of `warm` that were ranked with a rationale.
        latencies: int64[701], lists by the bin of their seconds.
        items: how often each item was served.
    """

    lists: int = 0
    warm: int = 0
    fallen: int = 0
    explained: int = 0
    latencies: np.ndarray = field(default_factory=lambda: np.zeros(len(_BOUNDS) + 1, np.int64))
    items: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "ArmMeasures") -> "ArmMeasures":
        return ArmMeasures(
            lists=self.lists + other.lists,
            warm=self.warm + other.warm,
            fallen=self.fallen + other.fallen,
            explained=self.explained + other.explained,
            latencies=self.latencies + other.latencies,
            items=self.items + other.items,
        )

    @property
    def p99_seconds(self) -> float:
        """The upper bound of the bin that holds the 99th percentile; not a number without a list."""
        if self.lists == 0:
            return float("nan")
        reached = np.cumsum(self.latencies) >= _PERCENTILE * self.lists
        return float(_BOUNDS[min(int(np.argmax(reached)), len(_BOUNDS) - 1)])

    @property
    def fallen_share(self) -> float:
        return self.fallen / self.warm if self.warm else float("nan")

    @property
    def coverage(self) -> float:
        return self.explained / self.warm if self.warm else float("nan")

    @property
    def effective_items(self) -> float:
        """1 / Σ p_i²: n where n items are served equally often; not a number without an item."""
        counts = np.fromiter(self.items.values(), float, len(self.items))
        return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else float("nan")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much worse than the control the candidate may be.

    Attributes:
        latency_ratio: largest ratio of the 99th percentiles.
        latency_seconds: a difference of the 99th percentiles up to this is none.
        fallen_margin: largest difference of the shares of fallen steps.
        coverage_margin: largest difference of the shares with a rationale.
        diversity_ratio: least ratio of the effective numbers of items.
        traffic_share: least share of the lists of both arms; 0.5 is equal.
        level: of each test. A day of looks every second is 86,400, but a candidate that is as good as the control is
            far within the limits, where the tests hardly ever reach even this.
    """

    latency_ratio: float = 1.5
    latency_seconds: float = 0.01
    fallen_margin: float = 0.05
    coverage_margin: float = 0.1
    diversity_ratio: float = 0.5
    traffic_share: float = 0.1
    level: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """One guardrail of a candidate.

    Attributes:
        name: as in the table above.
        candidate, control: the measured values, seconds for `latency`, lists for `traffic`; not a number where there
            is nothing to measure.
        limit: what the candidate's value must not be beyond, in the same unit.
        breached: the candidate is beyond the limit, and chance does not explain it.
    """

    name: str
    candidate: float
    control: float
    limit: float
    breached: bool

    def __str__(self) -> str:
        return f"{self.name} {self.candidate:.4g}, limit {self.limit:.4g} (control {self.control:.4g})"


def measure(exposures: pa.Table) -> dict[str, ArmMeasures]:
    """The measures of every arm in a table of `contracts.serving.EXPOSURES`, of which `MEASURED_COLUMNS` suffice."""
    return {arm: _measure(exposures.filter(pc.field("arm") == arm)) for arm in pc.unique(exposures["arm"]).to_pylist()}


def _measure(lists: pa.Table) -> ArmMeasures:
    # A new user is answered with what is popular, and a request that names no known item with nothing, by every model.
    warm = lists.filter(~pc.field("cold_start") & (pc.list_value_length(pc.field("items")) > 0))
    answered = pc.is_in(warm["ladder_step"], value_set=pa.array(RANKED_STEPS))
    seconds = lists["seconds_total"].to_numpy()
    counted = pc.value_counts(pc.list_flatten(lists["items"]))
    return ArmMeasures(
        lists=lists.num_rows,
        warm=warm.num_rows,
        fallen=warm.num_rows - (pc.sum(answered).as_py() or 0),
        explained=warm.num_rows - warm["rationale_id"].null_count,
        latencies=np.bincount(np.searchsorted(_BOUNDS, seconds), minlength=len(_BOUNDS) + 1),
        items=Counter(dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))),
    )


def judge(candidate: ArmMeasures, control: ArmMeasures, limits: Limits | None = None) -> list[Guardrail]:
    """Every guardrail, in the table's order."""
    limits = limits or Limits()
    enough = min(candidate.lists, control.lists) >= MINIMUM_LISTS
    return [
        _latency(candidate, control, limits, enough),
        _fallen_steps(candidate, control, limits),
        _coverage(candidate, control, limits),
        _diversity(candidate, control, limits, enough),
        _traffic(candidate, control, limits),
    ]


def _latency(candidate: ArmMeasures, control: ArmMeasures, limits: Limits, enough: bool) -> Guardrail:
    """A 99th percentile of few lists is uncertain in both arms, so the slowest lists are counted as well.

    The candidate's seconds are divided by what it may be slower by. Of a candidate at the limit the slowest lists of
    both arms are then dealt out at random, and its part of them is hypergeometric, whatever the latencies are.
    """
    ours, theirs = candidate.p99_seconds, control.p99_seconds
    limit = max(theirs * limits.latency_ratio, theirs + limits.latency_seconds)
    breached = enough and ours > limit
    if breached:
        shift = int(np.ceil(np.log(limit / theirs) / np.log(_GROWTH)))
        scaled = np.concatenate((candidate.latencies[shift:], np.zeros(shift, np.int64)))
        scaled[0] += candidate.latencies[:shift].sum()
        total = candidate.lists + control.lists
        slowest = np.cumsum((scaled + control.latencies)[::-1])
        bins = int(np.argmax(slowest >= max(_SLOWEST, (1 - _PERCENTILE) * total))) + 1
        drawn, of_ours = int(slowest[bins - 1]), int(scaled[-bins:].sum())
        breached = float(stats.hypergeom.sf(of_ours - 1, total, candidate.lists, drawn)) < limits.level
    return Guardrail(name="latency", candidate=ours, control=theirs, limit=limit, breached=breached)


def _fallen_steps(candidate: ArmMeasures, control: ArmMeasures, limits: Limits) -> Guardrail:
    return Guardrail(
        name="fallen_steps",
        candidate=candidate.fallen_share,
        control=control.fallen_share,
        limit=control.fallen_share + limits.fallen_margin,
        breached=_rises(
            (candidate.fallen, candidate.warm), (control.fallen, control.warm), limits.fallen_margin, limits.level
        ),
    )


def _coverage(candidate: ArmMeasures, control: ArmMeasures, limits: Limits) -> Guardrail:
    ours = candidate.warm - candidate.explained
    theirs = control.warm - control.explained
    return Guardrail(
        name="coverage",
        candidate=candidate.coverage,
        control=control.coverage,
        limit=control.coverage - limits.coverage_margin,
        breached=_rises((ours, candidate.warm), (theirs, control.warm), limits.coverage_margin, limits.level),
    )


def _diversity(candidate: ArmMeasures, control: ArmMeasures, limits: Limits, enough: bool) -> Guardrail:
    ours, theirs = candidate.effective_items, control.effective_items
    limit = theirs * limits.diversity_ratio
    return Guardrail(name="diversity", candidate=ours, control=theirs, limit=limit, breached=enough and ours < limit)


def _traffic(candidate: ArmMeasures, control: ArmMeasures, limits: Limits) -> Guardrail:
    total = candidate.lists + control.lists
    breached = _more_than_chance(control.lists, total, 1 - limits.traffic_share, limits.level)
    limit = limits.traffic_share * total
    return Guardrail(name="traffic", candidate=candidate.lists, control=control.lists, limit=limit, breached=breached)


def _rises(ours: tuple[int, int], theirs: tuple[int, int], margin: float, level: float) -> bool:
    """Whether our share is above theirs by more than a margin; both are (count, total).

    Theirs is taken at the upper end of its exact interval (Clopper and Pearson).
    """
    count, total = theirs
    if total == 0:
        return False
    highest = float(stats.beta.ppf(1 - level, count + 1, total - count)) if count < total else 1.0
    return _more_than_chance(*ours, min(highest + margin, 1.0), level)


def _more_than_chance(count: int, total: int, probability: float, level: float) -> bool:
    """Whether `count` of `total` are so many that, at this probability of each, chance gives them less than `level`."""
    return total > 0 and float(stats.binom.sf(count - 1, total, probability)) < level
