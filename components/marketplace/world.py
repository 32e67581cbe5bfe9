"""The users of the market with their tastes, its items with their attributes, and the day on which each arrives.

Users and items are numbered in the order in which they arrive, so those of a day are the first n. All is drawn at the
start, for the days of the log and for some days after it, on which policies are replayed.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from components.marketplace.catalogue import (
    BRANDS,
    CATEGORY_NAMES,
    KINDS_PER_CATEGORY,
    STYLES,
    USUAL_PRICES,
)

# Of the markets that `market_of` and `market_of_users` make.
INTERACTIONS_PER_USER = 50
USERS_PER_ITEM = 12

LEVEL_SHARES = (0.4, 0.3, 0.2, 0.1)  # of users in the activity levels L1 to L4
PRICE_SPREAD = 0.5  # standard deviation of the logarithm of prices within a category
MOST_SESSIONS_PER_DAY = 6.0  # of the mean rate of the most active users

# The purpose of a random generator; with the seed and the day, it names the generator's stream.
WORLD, LOG, REPLAY = 0, 1, 2


@dataclass(frozen=True)
class Weights:
    """Coefficients of the equation in `truth.Truth`, on the scale of logits."""

    intercept: float
    category: float
    brand: float
    price: float
    popularity: float
    intent_category: float
    intent_brand: float


@dataclass(frozen=True)
class MarketConfig:
    """Size and strength of the market; the default gives some 24,000 interactions.

    Attributes:
        users: who have signed up by the end of the log.
        items: which are on sale by the end of the log.
        days: of the log, numbered from 0.
        days_after: days that the truth covers after the log, with new users and items on each.
        late_users: share of the users who sign up after the first day, evenly over the days.
        late_items: share of the items that are launched after the first day.
        sessions_per_day: mean over users.
        activity_spread: standard deviation of the logarithm of a user's sessions per day.
        slots: items shown in a session.
        search_share: of the sessions that begin with a search.
        taste_sharpness: how strongly what a user looks for follows taste (inverse temperature of a softmax).
        drift: by how much tastes turn in a day, in radians; a quarter turn makes them unrelated to the first day's.
        intent_days: days for which a user is after one category and one brand.
        position_bias: exponent b of the examination probability (k + 1)^-b of slot k; 0 is none.
        start: first second of day 0, since 1970 (2024-01-01).
    """

    users: int = 600
    items: int = 400
    days: int = 30
    days_after: int = 14
    late_users: float = 0.2
    late_items: float = 0.15
    sessions_per_day: float = 0.5
    activity_spread: float = 0.9
    slots: int = 10
    search_share: float = 0.3
    taste_sharpness: float = 1.5
    drift: float = 0.02
    intent_days: int = 3
    position_bias: float = 0.0
    start: int = 1_704_067_200
    click: Weights = Weights(-3.5, 0.7, 0.5, 0.2, 0.5, 1.6, 1.2)
    conversion: Weights = Weights(-3.2, 0.4, 0.4, 0.3, 0.2, 0.6, 0.6)

    def __post_init__(self) -> None:
        if min(self.users, self.items, self.days, self.slots, self.intent_days) < 1 or self.days_after < 0:
            raise ValueError("a market has at least one user, item, day, slot and day of intent")

    @property
    def horizon(self) -> int:
        """Days that the truth covers."""
        return self.days + self.days_after


@dataclass(frozen=True)
class Users:
    """One row a user, C categories, B brands, N spells of intent.

    Attributes:
        signup_day: int32[U], ascending.
        sessions_per_day: float32[U], mean of a Poisson distribution.
        level: int8[U], activity level 1 to 4.
        price_taste: float32[U], the price position liked most.
        category_taste, category_drift: float32[U, C], standard normal: the taste of day 0 and what it turns to.
        brand_taste: float32[U, B], standard normal.
        intent_phase: int32[U], days by which a user's spells of intent begin before day 0.
        intent_category, intent_brand: int8[U, N], what a user is after in each spell.
    """

    signup_day: np.ndarray
    sessions_per_day: np.ndarray
    level: np.ndarray
    price_taste: np.ndarray
    category_taste: np.ndarray
    category_drift: np.ndarray
    brand_taste: np.ndarray
    intent_phase: np.ndarray
    intent_category: np.ndarray
    intent_brand: np.ndarray


@dataclass(frozen=True)
class Items:
    """One row an item.

    Attributes:
        launch_day: int32[I], ascending.
        category, kind, brand, style: int8[I], codes of the catalogue's names.
        price_position: float32[I], standard normal: where the price lies within the category, in standard deviations.
        price: float64[I], in the market's currency, rounded to cents.
        popularity: float32[I], standard normal.
    """

    launch_day: np.ndarray
    category: np.ndarray
    kind: np.ndarray
    brand: np.ndarray
    style: np.ndarray
    price_position: np.ndarray
    price: np.ndarray
    popularity: np.ndarray


def market_of(interactions: int) -> MarketConfig:
    """A market of the default strength whose log has about this many interactions.

    It has a fifth fewer at 100,000 and a quarter more at 10 million: with more items, a list rarely draws one twice.
    """
    return market_of_users(max(1, round(interactions / INTERACTIONS_PER_USER)))


def market_of_users(users: int) -> MarketConfig:
    """A market of the default strength with so many users, and items in proportion; 600 users are the default."""
    return MarketConfig(users=users, items=max(MarketConfig.items, users // USERS_PER_ITEM))


def generator_of(seed: int, *stream: int) -> np.random.Generator:
    """A generator for one purpose (and day), independent of what any other has drawn."""
    return np.random.default_rng([seed, *stream])


def make_items(config: MarketConfig, seed: int) -> Items:
    """Draw the items of a market in the order of their launch; attributes are independent of each other."""
    generator = generator_of(seed, WORLD, 0)
    launch_day = _arrival_days(config.items, config.late_items, config)
    count = len(launch_day)
    category, kind, brand, style = (
        generator.integers(size, size=count, dtype=np.int8)
        for size in (len(CATEGORY_NAMES), KINDS_PER_CATEGORY, len(BRANDS), len(STYLES))
    )
    price_position = _normal(generator, count)
    price = USUAL_PRICES[category] * np.exp(PRICE_SPREAD * price_position.astype(np.float64))
    popularity = _normal(generator, count)
    return Items(launch_day, category, kind, brand, style, price_position, price.round(2), popularity)


def make_users(config: MarketConfig, seed: int) -> Users:
    """Draw the users of a market in the order of their sign-up, with activity, tastes and spells of intent."""
    generator = generator_of(seed, WORLD, 1)
    signup_day = _arrival_days(config.users, config.late_users, config)
    count = len(signup_day)

    activity = _normal(generator, count)
    spread = config.activity_spread
    # The mean of a log-normal variable is exp(mu + spread^2 / 2).
    rate = config.sessions_per_day * np.exp(spread * activity - spread**2 / 2)
    level = 1 + np.searchsorted(ndtri(np.cumsum(LEVEL_SHARES[:-1])), activity)

    category_taste = _normal(generator, count, len(CATEGORY_NAMES))
    category_drift = _normal(generator, count, len(CATEGORY_NAMES))
    brand_taste = _normal(generator, count, len(BRANDS))
    price_taste = _normal(generator, count)

    phase = generator.integers(config.intent_days, size=count, dtype=np.int32)
    spells = (config.horizon + config.intent_days - 2) // config.intent_days + 1
    intent_category = np.empty((count, spells), dtype=np.int8)
    intent_brand = np.empty((count, spells), dtype=np.int8)
    for spell in range(spells):
        angle = (config.drift * (spell * config.intent_days - phase))[:, None]
        taste = turned(category_taste, category_drift, angle)
        intent_category[:, spell] = draw_by_taste(taste, config.taste_sharpness, generator)
        intent_brand[:, spell] = draw_by_taste(brand_taste, config.taste_sharpness, generator)

    return Users(
        signup_day=signup_day,
        sessions_per_day=np.minimum(rate, MOST_SESSIONS_PER_DAY).astype(np.float32),
        level=level.astype(np.int8),
        price_taste=price_taste,
        category_taste=category_taste,
        category_drift=category_drift,
        brand_taste=brand_taste,
        intent_phase=phase,
        intent_category=intent_category,
        intent_brand=intent_brand,
    )


def turned(taste: np.ndarray, drift: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """cos(angle) taste + sin(angle) drift, float32: standard normal at every angle, since both are and independent."""
    return (np.cos(angle) * taste + np.sin(angle) * drift).astype(np.float32, copy=False)


def draw_by_taste(taste: np.ndarray, sharpness: float, generator: np.random.Generator) -> np.ndarray:
    """One draw a row from softmax(sharpness * taste): float32[n, m] -> int8[n]."""
    cumulative = np.cumsum(np.exp(sharpness * taste), axis=1)
    point = generator.random((len(taste), 1), dtype=np.float32) * cumulative[:, -1:]
    return (cumulative[:, :-1] <= point).sum(axis=1, dtype=np.int8)


def _normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape, dtype=np.float32)


def _arrival_days(count: int, late_share: float, config: MarketConfig) -> np.ndarray:
    """int32, ascending: `count` arrive by the last day of the log, and as many a day after it as on its late days."""
    late = round(count * late_share) if config.days > 1 else 0
    late_days = 1 + np.arange(late) * (config.days - 1) // max(late, 1)
    after_a_day = late / (config.days - 1) if config.days > 1 else 0
    after = round(after_a_day * config.days_after)
    after_days = config.days + np.arange(after) * config.days_after // max(after, 1)
    return np.concatenate([np.zeros(count - late), late_days, after_days]).astype(np.int32)
