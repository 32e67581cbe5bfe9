"""Guardrails: what a candidate must not make worse; measured from the logs of exposures and events alone.

================  ====================================================================================================
`latency`         the 99th percentile of a request's time in the gateway
`fallen_steps`    share of the lists that neither `fresh` nor `last_known` answered: how an error, and a model too slow
                  for its budget, show in a gateway that fails no request
`coverage`        share of the lists that were ranked with a rationale
`diversity`       effective number of items served: 1 / λ (inverse Simpson), λ the probability that two draws from what
                  is served to different users are one item
`lists_per_user`  lists, of groups of users whose sizes are known: a candidate that users leave, or that answers nobody,
                  has fewer
`ctr`, `cvr`      clicks per item shown and conversions per click; judged as soon as events come in
================  ====================================================================================================

The control is a concurrent group, so what both arms suffer breaches nothing. A guardrail is breached where the
candidate is beyond the limit and chance does not explain it, at a level small enough to look every second.

Users, not lists, were randomised. Their lists are counted in `GROUPS` groups by a hash of the user, which differ as
users do: how much more they differ than independent lists would is the design effect, and exact tests are made of
counts divided by it (Korn and Graubard, "Confidence intervals for proportions with small expected number of positive
counts", Survey Methodology 1998), with the quantiles' ratio of Student's and the normal distribution for few groups.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from components.contracts.serving import RANKED_STEPS

MEASURED_COLUMNS = ("arm", "user_id", "items", "ladder_step", "cold_start", "rationale_id", "seconds_total")

GROUPS = 64
ITEM_GROUPS = 16  # items are counted in fewer groups, for there are many of them
# Latencies are counted in bins, so that measures add up: bounds grow by 2% from 0.1 ms to more than 100 s.
_GROWTH = 1.02
_BOUNDS = 1e-4 * _GROWTH ** np.arange(700)
_PERCENTILE = 0.99
# The slowest lists of which the latency test counts the candidate's, where 1% are fewer: at 20, chance gives one arm 19
# of them in 1 of 50,000 looks.
_SLOWEST = 20
# Below this the 99th percentile is the largest of a few values, and an effective number is that of the lists.
MINIMUM_LISTS = 100
# Of groups that served anything, below which the spread of diversity is not known.
MINIMUM_ITEM_GROUPS = 4


def group_of(user_id: str) -> int:
    """The group of a user, the same on every machine."""
    return zlib.crc32(user_id.encode()) % GROUPS


def _counts() -> np.ndarray:
    return np.zeros(GROUPS, np.int64)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What users of an arm were shown and did, int64[GROUPS] each."""

    impressions: np.ndarray = field(default_factory=_counts)
    clicks: np.ndarray = field(default_factory=_counts)
    conversions: np.ndarray = field(default_factory=_counts)

    def __add__(self, other: "Outcomes") -> "Outcomes":
        return Outcomes(
            impressions=self.impressions + other.impressions,
            clicks=self.clicks + other.clicks,
            conversions=self.conversions + other.conversions,
        )


