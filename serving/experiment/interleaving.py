"""Team-draft interleaving: two rankings compared within each list, by whose items are clicked.

An A/B test compares users with other users, who differ more than rankings do; here every list is compared with itself,
so far fewer lists tell which of two rankings is better. It tells which, not by how much: a lift needs an A/B test.

Radlinski, Kurup and Joachims: How does clickthrough data reflect retrieval quality? CIKM 2008, section 4.2.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

NO_ITEM = -1  # fills a ranking or list that is shorter than the others, as any negative number does
FIRST, SECOND, NO_TEAM = 0, 1, -1


@dataclass(frozen=True)
class InterleavedLists:
    """Lists to show, and whose each item is.

    Attributes:
        items: int64[n, L], `NO_ITEM` at the end of a list that is shorter.
        team: int8[n, L], `FIRST` or `SECOND`; `NO_TEAM` where there is no item.
    """

    items: np.ndarray
    team: np.ndarray


@dataclass(frozen=True)
class Preference:
    """What users prefer, and how sure that is.

    Attributes:
        first: users whose clicks were more often on items of the first ranking; `second` likewise.
        undecided: users who clicked on both alike, or not at all; they say nothing either way.
        share: of the first among the decided; 0.5 where nobody is.
        low, high: the exact (Clopper-Pearson) interval of `share`.
        p_value: of a share as far from one half or farther, were neither preferred (exact binomial, two-sided).
    """

    first: int
    second: int
    undecided: int
    share: float
    low: float
    high: float
    p_value: float


def interleave(first: np.ndarray, second: np.ndarray, generator: np.random.Generator) -> InterleavedLists:
    """Draft lists from two rankings of n requests, each int64[n, L], best first and no item twice.

    In turns, each ranking adds its best item that is not in the list yet; which of them begins a round is tossed. So
    the teams are of one size, give or take one, and each is as likely as the other to have any slot. A list ends, as in
    the paper, when either ranking has no item left to add.

    Raises:
        ValueError: the rankings differ in shape.
    """
    if first.shape != second.shape:
        raise ValueError(f"rankings of the shapes {first.shape} and {second.shape}")
    count, length = first.shape
    items = np.full((count, length), NO_ITEM, np.int64)
    team = np.full((count, length), NO_TEAM, np.int8)
    rankings = np.stack([first, second])  # [2, n, L]
    free = rankings >= 0
    drafted = np.zeros((2, count), np.int64)
    rows = np.arange(count)
    for slot in range(length):
        tossed = generator.integers(2, size=count)
        turn = np.where(drafted[FIRST] == drafted[SECOND], tossed, drafted[FIRST] > drafted[SECOND])
        chosen = rankings[turn, rows, free[turn, rows].argmax(axis=1)]
        goes_on = free.any(axis=2).all(axis=0)
        items[goes_on, slot] = chosen[goes_on]
        team[goes_on, slot] = turn[goes_on]
        drafted[turn[goes_on], rows[goes_on]] += 1
        free &= rankings != items[:, slot][None, :, None]
        free[:, ~goes_on] = False
    return InterleavedLists(items, team)


def credit(team: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """Clicks on items of the first ranking less those on items of the second: int64[n].

    Args:
        team: int8[n, L] of `InterleavedLists`.
        clicked: bool[n, L].
    """
    return (clicked & (team == FIRST)).sum(axis=1) - (clicked & (team == SECOND)).sum(axis=1)


def preference(users: np.ndarray, credits: np.ndarray, confidence: float = 0.95) -> Preference:
    """Which ranking users prefer: a sign test over users, whose lists are no independent trials.

    Args:
        users: int64[n], whose list each is.
        credits: int64[n], of `credit`.
    """
    _, user = np.unique(users, return_inverse=True)
    total = np.bincount(user, weights=credits)
    first, second = int((total > 0).sum()), int((total < 0).sum())
    undecided = len(total) - first - second
    if not first + second:
        return Preference(0, 0, undecided, 0.5, 0.0, 1.0, 1.0)
    test = binomtest(first, first + second)
    interval = test.proportion_ci(confidence, method="exact")
    return Preference(
        first, second, undecided, test.statistic, float(interval.low), float(interval.high), float(test.pvalue)
    )
