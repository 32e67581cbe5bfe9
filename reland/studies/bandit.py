"""What it costs to find the best blend of scores: a dueling bandit beside plain A/B tests, in the simulated market.

Users come, one list each, and are shown blends w of several scores, at first the last of them alone, as popularity is
what a shop begins with. Three ways to find a better one:

- `dueling bandit`: `serving.experiment.dueling_bandit`; each duel is judged on a few interleaved lists.
- `A/B duels`: the same challengers, each judged by showing it to one half of these lists' users and the blend in use to
  the other half; whoever is clicked more often wins. It tells what interleaving is worth, since nothing else differs.
- `A/B/n test`: each score alone and their equal blend get equal shares of the first lists, the one that is clicked most
  gets all that follow. It is what a team would do by hand, and it never tries another blend.

Regret of a list shown is how many clicks it is expected to get less than the list of the best fixed blend would, by the
truth; the best blend is searched among `GRID` directions on the days that are replayed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reland.studies.simulated_market import RankedMarket
from serving.experiment.dueling_bandit import DuelingBandit, blend, standardise
from serving.experiment.interleaving import credit, interleave

LENGTH = 10
GRID = 200
LISTS_OF_DUEL = 20  # of which each half is enough for an A/B duel
TESTED_SHARE = 0.1  # of all lists, that the A/B/n test compares its arms on


BANDIT = DuelingBandit(exploration=0.3, step=0.05)


@dataclass(frozen=True)
class Regret:
    """What a way to find the blend has cost.

    Attributes:
        name: of the way.
        lists: int64[k], how many lists had been shown.
        clicks: float64[k], expected clicks missed until then, all lists together.
        weights: float64[m], the blend in use at the end.
    """

    name: str
    lists: np.ndarray
    clicks: np.ndarray
    weights: np.ndarray


class BlendMarket:
    """A market in which lists are shown by the weights of a blend of a run's scores, in the order of `names`."""

    def __init__(self, market: RankedMarket):
        self.names = list(market.scores)
        self._market = market
        self._scores = np.stack([standardise(scores.astype(np.float64)) for scores in market.scores.values()])
        rates = market.truth.users.sessions_per_day[market.users].astype(np.float64)
        self._share = rates / rates.sum()
        config = market.truth.config
        self.days = range(config.days, config.horizon)

    def visitors(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Users as they come, int64[count] rows of the market: by how active each is."""
        return generator.choice(len(self._share), count, p=self._share)

    def lists(self, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """int64[n, LENGTH], in the truth's index."""
        return self._market.top(blend(self._scores[:, rows], weights), rows, LENGTH)

    def click_probability(self, rows: np.ndarray, lists: np.ndarray, day: int) -> np.ndarray:
        """float32[n, LENGTH]."""
        truth = self._market.truth
        looked_at = truth.examination_probability(LENGTH)
        return truth.click_probability(self._market.users[rows, None], lists, day) * looked_at

    def value(self, weights: np.ndarray) -> float:
        """Expected clicks of a list, over users as they come and all days."""
        rows = np.arange(len(self._share))
        lists = self.lists(weights, rows)
        of_day = [self._share @ self.click_probability(rows, lists, day).sum(axis=1) for day in self.days]
        return float(np.mean(of_day))

    def best(self, generator: np.random.Generator) -> np.ndarray:
        """The best of `GRID` random blends and of each score alone, float64[m]."""
        tried = [*np.eye(len(self.names)), *generator.standard_normal((GRID, len(self.names)))]
        return max((weights / np.linalg.norm(weights) for weights in tried), key=self.value)


def regret_of_bandit(
    market: BlendMarket,
    bandit: DuelingBandit,
    best: np.ndarray,
    lists: int,
    interleaved: bool,
    generator: np.random.Generator,
) -> Regret:
    """Learn from the last score on, for so many lists; `interleaved` False judges by A/B duels."""
    weights = np.eye(len(market.names))[-1]
    missed, total = [], 0.0
    for day, count in _duels(market, lists):
        direction, challenger = bandit.challenge(weights, generator)
        rows = market.visitors(count, generator)
        used, tried = market.lists(weights, rows), market.lists(challenger, rows)
        if interleaved:
            draft = interleave(used, tried, generator)
            shown, probability = draft.items, market.click_probability(rows, draft.items, day)
            clicked = generator.random(shown.shape) < probability
            won = np.sign(credit(draft.team, clicked)).sum() < 0
        else:
            second = np.arange(count) % 2 == 1
            shown = np.where(second[:, None], tried, used)
            probability = market.click_probability(rows, shown, day)
            clicks = (generator.random(shown.shape) < probability).sum(axis=1)
            won = clicks[second].mean() > clicks[~second].mean()
        weights = bandit.learn(weights, direction, bool(won))
        total += _missed(market, best, rows, probability, day)
        missed.append(total)
    return _regret("dueling bandit" if interleaved else "A/B duels", missed, weights)


def regret_of_test(market: BlendMarket, best: np.ndarray, lists: int, generator: np.random.Generator) -> Regret:
    """The A/B/n test: arms in turn for the first `TESTED_SHARE` of the lists, then the winner."""
    arms = [*np.eye(len(market.names)), np.full(len(market.names), len(market.names) ** -0.5)]
    clicks, shown_to = np.zeros(len(arms)), np.zeros(len(arms))
    winner = arms[-1]
    missed, total, shown = [], 0.0, 0
    for day, count in _duels(market, lists):
        rows = market.visitors(count, generator)
        if shown < TESTED_SHARE * lists:
            arm = np.arange(count) % len(arms)
            each = np.stack([market.lists(weights, rows) for weights in arms])
            probability = market.click_probability(rows, each[arm, np.arange(count)], day)
            drawn = (generator.random(probability.shape) < probability).sum(axis=1)
            clicks += np.bincount(arm, weights=drawn, minlength=len(arms))
            shown_to += np.bincount(arm, minlength=len(arms))
            winner = arms[int((clicks / shown_to).argmax())]
        else:
            probability = market.click_probability(rows, market.lists(winner, rows), day)
        total += _missed(market, best, rows, probability, day)
        missed.append(total)
        shown += count
    return _regret("A/B/n test", missed, winner)


def compare_ways(market: BlendMarket, best: np.ndarray, lists: int, repetitions: int, seed: int) -> list[Regret]:
    """What each way costs, the mean over repetitions that differ in everything random."""
    ways: list[Callable[[np.random.Generator], Regret]] = [
        lambda generator: regret_of_bandit(market, BANDIT, best, lists, True, generator),
        lambda generator: regret_of_bandit(market, BANDIT, best, lists, False, generator),
        lambda generator: regret_of_test(market, best, lists, generator),
    ]
    return [_mean([way(np.random.default_rng([seed, number])) for number in range(repetitions)]) for way in ways]


def _mean(runs: list[Regret]) -> Regret:
    clicks = np.mean([regret.clicks for regret in runs], axis=0)
    return Regret(runs[0].name, runs[0].lists, clicks, np.mean([regret.weights for regret in runs], axis=0))


def _duels(market: BlendMarket, lists: int) -> list[tuple[int, int]]:
    """(day, lists) of each duel: the days get equal numbers of lists, one after the other."""
    count = max(1, lists // LISTS_OF_DUEL)
    return [(market.days[number * len(market.days) // count], LISTS_OF_DUEL) for number in range(count)]


def _missed(market: BlendMarket, best: np.ndarray, rows: np.ndarray, probability: np.ndarray, day: int) -> float:
    ideal = market.click_probability(rows, market.lists(best, rows), day)
    return float(ideal.sum(dtype=np.float64) - probability.sum(dtype=np.float64))


def _regret(name: str, missed: list[float], weights: np.ndarray) -> Regret:
    return Regret(name, LISTS_OF_DUEL * np.arange(1, len(missed) + 1), np.array(missed), weights)
