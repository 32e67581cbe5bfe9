"""Does an experiment find what is true? Hundreds of experiments in the simulated market, whose lifts are known.

    python -m tests.performance.experiment_replays [--quick] --json FILE

Each replay is an experiment of five days: users drawn from a market, arms, visits, clicks and purchases by the truth,
and `serving.experiment.analysis` over what came of it, with no server between. The control ranks by what the truth says
of the last day of the log with noise added, candidates with less of it:

1. Coverage: the share of the 95% intervals that hold the true lift, of CTR and of CVR, for a candidate that is a little
   better. The goal is a share of 91 to 98%: two figures, whose peers are the bounds.
2. Width: the mean width of these intervals; the peer is the width that the power plan said for as many users as come,
   from how users differ under the control alone: a larger experiment of two equal arms, before the candidate was ever
   shown. The goal is 10%.
3. A known large lift, the oracle's order by true click probability: the share of the replays that find it, CTR.
4. Two equal arms: the share of the replays that find a difference; the peer is alpha, and the goal is that it be within
   four standard errors of it.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

from components.marketplace.truth import make_truth
from components.marketplace.world import market_of_users
from reland.studies.replay import Policies, replay_experiment, true_lift
from serving.experiment.analysis import RATIOS, AnalysisConfig, ExperimentResult, analyze
from tests.performance.report import Figure, write_report

REPLAYS, QUICK_REPLAYS = 400, 40
MARKET_USERS = 6_000
USERS = 4_000  # of an experiment
PILOT_USERS = 20_000
LENGTH = 10
DAYS = 5
NOISE = {"control": 2.0, "better": 1.9, "oracle": 0.0}  # standard deviations, on the scale of logits
CONFIG = AnalysisConfig()


@dataclass(frozen=True)
class Replayed:
    """The analyses of the replays of one pair of policies, and the lift that they should find, by metric."""

    results: list[ExperimentResult]
    truth: dict[str, float]

    def share_covering(self, metric: str) -> float:
        return float(np.mean([low <= self.truth[metric] <= high for low, high in self._intervals(metric)]))

    def mean_width(self, metric: str) -> float:
        """On the scale of logarithms, on which intervals are symmetric."""
        return float(np.mean([math.log1p(high) - math.log1p(low) for low, high in self._intervals(metric)]))

    def share_significant(self, metric: str) -> float:
        return float(np.mean([result.overall[metric].significant for result in self.results]))

    def _intervals(self, metric: str) -> list[tuple[float, float]]:
        intervals = [(result.overall[metric].low, result.overall[metric].high) for result in self.results]
        return [(low, high) for low, high in intervals if low is not None and high is not None]


def policies(seed: int) -> dict[str, Policies]:
    """The control against itself and against each other policy of `NOISE`, in one market."""
    truth = make_truth(market_of_users(MARKET_USERS), seed)
    today = truth.config.days - 1
    users, items = np.arange(truth.users_on(today)), np.arange(truth.items_on(today))
    days = range(truth.config.days, truth.config.days + DAYS)
    clicked = truth.click_probability(users[:, None], items, today)
    logit = np.log(clicked / (1 - clicked))
    noise = np.random.default_rng(seed).standard_normal(logit.shape, np.float32)
    lists = {name: np.argsort(-(logit + deviation * noise), axis=1)[:, :LENGTH] for name, deviation in NOISE.items()}
    # The oracle knows the day that the others do not.
    best = truth.click_probability(users[:, None], items, days[0])
    lists["oracle"] = np.argsort(-best, axis=1)[:, :LENGTH]
    return {name: Policies(truth, users, lists["control"], of, days) for name, of in lists.items()}


def replay(pair: Policies, replays: int, seed: int, users: int = USERS) -> Replayed:
    results = []
    for number in range(replays):
        user_days = replay_experiment(pair, users, np.random.default_rng([seed, number]))
        results.append(analyze(user_days, CONFIG))
    lift = true_lift(pair)
    return Replayed(results, {"ctr": lift.ctr, "cvr": lift.cvr})


def planned_width(pilot: ExperimentResult, metric: str) -> float:
    """The width of an interval of the log lift by the power plan: two quantiles of deviation² (1/n + 1/n).

    n is of the users who come on any of the days: the same share of them as in the pilot.
    """
    deviation = pilot.overall[metric].deviation
    assert deviation is not None
    came = (pilot.sample_ratio.candidate + pilot.sample_ratio.control) / PILOT_USERS
    return float(2 * norm.ppf(1 - CONFIG.alpha / 2) * deviation * math.sqrt(2 / (came * USERS / 2)))


def measure(replays: int, seed: int) -> list[Figure]:
    pairs = policies(seed)
    (pilot,) = replay(pairs["control"], 1, seed + 1, PILOT_USERS).results
    better, equal, oracle = (
        replay(pairs[name], replays, seed + 2 + number) for number, name in enumerate(("better", "control", "oracle"))
    )
    figures = []
    for metric in RATIOS:
        name, lift = metric.upper(), better.truth[metric]
        share = better.share_covering(metric)
        title = f"{name}: share of {replays} intervals that hold the true lift of {lift:+.2%}"
        figures.append(Figure(f"{title}, at least 91%", share, 0.91, "higher", 1.0))
        figures.append(Figure(f"{title}, at most 98%", share, 0.98, "lower", 1.0))
        width, plan = better.mean_width(metric), planned_width(pilot, metric)
        title = f"{name}: mean width of the intervals; the peer is the power plan's"
        figures.append(Figure(f"{title}, not above it by 10%", width, plan, "lower", 1 / 1.1))
        figures.append(Figure(f"{title}, not below it by 10%", width, plan, "higher", 0.9))
    lift = oracle.truth["ctr"]
    share = oracle.share_significant("ctr")
    figures.append(
        Figure(
            f"CTR: share of {replays} experiments that find the oracle's lift of {lift:+.0%}", share, 1.0, "higher", 1.0
        )
    )
    standard_error = math.sqrt(CONFIG.alpha * (1 - CONFIG.alpha) / replays)
    for metric in RATIOS:
        share = equal.share_significant(metric)
        limit = CONFIG.alpha + 4 * standard_error
        title = f"{metric.upper()}: share of {replays} experiments of two equal arms that find a difference, at most"
        figures.append(Figure(f"{title} alpha = {CONFIG.alpha} and 4 standard errors", share, limit, "lower", 1.0))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.experiment_replays", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REPLAYS} replays of each")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    figures = measure(QUICK_REPLAYS if arguments.quick else REPLAYS, seed=0)
    packages = ["duckdb", "numpy", "pyarrow", "scipy"]
    write_report(arguments.json, figures, "tests.performance.experiment_replays", sys.argv[1:], packages)


if __name__ == "__main__":
    main()
