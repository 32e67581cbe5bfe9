from pathlib import Path

import numpy as np
import pandas as pd

from components.contracts.artifacts import INTERACTIONS_FILE
from components.data_preparation.preparation import PreparationConfig, prepare
from components.data_preparation.simulator import BRANDS, CATEGORIES, SimulatorConfig, read

CONFIG = SimulatorConfig()


def test_equal_seeds_give_equal_markets() -> None:
    first, again, other = read(CONFIG, 4), read(CONFIG, 4), read(CONFIG, 5)
    assert first.interactions.equals(again.interactions)
    assert first.items.equals(again.items)
    assert not first.interactions.equals(other.interactions)


def test_the_shape_of_the_market() -> None:
    raw = read(CONFIG, 1)
    interactions = raw.interactions.to_pandas()
    assert interactions.user_id.nunique() == CONFIG.users
    activity = interactions.user_id.value_counts()
    assert activity.min() == CONFIG.fewest_interactions
    assert activity.max() <= CONFIG.most_interactions
    assert activity.max() > 4 * activity.median()  # a heavy tail
    assert not interactions.duplicated(["user_id", "item_id"]).any()
    assert interactions.timestamp.between(CONFIG.start, CONFIG.start + 30 * 86_400).all()
    assert interactions.timestamp.is_monotonic_increasing
    assert set(interactions.behavior) == {"click", "purchase"}
    assert 0.2 < (interactions.behavior == "purchase").mean() < 0.3


def test_titles_carry_brand_and_category() -> None:
    for item in read(CONFIG, 1).items.to_pylist():
        category, kind = item["categories"]
        assert item["brand"] in BRANDS and kind in CATEGORIES[category]
        assert item["title"].startswith(item["brand"]) and kind in item["title"]


def hit_rate(scores: np.ndarray, target: np.ndarray) -> float:
    """HR@10 of scores [users, items], seen items at minus infinity."""
    rank = (scores > scores[np.arange(len(target)), target][:, None]).sum(axis=1)
    return float((rank < 10).mean())


def test_taste_and_order_can_be_learned(tmp_path: Path) -> None:
    prepare(PreparationConfig("simulator", None, seed=1, minimum_interactions=5, max_rejected=0.0), tmp_path)
    table = pd.read_parquet(tmp_path / INTERACTIONS_FILE)
    user = table.user_id.astype("category").cat.codes.to_numpy()
    item = table.item_id.astype("category").cat.codes.to_numpy()
    split = table.split_leave_one_out.to_numpy()
    train = split == "train"
    taken = np.zeros((user.max() + 1, item.max() + 1))
    taken[user[train], item[train]] = 1
    last, target = item[split == "valid"], item[split == "test"]  # the table is sorted by user
    seen = taken.copy()
    seen[np.arange(len(last)), last] = 1

    popularity = taken.sum(axis=0)
    together = taken.T @ taken / np.sqrt(np.outer(popularity, popularity) + 1)
    np.fill_diagonal(together, 0)
    follows = np.zeros_like(together)
    next_in_train = (user[1:] == user[:-1]) & train[1:] & train[:-1]
    np.add.at(follows, (item[:-1][next_in_train], item[1:][next_in_train]), 1)

    def unseen(scores: np.ndarray) -> np.ndarray:
        return np.where(seen == 1, -np.inf, scores)

    by_popularity = hit_rate(unseen(np.broadcast_to(popularity, taken.shape)), target)
    by_taste = hit_rate(unseen(taken @ together), target)
    by_order = hit_rate(unseen(follows[last] + 1e-6 * popularity), target)
    assert by_taste > 2 * by_popularity
    assert by_order > 2 * by_popularity
