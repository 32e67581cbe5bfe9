"""Experiments: whether intervals and tests hold in small ones, and what they find at the size that was planned.

    python -m tests.performance.experiment_validity [--quick] --json FILE

1. Coverage of 95% intervals, plain and by CUPED, with 120, 150 and 1,000 users an arm whose impressions are of a heavy
   tail and whose tastes differ; the true lift is 10%.
2. Power at the planned effect, over 14 days of 1,000 users an arm: the effect is what `serving.experiment.power` calls
   detectable with 80%; by the one fixed-horizon test, and by the decision rule with daily looks.
3. False alarms of both, and of the sequential test alone, where there is no difference; and of the sequential test
   alone in 200 looks at the fewest users that are looked at.

All of it calls the functions that `reland experiment report` calls, on many experiments at once.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from serving.experiment.analysis import LEAST_OUTCOMES_OF_LOOK, LEAST_USERS_OF_LOOK, AnalysisConfig
from serving.experiment.lift import estimate
from serving.experiment.moments import Moments, covariate_leverage, leverage
from serving.experiment.power import minimum_detectable_lift
from serving.experiment.sequential import mixture_p_value
from tests.performance.report import Figure, write_report

CONFIG = AnalysisConfig(planned_users=1_000)
ALPHA, POWER, USERS, DAYS = CONFIG.alpha, CONFIG.power, 1_000, 14
MANY_LOOKS = 200
LIFT = 0.1
IMPRESSIONS, TAIL, MEAN_CTR = 2.0, 1.0, 0.1  # median of a user's mean a day, deviation of its logarithm, mean taste
BATCH = 50


def people(shape: tuple[int, int], generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Each user's mean impressions a day, and taste."""
    mean = IMPRESSIONS * np.exp(TAIL * generator.standard_normal(shape))
    return mean, generator.beta(2.0, 2.0 / MEAN_CTR - 2.0, shape)


def coverage(users: int, experiments: int, seed: int) -> list[Figure]:
    """Shares of experiments whose intervals hold the true lift."""
    generator = np.random.default_rng(seed)
    rows = []
    for factor in (1 + LIFT, 1.0):
        mean, taste = people((experiments, users), generator)
        shown, shown_before = (generator.poisson(DAYS * mean) for _ in range(2))
        clicks = generator.binomial(shown, np.minimum(taste * factor, 1.0))
        clicks_before = generator.binomial(shown_before, taste)
        bought_before = generator.binomial(clicks_before, 0.2)
        rows.append(np.stack([clicks, shown, shown_before, clicks_before, bought_before], axis=-1).astype(float))
    centred = [of[..., 2:] - of[..., 2:].mean(axis=1, keepdims=True) for of in rows]
    within = sum(np.swapaxes(before, -1, -2) @ before for before in centred)
    arms = []
    for of, before in zip(rows, centred, strict=True):
        shown = of[..., 1:2]
        share = leverage(shown, shown.sum(axis=1), np.full((experiments, 1), users))
        arms.append(Moments.of(of, share, covariate_leverage(before, within)))
    figures = []
    for name, covariates in (("plain", []), ("by CUPED", [2, 3, 4])):
        low, high = estimate(arms[0], arms[1], [0], [1], covariates).interval(ALPHA)
        covering = float(((low <= LIFT) & (high >= LIFT)).mean())
        title = f"coverage of 95% intervals, {name}, {users:,} users an arm, {experiments:,} experiments, share"
        figures.append(Figure(f"{title}; the peer is the least", covering, 0.93, "higher", 1.0))
        figures.append(Figure(f"{title}; the peer is the most", covering, 0.97, "lower", 1.0))
    return figures


