from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.tables import ITEMS, read_table
from components.marketplace.catalogue import (
    BRANDS,
    CATEGORIES,
    PRICE_BAND_EDGES,
    PRICE_BANDS,
    STYLES,
)
from components.marketplace.log import LOG_SCHEMA, SECONDS_AFTER, MarketLog, write_log
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import MarketConfig, market_of, market_of_users

CONFIG = MarketConfig()
KEYS = ["user_id", "item_id"]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(CONFIG, 0)


@pytest.fixture(scope="module")
def folder(truth, tmp_path_factory):
    path = tmp_path_factory.mktemp("market")
    write_log(truth, path)
    return path


@pytest.fixture(scope="module")
def log(folder) -> pd.DataFrame:
    return read_table(folder / "interactions.parquet", LOG_SCHEMA).to_pandas()


def test_equal_seeds_give_equal_bytes(truth, folder, tmp_path):
    assert (
        write_log(make_truth(CONFIG, 0), tmp_path / "again")
        == pq.read_metadata(folder / "interactions.parquet").num_rows
    )
    write_log(make_truth(CONFIG, 1), tmp_path / "other")
    for name in ("interactions.parquet", "items.parquet"):
        written = (folder / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == written
        assert (tmp_path / "other" / name).read_bytes() != written


@pytest.mark.parametrize("days_at_once", [1, 7, 29])
def test_a_log_written_in_pieces_is_the_log_written_at_once(truth, folder, tmp_path, days_at_once):
    pieces = []
    for first in range(0, CONFIG.days, days_at_once):
        piece = tmp_path / str(first)
        write_log(truth, piece, range(first, min(first + days_at_once, CONFIG.days)))
        pieces.append(pq.ParquetFile(piece / "interactions.parquet"))
    with pq.ParquetWriter(tmp_path / "whole.parquet", LOG_SCHEMA, compression="zstd", compression_level=1) as writer:
        for file in pieces:
            for group in range(file.num_row_groups):  # one a day
                table = file.read_row_group(group)
                writer.write_table(table, row_group_size=len(table))
    assert (tmp_path / "whole.parquet").read_bytes() == (folder / "interactions.parquet").read_bytes()
    assert (piece / "items.parquet").read_bytes() == (folder / "items.parquet").read_bytes()


def test_the_log_goes_on_after_its_days(truth):
    table = MarketLog(truth).day(CONFIG.days + 5)
    assert len(table) > 0
    with pytest.raises(ValueError, match="covers the days"):
        MarketLog(truth).day(CONFIG.horizon)


def test_the_shape_of_the_log(log):
    assert 20_000 < len(log) < 30_000
    assert set(log.behavior) == {"search", "click", "cart", "purchase"} and set(log.scene) == {"home", "search"}
    assert log.timestamp.between(CONFIG.start, CONFIG.start + CONFIG.days * 86_400 - 1).all()
    assert log.timestamp.is_monotonic_increasing and log.sequence.is_monotonic_increasing
    assert log.sequence.is_unique and not log.drop(columns="sequence").duplicated().any()
    activity = log.user_id.value_counts()
    assert activity.max() > 8 * activity.median()  # a heavy tail
    newcomers = log.groupby("user_id").timestamp.min().sub(CONFIG.start) // 86_400
    assert (newcomers.value_counts().reindex(range(25), fill_value=0) > 0).all()


def test_a_purchase_follows_a_cart_follows_a_click_follows_a_search(truth, log):
    by_behavior = {name: rows for name, rows in log.groupby("behavior")}
    clicks = by_behavior["click"].set_index([*KEYS, "timestamp"]).index
    carts = by_behavior["cart"].set_index([*KEYS, "timestamp"]).index
    for row in by_behavior["cart"].itertuples():
        assert (row.user_id, row.item_id, row.timestamp - SECONDS_AFTER[1]) in clicks
    for row in by_behavior["purchase"].itertuples():
        assert (row.user_id, row.item_id, row.timestamp - SECONDS_AFTER[2] + SECONDS_AFTER[1]) in carts
    for row in by_behavior["search"].itertuples():  # the item is the first clicked, in one of the ten slots
        moments = [(row.user_id, row.item_id, row.timestamp + 20 * slot) for slot in range(1, 11)]
        assert any(moment in clicks for moment in moments)


def test_values_are_prices_of_purchases_and_queries_name_what_is_looked_for(truth, log):
    bought = log.behavior == "purchase"
    assert log.value[~bought].isna().all()
    index = truth.item_index(pa.array(log.item_id[bought]))
    np.testing.assert_array_equal(log.value[bought], truth.items.price[index])

    searches = log[log.behavior == "search"]
    assert log["query"].notna().sum() == len(searches) and (searches.scene == "search").all()
    words = {name: {name.lower(), *(kind.lower() for kind in kinds)} for name, (kinds, _) in CATEGORIES.items()}
    items = {row["item_id"]: row for row in MarketLog(truth).items(CONFIG.days).to_pylist()}
    names_brand = 0
    for item, query in zip(searches.item_id, searches["query"], strict=True):
        category = items[item]["categories"][0]
        assert any(query.endswith(word) for word in words[category])
        names_brand += any(query.startswith(brand.lower()) for brand in BRANDS)
    assert 0.4 < names_brand / len(searches) < 0.6


def test_titles_carry_the_attributes(truth, folder, log):
    items = read_table(folder / "items.parquet", ITEMS).to_pylist()
    assert len(items) == CONFIG.items and set(log.item_id) <= {item["item_id"] for item in items}
    for index, item in enumerate(items):
        category, kind = item["categories"]
        band = PRICE_BANDS[sum(truth.items.price_position[index] > edge for edge in PRICE_BAND_EDGES)]
        style = STYLES[truth.items.style[index]]
        assert kind in CATEGORIES[category][0] and item["brand"] in BRANDS
        assert item["title"] == f"{item['brand']} {band} {style} {kind} {index:06d}"


def test_a_market_of_a_wanted_size(tmp_path):
    assert write_log(make_truth(market_of(100_000), 0), tmp_path) == pytest.approx(100_000, rel=0.25)
    assert market_of_users(600) == MarketConfig()
    assert (market_of_users(24_000).users, market_of_users(24_000).items) == (24_000, 2_000)


def test_a_short_market(tmp_path):
    truth = make_truth(replace(CONFIG, users=3, items=2, days=2, days_after=0), 0)
    assert write_log(truth, tmp_path) == len(read_table(tmp_path / "interactions.parquet", LOG_SCHEMA))


def test_taste_and_order_can_be_learned(truth, log):
    """HR@10 of each user's last item: by popularity, by the items that go with the user's, by the item before."""
    # What the user turns to next: the rows of one item in succession are one.
    steps = log.sort_values(["user_id", "sequence"], kind="stable")
    steps = steps[(steps.user_id != steps.user_id.shift()) | (steps.item_id != steps.item_id.shift())]
    steps = steps[steps.groupby("user_id").item_id.transform("size") >= 5]
    item = truth.item_index(pa.array(steps.item_id))
    user = pd.factorize(steps.user_id)[0]
    last_row = np.append(user[1:] != user[:-1], True)
    target, before = item[last_row], item[np.flatnonzero(last_row) - 1]
    user, item = user[~last_row], item[~last_row]

    taken = np.zeros((user.max() + 1, CONFIG.items))
    np.add.at(taken, (user, item), 1)
    popularity = taken.sum(axis=0)
    together = (taken > 0).T @ (taken > 0).astype(float)
    together /= np.sqrt(np.outer(popularity, popularity) + 1)
    follows = np.zeros((CONFIG.items, CONFIG.items))
    next_of_user = user[1:] == user[:-1]
    np.add.at(follows, (item[:-1][next_of_user], item[1:][next_of_user]), 1)

    def hit_rate(scores: np.ndarray) -> float:
        rank = (scores > scores[np.arange(len(target)), target][:, None]).sum(axis=1)
        return float((rank < 10).mean())

    by_popularity = hit_rate(np.broadcast_to(popularity, taken.shape))
    by_taste = hit_rate(taken @ together)
    by_order = hit_rate(follows[before] + 1e-6 * popularity)
    assert by_taste > 1.3 * by_popularity
    assert by_order > 1.3 * by_taste
