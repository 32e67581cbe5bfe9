"""What happens in the market: lists of items are shown, and users look, click, fill carts and buy as the truth says."""

from dataclasses import dataclass

import numpy as np

from components.marketplace.catalogue import BRANDS, CATEGORY_NAMES
from components.marketplace.truth import Truth
from components.marketplace.world import LOG, draw_by_taste, generator_of, turned

NO_ITEM = -1  # fills a list that is shorter than the others

# Where an item shown comes from: the whole catalogue, a category drawn from the user's taste, the category that the
# user is after, and within it the brand that the user is after. Within each, items are drawn by popularity.
SOURCES_AT_HOME = (0.35, 0.25, 0.25, 0.15)
SOURCES_OF_SEARCH = (0.0, 0.0, 0.5, 0.5)

# Relative number of sessions in each hour of the day: quiet nights, a lunch break, a peak in the evening.
HOURS = (12, 7, 4, 3, 3, 5, 10, 18, 26, 32, 36, 40, 46, 42, 38, 37, 38, 42, 50, 60, 68, 66, 48, 26)

SECONDS_PER_SLOT = 20  # that a user spends on a slot before the next one
MOST_SESSIONS = 20  # of a user on a day; not above SECONDS_PER_SLOT, see `_starts`
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of the lists shown, bool[S, L] each; a purchase implies a cart, a cart implies a click."""

    clicked: np.ndarray
    carted: np.ndarray
    purchased: np.ndarray


@dataclass(frozen=True)
class Sessions:
    """The sessions of one day of the log, by user.

    Attributes:
        user: int64[S].
        start: int64[S], second of the day.
        searching: bool[S], whether the session begins with a search for what the user is after.
        names_brand: bool[S], whether the query names the brand too.
        lists: int64[S, L], the items shown, `NO_ITEM` where a slot is empty.
        outcomes: of the lists.
    """

    user: np.ndarray
    start: np.ndarray
    searching: np.ndarray
    names_brand: np.ndarray
    lists: np.ndarray
    outcomes: Outcomes


def draw_outcomes(
    truth: Truth, users: np.ndarray, lists: np.ndarray, day: int, generator: np.random.Generator
) -> Outcomes:
    """Show each user a list and draw what the user does.

    With p the conversion probability of a clicked item, it is bought with probability p; one that is not bought is left
    in the cart with probability p, so P(cart | click) = 1 - (1 - p)^2.

    Args:
        users: int64[S]; a user may be there more than once.
        lists: int64[S, L], the items shown in order, `NO_ITEM` for none.
    """
    shown = lists != NO_ITEM
    click = truth.click_probability(users[:, None], lists, day) * truth.examination_probability(lists.shape[1])
    clicked = (generator.random(lists.shape, dtype=np.float32) < click) & shown
    session, slot = np.nonzero(clicked)
    purchase = truth.conversion_probability(users[session], lists[session, slot], day)
    draw = generator.random((2, len(session)), dtype=np.float32) < purchase
    purchased = np.zeros_like(clicked)
    purchased[session, slot] = draw[0]
    carted = np.zeros_like(clicked)
    carted[session, slot] = draw[0] | draw[1]
    return Outcomes(clicked, carted, purchased)


def simulate_day(truth: Truth, day: int) -> Sessions:
    """The sessions of `day` in the log, which depend on the truth and the day alone.

    The number of a user's sessions is Poisson distributed; what they show is drawn from `SOURCES_AT_HOME`, or from
    `SOURCES_OF_SEARCH` after a search.
    """
    generator = generator_of(truth.seed, LOG, day)
    counts = generator.poisson(truth.users.sessions_per_day[: truth.users_on(day)])
    counts = np.minimum(counts, MOST_SESSIONS)
    user = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... within a user
    start = _starts(number, truth.config.slots, generator)
    searching = generator.random(len(user)) < truth.config.search_share
    names_brand = generator.random(len(user)) < 0.5
    lists = _exposed(truth, user, searching, searching & ~names_brand, day, generator)
    outcomes = draw_outcomes(truth, user, lists, day, generator)
    return Sessions(user, start, searching, names_brand, lists, outcomes)


def _starts(number: np.ndarray, slots: int, generator: np.random.Generator) -> np.ndarray:
    """Second of the day at which sessions begin, int64[S], by the profile of `HOURS`; none goes on beyond midnight.

    A user's n-th session of a day begins at n modulo `SECONDS_PER_SLOT`, so its moments differ from those of the user's
    other sessions, and no two rows of the log are equal.
    """
    share = np.cumsum(HOURS) / np.sum(HOURS)
    hour = np.searchsorted(share, generator.random(len(number)), side="right")
    second = hour * 3600 + generator.integers(3600, size=len(number))
    second = np.minimum(second, DAY_SECONDS - SECONDS_PER_SLOT * (slots + 3))
    return second // SECONDS_PER_SLOT * SECONDS_PER_SLOT + number


def _exposed(
    truth: Truth,
    user: np.ndarray,
    searching: np.ndarray,
    any_brand: np.ndarray,
    day: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """The items shown in each session, int64[S, L]; an item drawn again for the same list leaves its slot empty."""
    sale = _Sale(truth, day)
    config, users = truth.config, truth.users
    angle = config.drift * day
    taste = turned(users.category_taste[user], users.category_drift[user], angle)
    browsed = draw_by_taste(taste, config.taste_sharpness, generator)
    category, brand = truth.intent(user, day)

    within_category = sale.of_category(category)
    within_brand = np.where(any_brand, within_category, sale.of_brand(category, brand))
    everything = np.broadcast_to(sale.everything[:, None], within_category.shape)
    # [2, S, 4]: first and last point of the popularity that each source covers
    bounds = np.stack([everything, sale.of_category(browsed), within_category, within_brand], axis=2)

    draw = generator.random((len(user), config.slots), dtype=np.float32)
    edges = np.where(
        searching[:, None],
        np.cumsum(SOURCES_OF_SEARCH, dtype=np.float32)[:3],
        np.cumsum(SOURCES_AT_HOME, dtype=np.float32)[:3],
    )
    source = sum((draw >= edges[:, [number]]).astype(np.int64) for number in range(3))  # [S, L], 0 to 3
    source += np.arange(len(user))[:, None] * 4
    first, last = bounds[0].ravel()[source], bounds[1].ravel()[source]
    lists = sale.items_at(first + generator.random(source.shape) * (last - first))
    for slot in range(1, config.slots):
        again = (lists[:, :slot] == lists[:, [slot]]).any(axis=1)
        lists[again, slot] = NO_ITEM
    return lists


class _Sale:
    """The items on sale on a day, laid end to end by category and brand, each as long as exp(popularity)."""

    def __init__(self, truth: Truth, day: int):
        count = truth.items_on(day)
        category = truth.items.category[:count].astype(np.int64)
        group = category * len(BRANDS) + truth.items.brand[:count]
        self._order = np.argsort(group, kind="stable")
        self._ends = np.cumsum(np.exp(truth.items.popularity[:count][self._order].astype(np.float64)))
        first_rows = np.searchsorted(group[self._order], np.arange(len(CATEGORY_NAMES) * len(BRANDS) + 1))
        self._edges = np.concatenate([[0.0], self._ends])[first_rows]
        self.everything = self._edges[[0, -1]]  # float64[2]: first and last point

    def of_category(self, category: np.ndarray) -> np.ndarray:
        """First and last point of each of the categories, float64[2, S]; of everything where it has no items."""
        group = category.astype(np.int64) * len(BRANDS)
        bounds = np.stack([self._edges[group], self._edges[group + len(BRANDS)]])
        return np.where(bounds[0] < bounds[1], bounds, self.everything[:, None])

    def of_brand(self, category: np.ndarray, brand: np.ndarray) -> np.ndarray:
        """First and last point of each brand within a category, float64[2, S]; of the category where it has none."""
        group = category.astype(np.int64) * len(BRANDS) + brand
        bounds = np.stack([self._edges[group], self._edges[group + 1]])
        return np.where(bounds[0] < bounds[1], bounds, self.of_category(category))

    def items_at(self, points: np.ndarray) -> np.ndarray:
        """Index of the item that lies at each point: float64[S, L] -> int64[S, L]."""
        row = np.searchsorted(self._ends, points.ravel(), side="right")
        return self._order[np.minimum(row, len(self._order) - 1)].reshape(points.shape)
