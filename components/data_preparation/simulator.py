"""A small marketplace with learnable structure, for a first run without any download.

Every user has a taste over categories and brands; every item has a popularity and a few companions, which are often
taken next. A user takes an item once: it is a purchase where the taste is strong, otherwise a click. So personal taste
beats popularity, and order carries information.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.contracts.tables import ITEMS, REJECTED
from components.data_preparation.adapters.contract import UNCHECKED_INTERACTIONS, UNCHECKED_ITEMS, RowBatch
from components.data_preparation.validation import RAW_INTERACTIONS

INTERACTIONS_NAME = "simulated interactions"
ITEMS_NAME = "simulated items"

# category: what its items are called
CATEGORIES = {
    "Running": ("Running Shoes", "Running Jacket", "Running Belt"),
    "Camping": ("Two-Person Tent", "Sleeping Bag", "Camping Stove"),
    "Cycling": ("Bicycle Helmet", "Cycling Gloves", "Bicycle Light"),
    "Kitchen": ("Chef Knife", "Cast Iron Pan", "Mixing Bowl"),
    "Coffee": ("Espresso Machine", "Coffee Grinder", "Pour-Over Kettle"),
    "Skin Care": ("Face Cream", "Cleansing Gel", "Sunscreen"),
    "Hair Care": ("Shampoo", "Hair Dryer", "Styling Brush"),
    "Audio": ("Wireless Headphones", "Bookshelf Speaker", "Microphone"),
    "Photography": ("Camera Lens", "Tripod", "Camera Bag"),
    "Gardening": ("Pruning Shears", "Watering Can", "Planter Box"),
    "Toys": ("Building Blocks", "Wooden Train", "Puzzle"),
    "Stationery": ("Fountain Pen", "Notebook", "Desk Organizer"),
}
BRANDS = (
    *("Alderway", "Bramble & Co", "Corvina", "Dunemark", "Eastlight", "Fjordline", "Grovesmith", "Halden"),
    *("Ironleaf", "Juniper Lane", "Kestrel", "Lumora", "Marrow & Pine", "Northwind", "Oakhaven", "Pellucid"),
)
GRADES = ("Basic", "Classic", "Compact", "Deluxe", "Essential", "Premium", "Pro", "Travel")


@dataclass(frozen=True)
class SimulatorConfig:
    """Size and strength of the simulated market. Weights are on the scale of logits with Gumbel noise of scale 1."""

    users: int = 600
    items: int = 400
    fewest_interactions: int = 12
    most_interactions: int = 150
    mean_extra_interactions: float = 12.0  # above the fewest; the distribution is log-normal
    companions: int = 3  # items that often follow an item
    taste_concentration: float = 0.15  # of the Dirichlet over categories: the smaller, the more personal
    taste_weight: float = 1.2
    brand_weight: float = 1.0
    popularity_weight: float = 1.0
    companion_weight: float = 2.5
    purchase_share: float = 0.25
    start: int = 1_704_067_200  # 2024-01-01, in seconds
    days: int = 30


@dataclass(frozen=True)
class Market:
    """What was simulated: `RAW_INTERACTIONS`, and `contracts.tables.ITEMS` with `sequence`."""

    interactions: pa.Table
    items: pa.Table

    def interaction_batches(self) -> Iterator[RowBatch]:
        """The interactions as if they had been read from a file."""
        yield _batch(INTERACTIONS_NAME, self.interactions, UNCHECKED_INTERACTIONS)

    def item_batches(self) -> Iterator[RowBatch]:
        """The items, likewise."""
        yield _batch(ITEMS_NAME, self.items, UNCHECKED_ITEMS)


def _batch(file: str, table: pa.Table, schema: pa.Schema) -> RowBatch:
    raw = pa.array([str(row) for row in table.to_pylist()], pa.large_string())
    rows = table.append_column("source_line", table["sequence"]).append_column("raw", raw)
    return RowBatch(file, rows.select(schema.names).cast(schema), REJECTED.empty_table(), len(rows))


def read(config: SimulatorConfig, seed: int) -> Market:
    """Simulate a market; equal configurations and seeds give equal tables."""
    generator = np.random.default_rng(seed)
    category = generator.integers(len(CATEGORIES), size=config.items)  # [items]
    brand = generator.integers(len(BRANDS), size=config.items)  # [items]
    items = _items_table(config, category, brand, generator)
    interactions = _interactions_table(config, category, brand, generator)
    return Market(interactions, items)


def _items_table(
    config: SimulatorConfig, category: np.ndarray, brand: np.ndarray, generator: np.random.Generator
) -> pa.Table:
    names = list(CATEGORIES)
    kind = generator.integers(3, size=config.items)
    grade = generator.integers(len(GRADES), size=config.items)
    rows = []
    for index in range(config.items):
        category_name, brand_name = names[category[index]], BRANDS[brand[index]]
        kind_name = CATEGORIES[category_name][kind[index]]
        rows.append(
            {
                "item_id": _item_id(index),
                "title": f"{brand_name} {GRADES[grade[index]]} {kind_name} {index:03d}",
                "brand": brand_name,
                "categories": [category_name, kind_name],
                "description": f"{kind_name} by {brand_name}, for {category_name.lower()}.",
                "sequence": index + 1,
            }
        )
    return pa.Table.from_pylist(rows, schema=ITEMS.append(pa.field("sequence", pa.int64())))


def _interactions_table(
    config: SimulatorConfig, category: np.ndarray, brand: np.ndarray, generator: np.random.Generator
) -> pa.Table:
    affinity = _affinity(config, category, brand, generator)  # [users, items]
    follows = _companions(config, category, generator)  # [items, items]
    popularity = generator.normal(size=config.items)  # [items]; log-normal once exponentiated: heavy-tailed

    extra = generator.lognormal(mean=np.log(config.mean_extra_interactions) - 0.5, sigma=1.0, size=config.users)
    activity = np.minimum(config.fewest_interactions + extra.astype(np.int64), config.most_interactions)  # [users]

    # Step by step for all users at once: argmax(logit + Gumbel noise) is a draw from the softmax over unseen items.
    base = affinity + config.popularity_weight * popularity
    seen = np.zeros(base.shape, dtype=bool)
    previous: np.ndarray | None = None  # [active users]
    users, items = [], []
    for step in range(int(activity.max())):
        active = np.flatnonzero(activity > step)
        logits = base[active] + generator.gumbel(size=(len(active), config.items))
        if previous is not None:
            logits += config.companion_weight * follows[previous[active]]
        logits[seen[active]] = -np.inf
        chosen = logits.argmax(axis=1)
        seen[active, chosen] = True
        previous = np.zeros(config.users, dtype=np.int64) if previous is None else previous
        previous[active] = chosen
        users.append(active)
        items.append(chosen)
    user = np.concatenate(users)
    item = np.concatenate(items)
    step_of = np.repeat(np.arange(len(users)), [len(active) for active in users])

    # A user's moments are sorted draws over the days, dealt to the user's steps in order.
    order = np.lexsort((step_of, user))
    user, item = user[order], item[order]
    moment = np.sort(user + generator.random(len(user))) - user  # ascending within each user, in [0, 1)
    timestamp = config.start + (moment * config.days * 86_400).astype(np.int64)
    strength = affinity[user, item] + generator.gumbel(size=len(user))
    purchase = strength > np.quantile(strength, 1 - config.purchase_share)

    order = np.argsort(timestamp, kind="stable")  # a log is in order of time; a user's ties stay in order of steps
    count = len(order)
    return pa.table(
        {
            "user_id": [f"u{index:05d}" for index in user[order]],
            "item_id": [_item_id(index) for index in item[order]],
            "timestamp": timestamp[order],
            "behavior": np.where(purchase[order], "purchase", "click").tolist(),
            "value": pa.nulls(count, pa.float64()),
            "query": pa.nulls(count, pa.string()),
            "scene": pa.nulls(count, pa.string()),
            "sequence": np.arange(1, count + 1),
        },
        schema=RAW_INTERACTIONS,
    )


def _affinity(
    config: SimulatorConfig, category: np.ndarray, brand: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Logits float64[users, items] of category and brand taste."""
    taste = generator.dirichlet(np.full(len(CATEGORIES), config.taste_concentration), size=config.users)
    brand_taste = generator.normal(size=(config.users, len(BRANDS)))
    return config.taste_weight * np.log(taste + 0.01)[:, category] + config.brand_weight * brand_taste[:, brand]


def _companions(config: SimulatorConfig, category: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """float64[items, items], 1 where the column's item often follows the row's: a few of the same category."""
    closeness = generator.random((config.items, config.items)) + (category[:, None] == category[None, :])
    np.fill_diagonal(closeness, -1)
    nearest = np.argsort(-closeness, axis=1, kind="stable")[:, : config.companions]
    follows = np.zeros((config.items, config.items))
    np.put_along_axis(follows, nearest, 1.0, axis=1)
    return follows


def _item_id(index: int) -> str:
    return f"i{index:04d}"