@dataclass(frozen=True, kw_only=True)
class ArmMeasures:
    """What the exposures of one arm add up to; the sum of two is that of both tables' rows.

    Attributes:
        lists: exposures, int64[GROUPS].
        warm: those of users of whom something is known, with an item; the shares below are of these.
        fallen: those of `warm` that the ladder answered below `last_known`.
        explained: those of `warm` that were ranked with a rationale.
        latencies: int64[GROUPS, 701], lists by the bin of their seconds.
        items: how often each item was served, by (item group, item).
        outcomes: None where events are not known.
    """

    lists: np.ndarray = field(default_factory=_counts)
    warm: np.ndarray = field(default_factory=_counts)
    fallen: np.ndarray = field(default_factory=_counts)
    explained: np.ndarray = field(default_factory=_counts)
    latencies: np.ndarray = field(default_factory=lambda: np.zeros((GROUPS, len(_BOUNDS) + 1), np.int64))
    items: Counter[tuple[int, str]] = field(default_factory=Counter)
    outcomes: Outcomes | None = None

    def __add__(self, other: "ArmMeasures") -> "ArmMeasures":
        parts = [measures.outcomes for measures in (self, other) if measures.outcomes is not None]
        items = self.items.copy()
        items.update(other.items)  # unlike `+`, goes through the others alone
        return ArmMeasures(
            lists=self.lists + other.lists,
            warm=self.warm + other.warm,
            fallen=self.fallen + other.fallen,
            explained=self.explained + other.explained,
            latencies=self.latencies + other.latencies,
            items=items,
            outcomes=sum(parts[1:], parts[0]) if parts else None,
        )

    @property
    def p99_seconds(self) -> float:
        """The upper bound of the bin that holds the 99th percentile; not a number without a list."""
        total = int(self.lists.sum())
        if total == 0:
            return float("nan")
        reached = np.cumsum(self.latencies.sum(axis=0)) >= _PERCENTILE * total
        return float(_BOUNDS[min(int(np.argmax(reached)), len(_BOUNDS) - 1)])

    @property
    def fallen_share(self) -> float:
        """Share of the lists that a lower step of the ladder answered."""
        return _ratio(self.fallen, self.warm)

    @property
    def coverage(self) -> float:
        """Share of the lists whose user had a rationale."""
        return _ratio(self.explained, self.warm)

    @cached_property
    def coincidence(self) -> tuple[float, float]:
        """log λ and its variance, by the jackknife over groups; not numbers where two draws have never been one item.

        Draws are of different groups, so λ is not larger for few lists, nor for a user who is shown the same again.
        """
        items = {item: place for place, item in enumerate({item for _, item in self.items})}
        counts = np.zeros((ITEM_GROUPS, len(items)))
        for (group, item), count in self.items.items():
            counts[group, items[item]] = count
        counts = counts[counts.sum(axis=1) > 0]
        if len(counts) < MINIMUM_ITEM_GROUPS:
            return float("nan"), float("nan")
        squares, sizes, total = (counts**2).sum(axis=1), counts.sum(axis=1), counts.sum(axis=0)
        left = total - counts  # what is left of each item without each group
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = np.log(((total**2).sum() - squares.sum()) / (sizes.sum() ** 2 - (sizes**2).sum()))
            without = np.log(
                ((left**2).sum(axis=1) - (squares.sum() - squares))
                / ((sizes.sum() - sizes) ** 2 - ((sizes**2).sum() - sizes**2))
            )
        variance = (len(counts) - 1) * np.var(without) if np.isfinite(without).all() else np.nan
        return (float(whole), float(variance)) if np.isfinite(whole) else (float("nan"), float("nan"))

    @property
    def effective_items(self) -> float:
        """1 / λ: n where n items are served equally often; not a number where λ is none."""
        return float(np.exp(-self.coincidence[0]))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much worse than the control the candidate may be.

    Attributes:
        latency_ratio: largest ratio of the 99th percentiles.
        latency_seconds: a difference of the 99th percentiles up to this is none.
        fallen_margin: largest difference of the shares of fallen steps.
        coverage_margin: largest difference of the shares with a rationale.
        diversity_ratio: least ratio of the effective numbers of items.
        lists_ratio: least ratio of the lists per user.
        ctr_ratio, cvr_ratio: least ratio of the rates.
        level: of each test. A day of looks every second is 86,400, but a candidate that is as good as the control is
            far within the limits, where the tests hardly ever reach even this.
    """

    latency_ratio: float = 1.5
    latency_seconds: float = 0.01
    fallen_margin: float = 0.05
    coverage_margin: float = 0.1
    diversity_ratio: float = 0.5
    lists_ratio: float = 0.8
    ctr_ratio: float = 0.8
    cvr_ratio: float = 0.7
    level: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """One guardrail of a candidate.

    Attributes:
        name: as in the table above.
        candidate, control: the measured values, seconds for `latency`, lists for `lists_per_user` (the control's for as
            many users as the candidate has); not a number where there is nothing to measure.
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


def outcomes_of_user_days(user_days: Path) -> dict[str, Outcomes]:
    """What each arm of a file of `experiment.user_days.USER_DAYS` adds up to."""
    counts = ("impressions", "clicks", "conversions")
    sums = ", ".join(f"sum({name})::BIGINT" for name in counts)
    columns = f"arm, hash(user_id) % {GROUPS} AS place, {sums}"
    rows = duckdb.read_parquet(str(user_days)).aggregate(columns, f"arm, hash(user_id) % {GROUPS}").fetchall()
    outcomes: dict[str, Outcomes] = {}
    for arm, place, *numbers in rows:
        measured = outcomes.setdefault(arm, Outcomes())
        for name, number in zip(counts, numbers, strict=True):
            getattr(measured, name)[place] += number
    return outcomes


