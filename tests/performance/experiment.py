"""Experiments: how often the tests err where the truth is known.

    python -m tests.performance.experiment [--quick] --json FILE

1. 10,000 simulated A/A experiments over five days and two stages (half of the users come with the second), of 2,000
   users an arm whose impressions are of a heavy tail and whose tastes differ: how often CTR differs significantly, by
   the fixed-horizon test at the end, and by the sequential test on any day.
2. The same users with a true lift of 3%: how often the 95% interval covers it; the peer of the last figure takes
   impressions for independent.
3. Sample-ratio test at one million users and level 0.001: how often it finds 50.3% where 50% were to be, and how often
   it finds something where nothing is.
4. CUPED on the marketplace simulator: the spread of the lift over random divisions of the same users in two arms, and
   the width of the interval, with the adjustment and without; theory says sqrt(1 - ρ²), with ρ of the users' own part
   in the rate and what they did in the 14 days before, here by NumPy's least squares.

All of it calls the functions that `reland experiment report` calls, on many experiments at once.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from components.marketplace.sessions import draw_outcomes
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import market_of_users
from serving.experiment.lift import Effect, estimate
from serving.experiment.moments import Moments, leverage
from serving.experiment.sample_ratio import sample_ratio_p_value
from serving.experiment.sequential import mixture_p_value
from tests.performance.report import Figure, write_report

ALPHA = 0.05
POWER = 0.8
LIFT = 0.03
USERS, DAYS, FIRST_STAGE_DAYS = 2_000, 5, 2
BATCH = 25
IMPRESSIONS, TAIL = 20.0, 1.0  # median of a user's mean a day, and standard deviation of its logarithm
MEAN_CTR = 0.05

SAMPLE_RATIO_USERS, SAMPLE_RATIO_ALPHA, MISMATCH = 1_000_000, 0.001, 0.003
BEFORE_DAYS, EXPERIMENT_DAYS = 14, 5
VISITS = 6  # times as many as in the simulator's log: three a day in the mean


def false_alarms(experiments: int, seed: int) -> list[Figure]:
    """Shares of A/A experiments in which there seems to be a difference."""
    fixed, sequential, peeking = [], [], []
    for candidate, control in _experiments(experiments, 0.0, seed):
        effects = [_effect(candidate, control, day) for day in range(1, DAYS + 1)]
        daily = np.stack([effect.p_value for effect in effects], axis=-1)
        log_lift, variance = (
            np.stack([getattr(effect, name) for effect in effects], axis=-1) for name in ("log_lift", "variance")
        )
        fixed.append(daily[..., -1] <= ALPHA)
        peeking.append((daily <= ALPHA).any(axis=-1))
        # As `analysis` tunes it without a plan: to what the users of the first look can find.
        tau = (stats.norm.isf(ALPHA / 2) + stats.norm.ppf(POWER)) * np.sqrt(variance[..., :1])
        sequential.append(mixture_p_value(log_lift, variance, tau)[..., -1] <= ALPHA)
    fixed_rate, sequential_rate, peeking_rate = (
        float(np.concatenate(shares).mean()) for shares in (fixed, sequential, peeking)
    )
    title = f"false alarms in {experiments:,} A/A experiments"
    return [
        Figure(f"{title}, fixed horizon, share; the peer is the most", fixed_rate, 0.06, "lower", 1.0),
        Figure(f"{title}, fixed horizon, share; the peer is the least", fixed_rate, 0.04, "higher", 1.0),
        Figure(
            f"{title}, sequential test on any day, share; the peer is the most", sequential_rate, 0.05, "lower", 1.0
        ),
        Figure(
            f"{title}, on any day, share; the peer looks at the fixed-horizon test daily",
            sequential_rate,
            peeking_rate,
            "lower",
        ),
    ]


def coverage(experiments: int, seed: int) -> list[Figure]:
    """Shares of experiments with a true lift whose interval covers it."""
    clustered, independent = [], []
    for candidate, control in _experiments(experiments, LIFT, seed):
        low, high = _effect(candidate, control, DAYS).interval(ALPHA)
        clustered.append((low <= LIFT) & (high >= LIFT))
        independent.append(_covered_as_if_independent(candidate, control))
    ours, theirs = (float(np.concatenate(covered).mean()) for covered in (clustered, independent))
    title = f"coverage of 95% intervals in {experiments:,} experiments with a lift of 3%, share"
    return [
        Figure(f"{title}; the peer is the least", ours, 0.94, "higher", 1.0),
        Figure(f"{title}; the peer is the most", ours, 0.96, "lower", 1.0),
        Figure(f"{title}; the peer takes impressions for independent", ours, theirs, "higher"),
    ]


def _experiments(number: int, lift: float, seed: int) -> Iterator[tuple[Moments, Moments]]:
    """Moments of both arms of many experiments; features are the clicks of each day, then the impressions."""
    generator = np.random.default_rng(seed)
    for first in range(0, number, BATCH):
        size = min(BATCH, number - first)
        yield _arm(size, 1 + lift, generator), _arm(size, 1.0, generator)


def _arm(experiments: int, factor: float, generator: np.random.Generator) -> Moments:
    shape = (experiments, USERS)
    mean = IMPRESSIONS * np.exp(TAIL * generator.standard_normal(shape))
    taste = generator.beta(2.0, 2.0 / MEAN_CTR - 2.0, shape) * factor
    impressions = generator.poisson(mean[..., None], (*shape, DAYS))
    impressions[:, USERS // 2 :, :FIRST_STAGE_DAYS] = 0  # these come with the second stage
    clicks = generator.binomial(impressions, np.minimum(taste, 1.0)[..., None])
    users = np.count_nonzero(impressions, axis=1)
    rows = np.concatenate([clicks, impressions], axis=-1).astype(float)
    return Moments.of(rows, leverage(impressions, impressions.sum(axis=1), users))


def _effect(candidate: Moments, control: Moments, days: int) -> Effect:
    """Of the days up to one, in two stages, as `analysis` has it."""
    stages = [range(min(days, FIRST_STAGE_DAYS)), range(FIRST_STAGE_DAYS, days)]
    strata = [list(stage) for stage in stages if len(stage)]
    groups = [*strata, *([DAYS + day for day in stage] for stage in strata)]
    count = len(strata)
    return estimate(candidate.combine(groups), control.combine(groups), range(count), range(count, 2 * count))


def _covered_as_if_independent(candidate: Moments, control: Moments) -> np.ndarray:
    totals = [
        (arm.totals[..., :DAYS].sum(axis=-1), arm.totals[..., DAYS:].sum(axis=-1)) for arm in (candidate, control)
    ]
    log_lift = np.log(totals[0][0] / totals[0][1]) - np.log(totals[1][0] / totals[1][1])
    variance = sum(1 / clicks - 1 / impressions for clicks, impressions in totals)
    return np.abs(log_lift - np.log1p(LIFT)) <= stats.norm.isf(ALPHA / 2) * np.sqrt(variance)


def sample_ratio(experiments: int, seed: int) -> list[Figure]:
    """How often a mismatch is found."""
    generator = np.random.default_rng(seed)
    shares = []
    for share in (0.5 + MISMATCH, 0.5):
        candidate = generator.binomial(SAMPLE_RATIO_USERS, share, experiments)
        p_values = sample_ratio_p_value(candidate, SAMPLE_RATIO_USERS - candidate, 0.5)
        shares.append(float((p_values < SAMPLE_RATIO_ALPHA).mean()))
    # As far as chance takes it, at three standard deviations.
    spread = 3 * float(np.sqrt(SAMPLE_RATIO_ALPHA * (1 - SAMPLE_RATIO_ALPHA) / experiments))
    title = f"sample-ratio test, {experiments:,} experiments of {SAMPLE_RATIO_USERS:,} users"
    alarms = f"{title}, false alarms at {SAMPLE_RATIO_ALPHA}, share"
    return [
        Figure(f"{title}, 0.3 percentage points found, share; the peer is the least", shares[0], 0.99, "higher", 1.0),
        Figure(f"{alarms}; the peer is the most by chance", shares[1], SAMPLE_RATIO_ALPHA + spread, "lower", 1.0),
        Figure(f"{alarms}; the peer is the least by chance", shares[1], SAMPLE_RATIO_ALPHA - spread, "higher", 1.0),
    ]


def cuped(users: int, divisions: int, seed: int) -> list[Figure]:
    """What the time before the experiment takes from the spread of lifts and the width of intervals."""
    truth = make_truth(market_of_users(users), seed)
    generator = np.random.default_rng(seed)
    last = truth.config.days
    people = truth.users_on(last - BEFORE_DAYS)  # who were there during all of it
    before = _outcomes(truth, range(last - BEFORE_DAYS, last), people, generator)
    during = _outcomes(truth, range(last, last + EXPERIMENT_DAYS), people, generator)
    rows = np.concatenate([during, before], axis=1)[during[:, 1] > 0]
    effects = []
    for _ in range(divisions):
        is_candidate = generator.random(len(rows)) < 0.5
        arms = Moments.of(rows[is_candidate]), Moments.of(rows[~is_candidate])
        effects.append((estimate(*arms, [0], [1]), estimate(*arms, [0], [1], [3, 4, 5])))
    spread, width = (
        float(ratio)
        for ratio in (
            np.std([adjusted.log_lift for _, adjusted in effects])
            / np.std([unadjusted.log_lift for unadjusted, _ in effects]),
            np.mean([np.sqrt(adjusted.variance / unadjusted.variance) for unadjusted, adjusted in effects]),
        )
    )
    theory = _unexplained(rows[:, 0], rows[:, 1], rows[:, 3:])
    title = f"CUPED, CTR of {len(rows):,} simulated users, with the adjustment relative to without"
    figures = []
    for name, ratio in (("width of the interval", width), (f"spread over {divisions:,} divisions", spread)):
        figures += [
            Figure(f"{title}: {name}; the peer is 1.1 sqrt(1 - ρ²)", ratio, 1.1 * theory, "lower", 1.0),
            Figure(f"{title}: {name}; the peer is 0.9 sqrt(1 - ρ²)", ratio, 0.9 * theory, "higher", 1.0),
        ]
    return figures


def _outcomes(truth: Truth, days: range, people: int, generator: np.random.Generator) -> np.ndarray:
    """Clicks, impressions and conversions of each user, float64[people, 3], shown random lists whenever they come."""
    counts = np.zeros((people, 3))
    for day in days:
        users = np.repeat(np.arange(people), generator.poisson(VISITS * truth.users.sessions_per_day[:people]))
        lists = generator.integers(0, truth.items_on(day), (len(users), truth.config.slots))
        outcomes = draw_outcomes(truth, users, lists, day, generator)
        shown = np.full(len(users), truth.config.slots)
        for column, values in enumerate((outcomes.clicked.sum(axis=1), shown, outcomes.purchased.sum(axis=1))):
            counts[:, column] += np.bincount(users, values, people)
    return counts


def _unexplained(clicks: np.ndarray, impressions: np.ndarray, before: np.ndarray) -> float:
    """sqrt(1 - ρ²), ρ the multiple correlation of the users' part in the rate with the time before."""
    part = clicks - clicks.sum() / impressions.sum() * impressions
    regressors = np.column_stack([np.ones(len(before)), before])
    rest = part - regressors @ np.linalg.lstsq(regressors, part, rcond=None)[0]
    return float(rest.std() / part.std())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.experiment", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few experiments")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    experiments = 500 if arguments.quick else 10_000
    figures = [
        *false_alarms(experiments, seed=0),
        *coverage(experiments, seed=1),
        *sample_ratio(10_000 if arguments.quick else 1_000_000, seed=2),
        *cuped(2_000 if arguments.quick else 20_000, divisions=200 if arguments.quick else 2_000, seed=3),
    ]
    packages = ["numpy", "scipy"]
    write_report(arguments.json, figures, "tests.performance.experiment", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