def cumulative_effects(
    users: int, days: int, lift: float, experiments: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log lifts and variances after each day, not numbers where it is too early for a look, and users of the smaller
    arm, [experiments, days]; then the p value of the fixed-horizon test at the end, [experiments]."""
    generator = np.random.default_rng(seed)
    parts = []
    for first in range(0, experiments, BATCH):
        size = min(BATCH, experiments - first)
        arms, seen, clicked = [], [], []
        for factor in (1 + lift, 1.0):
            mean, taste = people((size, users), generator)
            if days > DAYS:
                mean = mean * DAYS / days
            shown = generator.poisson(mean[..., None], (size, users, days)).cumsum(axis=-1)
            daily = np.diff(shown, axis=-1, prepend=0)
            clicks = generator.binomial(daily, np.minimum(taste * factor, 1.0)[..., None]).cumsum(axis=-1)
            seen.append((shown > 0).sum(axis=1))
            clicked.append(clicks.sum(axis=1))
            arms.append((clicks, shown))
        effects = []
        for day in range(days):
            moments = [
                Moments.of(
                    np.stack([clicks[..., day], shown[..., day]], axis=-1).astype(float),
                    leverage(shown[..., day, None], shown[..., day].sum(axis=1)[:, None], np.full((size, 1), users)),
                )
                for clicks, shown in arms
            ]
            effects.append(estimate(moments[0], moments[1], [0], [1]))
        enough = (np.minimum(*seen) >= LEAST_USERS_OF_LOOK) & (np.minimum(*clicked) >= LEAST_OUTCOMES_OF_LOOK)
        parts.append(
            (
                np.stack([effect.log_lift for effect in effects], axis=-1),
                np.stack([effect.variance for effect in effects], axis=-1),
                enough,
                effects[-1].p_value,
                np.minimum(*seen),
            )
        )
    log_lift, variance, enough, p_value, seen_users = (np.concatenate(part) for part in zip(*parts, strict=True))
    return np.where(enough, log_lift, np.nan), np.where(enough, variance, np.nan), seen_users, p_value


def sequential_p_value(log_lift: np.ndarray, variance: np.ndarray, seen: np.ndarray, planned: int | None) -> np.ndarray:
    """After the last look, tuned by each experiment's first look as `analysis` does; 1 where there is none."""
    p_values = np.ones(len(log_lift))
    for row in range(len(log_lift)):
        looked = np.flatnonzero(np.isfinite(variance[row]))
        if len(looked):
            users = float(seen[row, looked[0]])
            deviation = float(np.sqrt(variance[row, looked[0]] / (2 / users)))
            size = users if planned is None else planned
            tau = np.log1p(minimum_detectable_lift(deviation, size, size, ALPHA, POWER))
            p_values[row] = mixture_p_value(log_lift[row], variance[row], tau)[-1]
    return p_values


def planned(experiments: int, seed: int) -> list[Figure]:
    """Power at the planned effect, and false alarms without one."""
    _, pilot_variance, _, _ = cumulative_effects(USERS, DAYS, 0.0, BATCH, seed)
    deviation = float(np.sqrt(np.nanmean(pilot_variance[:, -1]) / (2 / USERS)))
    lift = minimum_detectable_lift(deviation, USERS, USERS, ALPHA, POWER)
    figures = []
    for name, true, goals in (
        (f"power at the planned effect of {lift:+.1%}", lift, (0.8, 0.65)),
        ("false alarms without a difference", 0.0, (0.06, 0.05)),
    ):
        repeated = experiments if true else 3 * experiments
        log_lift, variance, seen, p_value = cumulative_effects(USERS, DAYS, true, repeated, seed + 1)
        looks = sequential_p_value(log_lift, variance, seen, USERS) <= CONFIG.alpha_of_looks
        rule = looks | (p_value <= CONFIG.alpha_at_the_end)
        alone = sequential_p_value(log_lift, variance, seen, None) <= ALPHA
        better = "higher" if true else "lower"
        title = f"{name}, {USERS:,} users an arm, {repeated:,} experiments, share"
        figures += [
            Figure(f"{title}; one test at the end", float((p_value <= ALPHA).mean()), goals[0], better, 1.0),
            Figure(f"{title}; the decision rule with {DAYS} daily looks", float(rule.mean()), goals[1], better, 1.0),
            Figure(f"{title}; the sequential test alone", float(alone.mean()), goals[1], better, None if true else 1.0),
        ]
    return figures


def many_looks(experiments: int, seed: int) -> list[Figure]:
    """False alarms where users are as few as they may be and looks are many."""
    users = LEAST_USERS_OF_LOOK + 10
    log_lift, variance, seen, _ = cumulative_effects(users, MANY_LOOKS, 0.0, experiments, seed)
    alarms = float((sequential_p_value(log_lift, variance, seen, None) <= ALPHA).mean())
    title = (
        f"false alarms of the sequential test, {users} users an arm, {MANY_LOOKS} looks, {experiments:,} experiments"
    )
    return [Figure(f"{title}, share; the peer is the most", alarms, ALPHA, "lower", 1.0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.experiment_validity", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="few experiments")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    experiments = 200 if arguments.quick else 2_000
    figures = [figure for users in (120, 150, 1_000) for figure in coverage(users, experiments, seed=users)]
    figures += planned(experiments // 2, seed=1)
    figures += many_looks(experiments // 5, seed=2)
    write_report(arguments.json, figures, "tests.performance.experiment_validity", sys.argv[1:], ["numpy", "scipy"])


if __name__ == "__main__":
    main()