def _measure(lists: pa.Table) -> ArmMeasures:
    users = lists["user_id"].combine_chunks().dictionary_encode()
    groups = np.array([group_of(user) for user in users.dictionary.to_pylist()], np.int64)[users.indices.to_numpy()]
    lengths = pc.list_value_length(lists["items"]).to_numpy()
    # A new user is answered with what is popular, and a request that names no known item with nothing, by every model.
    is_warm = ~lists["cold_start"].to_numpy() & (lengths > 0)
    has_answered = pc.is_in(lists["ladder_step"], value_set=pa.array(RANKED_STEPS)).to_numpy()
    is_explained = lists["rationale_id"].is_valid().to_numpy()
    bins = np.searchsorted(_BOUNDS, lists["seconds_total"].to_numpy())
    latencies = np.bincount(groups * (len(_BOUNDS) + 1) + bins, minlength=GROUPS * (len(_BOUNDS) + 1))
    items = pa.table(
        {
            "group": np.repeat(groups % ITEM_GROUPS, lengths),
            "item": pc.list_flatten(lists["items"]),
        }
    )
    counted = items.group_by(["group", "item"]).aggregate([([], "count_all")])
    names = zip(counted["group"].to_pylist(), counted["item"].to_pylist(), strict=True)
    return ArmMeasures(
        lists=np.bincount(groups, minlength=GROUPS),
        warm=np.bincount(groups[is_warm], minlength=GROUPS),
        fallen=np.bincount(groups[is_warm & ~has_answered], minlength=GROUPS),
        explained=np.bincount(groups[is_warm & is_explained], minlength=GROUPS),
        latencies=latencies.reshape(GROUPS, -1),
        items=Counter(dict(zip(names, counted["count_all"].to_pylist(), strict=True))),
    )


def judge(
    candidate: ArmMeasures,
    control: ArmMeasures,
    limits: Limits | None = None,
    shares: tuple[float, float] = (0.5, 0.5),
) -> list[Guardrail]:
    """Every guardrail, in the table's order; those of outcomes where both arms' are known.

    Args:
        shares: of both arms' users, those who were to be the candidate's and the control's.
    """
    limits = limits or Limits()
    enough = bool(min(candidate.lists.sum(), control.lists.sum()) >= MINIMUM_LISTS)
    judged = [
        _latency(candidate, control, limits, enough),
        _fallen_steps(candidate, control, limits),
        _coverage(candidate, control, limits),
        _diversity(candidate, control, limits, enough),
        _lists_per_user(candidate, control, limits, shares),
    ]
    ours, theirs = candidate.outcomes, control.outcomes
    if ours is not None and theirs is not None:
        judged += [
            _rate(
                "ctr", (ours.clicks, ours.impressions), (theirs.clicks, theirs.impressions), limits.ctr_ratio, limits
            ),
            _rate(
                "cvr", (ours.conversions, ours.clicks), (theirs.conversions, theirs.clicks), limits.cvr_ratio, limits
            ),
        ]
    return judged


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
        scaled = np.concatenate((candidate.latencies[:, shift:], np.zeros((GROUPS, shift), np.int64)), axis=1)
        scaled[:, 0] += candidate.latencies[:, :shift].sum(axis=1)
        total = int(candidate.lists.sum() + control.lists.sum())
        slowest = np.cumsum((scaled + control.latencies).sum(axis=0)[::-1])
        bins = int(np.argmax(slowest >= max(_SLOWEST, (1 - _PERCENTILE) * total))) + 1
        slow = scaled[:, -bins:].sum(axis=1), control.latencies[:, -bins:].sum(axis=1)
        kept = _effective_share([(slow[0], candidate.lists), (slow[1], control.lists)], limits.level)
        drawn, of_ours = int((slow[0].sum() + slow[1].sum()) * kept), int(slow[0].sum() * kept)
        lists = int(np.ceil(total * kept)), int(np.ceil(candidate.lists.sum() * kept))
        breached = float(stats.hypergeom.sf(of_ours - 1, *lists, drawn)) < limits.level
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
    ours, theirs = candidate.coincidence, control.coincidence
    beyond = ours[0] - theirs[0] + np.log(limits.diversity_ratio)  # not a number: nothing is beyond
    chance = stats.t.isf(limits.level, ITEM_GROUPS - 1) * np.sqrt(ours[1] + theirs[1])
    return Guardrail(
        name="diversity",
        candidate=candidate.effective_items,
        control=control.effective_items,
        limit=control.effective_items * limits.diversity_ratio,
        breached=bool(enough and beyond > max(chance, 0.0)),
    )


