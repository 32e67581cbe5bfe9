"""How much sooner interleaving tells which ranking is better, and what a dueling bandit costs beside A/B tests.

    python -m tests.performance.interleaving [--quick] --json FILE

In a simulated market, by its truth, with rankings that know the users' clicks up to noise:

1. Users whom it takes to find the better of two rankings in 80% of the experiments of five days: by team-draft
   interleaving, the least of a grid with which 80% of the replays found it, and, the peer, by an A/B test of the same
   users, as the power plan has it (`experiment_replays` measures that plan against replays).
2. How often interleaving prefers one of two equal rankings: the peer is alpha and four standard errors.
3. Regret: expected clicks missed by a dueling bandit that learns the blend of two noisy rankers' scores and popularity,
   from popularity on; the peers are the same search judged by A/B tests, and one A/B/n test of the scores and their
   equal blend (`reland.studies.bandit`). The curves are in the page that `reland experiment bandit` writes.
4. What the blends found in the end are worth, in expected clicks of a list; the peer is the best fixed blend.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.marketplace.truth import make_truth
from components.marketplace.world import market_of_users
from reland.studies.bandit import BlendMarket, Regret, compare_ways
from reland.studies.replay import Policies, replay_interleaving, true_lift
from reland.studies.simulated_market import RankedMarket
from serving.experiment.analysis import AnalysisConfig
from serving.experiment.power import users_needed
from tests.performance.experiment_replays import PILOT_USERS, policies, replay
from tests.performance.report import Figure, write_report

CONFIG = AnalysisConfig()
GRID = (60, 80, 100, 130, 160, 200, 250, 320, 400, 500, 640, 800, 1_000)
REPLAYS, QUICK_REPLAYS = 400, 50
LISTS, QUICK_LISTS = 40_000, 4_000
REPETITIONS, QUICK_REPETITIONS = 5, 1
BANDIT_USERS = 1_000
NOISE = {"one ranker": 2.0, "another ranker": 2.5}  # standard deviations, on the scale of logits


def measure_interleaving(replays: int, seed: int) -> list[Figure]:
    pairs = policies(seed)
    lift = true_lift(pairs["better"]).ctr
    (pilot,) = replay(pairs["control"], 1, seed + 1, PILOT_USERS).results
    deviation = pilot.overall["ctr"].deviation
    assert deviation is not None
    came = (pilot.sample_ratio.candidate + pilot.sample_ratio.control) / PILOT_USERS
    by_test = 2 * users_needed(deviation, lift, CONFIG.alpha, CONFIG.power) / came
    by_interleaving = next(
        users for users in GRID if _found(pairs["better"], users, replays, seed + 2) >= CONFIG.power * replays
    )
    equal = _preferred(pairs["control"], by_interleaving, replays, seed + 3) / replays
    limit = CONFIG.alpha + 4 * math.sqrt(CONFIG.alpha * (1 - CONFIG.alpha) / replays)
    title = f"users to find a lift of {lift:+.1%} of CTR in 80% of experiments, interleaved; the peer is an A/B test"
    return [
        Figure(title, by_interleaving, by_test, "lower", 1.0),
        Figure("share of equal rankings of which one is preferred; the peer is the limit", equal, limit, "lower", 1.0),
    ]


def _found(pair: Policies, users: int, replays: int, seed: int) -> int:
    """Replays in which the candidate is preferred."""
    results = (replay_interleaving(pair, users, np.random.default_rng([seed, number])) for number in range(replays))
    return sum(result.p_value <= CONFIG.alpha and result.share > 0.5 for result in results)


def _preferred(pair: Policies, users: int, replays: int, seed: int) -> int:
    results = (replay_interleaving(pair, users, np.random.default_rng([seed, number])) for number in range(replays))
    return sum(result.p_value <= CONFIG.alpha for result in results)


def noisy_market(seed: int) -> RankedMarket:
    """Two rankers who know the clicks of the log's last day up to noise, and popularity."""
    truth = make_truth(market_of_users(BANDIT_USERS), seed)
    today = truth.config.days - 1
    users, items = np.arange(truth.users_on(today)), np.arange(truth.items_on(today))
    clicked = truth.click_probability(users[:, None], items, today)
    logit, generator = np.log(clicked / (1 - clicked)), np.random.default_rng(seed)
    scores = {name: logit + of * generator.standard_normal(logit.shape, np.float32) for name, of in NOISE.items()}
    scores["popularity"] = np.broadcast_to(truth.items.popularity[items], logit.shape)
    return RankedMarket(truth, users, items, scores, np.zeros(logit.shape, bool))


def measure_bandit(lists: int, repetitions: int, seed: int) -> list[Figure]:
    market = BlendMarket(noisy_market(seed))
    best = market.best(np.random.default_rng(seed))
    bandit, *others = compare_ways(market, best, lists, repetitions, seed)
    title = f"clicks missed in {lists:,} lists by a {bandit.name}; the peer is"
    regrets = [
        Figure(f"{title} {other.name}", float(bandit.clicks[-1]), float(other.clicks[-1]), "lower", 1.0)
        for other in others
    ]
    return regrets + _worth(market, best, [bandit, *others])


def _worth(market: BlendMarket, best: np.ndarray, ways: Sequence[Regret]) -> list[Figure]:
    return [
        Figure(
            f"expected clicks of a list by the blend that a {way.name} has found; the peer is the best blend",
            market.value(way.weights),
            market.value(best),
            "higher",
        )
        for way in ways
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.interleaving", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REPLAYS} replays, {QUICK_LISTS:,} lists")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    quick = arguments.quick
    figures = [
        *measure_interleaving(QUICK_REPLAYS if quick else REPLAYS, seed=0),
        *measure_bandit(QUICK_LISTS if quick else LISTS, QUICK_REPETITIONS if quick else REPETITIONS, seed=0),
    ]
    write_report(
        arguments.json, figures, "tests.performance.interleaving", sys.argv[1:], ["numpy", "scipy", "statsmodels"]
    )


if __name__ == "__main__":
    main()