def _lists_per_user(
    candidate: ArmMeasures, control: ArmMeasures, limits: Limits, shares: tuple[float, float]
) -> Guardrail:
    sizes = [np.full(GROUPS, share / GROUPS) for share in shares]
    breached = _falls((candidate.lists, sizes[0]), (control.lists, sizes[1]), limits.lists_ratio, limits.level)
    theirs = float(control.lists.sum() * shares[0] / shares[1])
    return Guardrail(
        name="lists_per_user",
        candidate=float(candidate.lists.sum()),
        control=theirs,
        limit=limits.lists_ratio * theirs,
        breached=breached,
    )


def _rate(
    name: str,
    ours: tuple[np.ndarray, np.ndarray],
    theirs: tuple[np.ndarray, np.ndarray],
    ratio: float,
    limits: Limits,
) -> Guardrail:
    return Guardrail(
        name=name,
        candidate=_ratio(*ours),
        control=_ratio(*theirs),
        limit=ratio * _ratio(*theirs),
        breached=_falls(ours, theirs, ratio, limits.level),
    )


def _ratio(counts: np.ndarray, totals: np.ndarray) -> float:
    return float(counts.sum() / totals.sum()) if totals.sum() else float("nan")


def _effective_share(arms: Sequence[tuple[np.ndarray, np.ndarray]], level: float, of_counts: bool = False) -> float:
    """By how much counts are to be multiplied so that exact tests of independent events hold; 1 at most.

    Args:
        arms: counts and totals of each arm by group; each arm has a rate of its own.
        of_counts: whether events are Poisson, as lists and clicks are, instead of a share of the totals.
    """
    squares = expected = spread = total = 0.0
    groups = []
    for counts, totals in arms:
        if not totals.sum():
            continue
        rate = counts.sum() / totals.sum()
        seen = int(np.count_nonzero(counts if of_counts else totals))
        if seen:
            groups.append(seen)
        squares += seen / max(seen - 1, 1) * ((counts - rate * totals) ** 2).sum()
        expected += counts.sum() * (1.0 if of_counts else 1 - rate)
        sizes = counts if of_counts else totals
        spread, total = spread + (sizes.astype(float) ** 2).sum(), total + sizes.sum()
    if not groups or not total:
        return 0.0
    # Where nothing varies within an arm, the lists of a group count as one.
    effect = squares / expected if expected > 0 and min(groups) > 1 else spread / total
    degrees = max(min(groups) - 1, 1)
    quantiles = stats.norm.isf(level) / stats.t.isf(level, degrees)
    return float(quantiles**2 / max(effect, 1.0))


def _rises(
    ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray], margin: float, level: float
) -> bool:
    """Whether our share is above theirs by more than a margin; both are (counts, totals) by group.

    Theirs is taken at the upper end of its exact interval (Clopper and Pearson).
    """
    if not theirs[1].sum() or not ours[1].sum():
        return False
    kept = _effective_share([ours, theirs], level)
    count, total = float(theirs[0].sum() * kept), float(theirs[1].sum() * kept)
    highest = float(stats.beta.ppf(1 - level, count + 1, total - count)) if count < total else 1.0
    share = min(highest + margin, 1.0)
    return float(stats.binom.sf(int(ours[0].sum() * kept) - 1, int(ours[1].sum() * kept), share)) < level


def _falls(
    ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray], ratio: float, level: float
) -> bool:
    """Whether our rate is below `ratio` of theirs; both are (counts, totals) by group, and counts may be 0.

    Given the counts of both arms together, ours at the limit are binomial.
    """
    kept = _effective_share([ours, theirs], level, of_counts=True)
    weights = ratio * float(ours[1].sum()), float(theirs[1].sum())
    both = int((ours[0].sum() + theirs[0].sum()) * kept)
    if not both or not all(weights):
        return False
    return float(stats.binom.cdf(int(np.ceil(ours[0].sum() * kept)), both, weights[0] / sum(weights))) < level
