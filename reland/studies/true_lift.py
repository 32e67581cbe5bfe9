"""What an experiment in the simulated market should find: the true lift between two arms, over all of its visits.

Each user is served by one arm; the truth asks what every visit would have been worth under either. The lists of the
arm that a user was not in come from the gateway's own ladder, run in this process over the same model repository, the
same feature store and the same Triton.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.contracts.serving import ROLLOUT_FILE, Arm, RolloutRecord, write_rollout
from components.foundation.settings import Settings
from components.marketplace.sessions import NO_ITEM
from components.marketplace.truth import Truth

CONCURRENCY = 8  # users at a time
PATIENCE = 60.0  # seconds that an answer may take: here nobody waits for it


@dataclass(frozen=True)
class TrueRates:
    """What lists are worth: CTR is expected clicks per item shown, CVR expected purchases per expected click."""

    ctr: float
    cvr: float


async def lists_of_arm(settings: Settings, triton: str, arm: Arm, truth: Truth, users: np.ndarray) -> np.ndarray:
    """What an arm recommends to each of `users`: int64[n, slots] in the truth's index, `NO_ITEM` at the end.

    Args:
        triton: host:port of the Triton that the gateway asks.
        users: int64[n], index in the truth.
    """
    from feature_repo.online import OnlineFeatures
    from feature_repo.store import open_feature_store
    from serving.gateway.arms import Arms
    from serving.gateway.breaker import CircuitBreaker
    from serving.gateway.features import FeatureReader
    from serving.gateway.ladder import Budget, Ladder
    from serving.gateway.metrics import Metrics
    from serving.gateway.ranker_client import RankerClient
    from serving.gateway.request_ids import KEY_BYTES, RequestIds

    metrics = Metrics()
    with tempfile.TemporaryDirectory(prefix="reland-truth-") as folder:
        record = Path(folder) / ROLLOUT_FILE
        write_rollout(record, RolloutRecord(state=0, salt="", arms=(replace(arm, weight=1.0),)))
        arms = Arms(record, settings.resolved_model_repository, "", metrics)
    online = OnlineFeatures(open_feature_store(settings))
    ranker = RankerClient(triton)
    ranker.connect()
    features = FeatureReader(online, CircuitBreaker("feature_store"), metrics, PATIENCE, PATIENCE)
    request_ids = RequestIds(secrets.token_bytes(KEY_BYTES))  # no event will name these lists
    ladder = Ladder(arms, features, ranker, CircuitBreaker, metrics, Budget.of(PATIENCE), request_ids)
    await online.start([arm.feature_service])
    places = asyncio.Semaphore(CONCURRENCY)

    async def ask(user_id: str) -> list[str]:
        async with places:
            return (await ladder.recommend(user_id, truth.config.slots)).items

    try:
        user_ids = truth.user_ids().take(pa.array(users)).to_pylist()
        return lists_of(truth, await asyncio.gather(*map(ask, user_ids)))
    finally:
        await ranker.close()
        await online.close()


def lists_of(truth: Truth, items: Sequence[Sequence[str]]) -> np.ndarray:
    """Lists of item ids in the truth's index: int64[n, slots], `NO_ITEM` where one is shorter.

    Raises:
        ValueError: an item is not of this market.
    """
    lists = np.full((len(items), truth.config.slots), NO_ITEM, np.int64)
    flat = truth.item_index(pa.array([item for row in items for item in row], pa.string()))
    lengths = np.array([len(row) for row in items])
    lists[np.arange(lists.shape[1]) < lengths[:, None]] = flat
    return lists


def true_rates(truth: Truth, users: np.ndarray, days: np.ndarray, lists: np.ndarray) -> TrueRates:
    """The worth of showing list `lists[k]` to user `users[k]` on day `days[k]`, all visits together.

    Args:
        users, days: int64[n].
        lists: int64[n, L].
    """
    shown = clicks = conversions = 0.0
    for day in np.unique(days):
        of_day = days == day
        user, shown_items = users[of_day, None], lists[of_day]
        is_shown = shown_items != NO_ITEM
        looked_at = truth.examination_probability(lists.shape[1]) * is_shown
        clicked = (looked_at * truth.click_probability(user, shown_items, int(day))).astype(np.float64)
        shown += float(is_shown.sum())
        clicks += float(clicked.sum())
        conversions += float((clicked * truth.conversion_probability(user, shown_items, int(day))).sum())
    return TrueRates(clicks / shown, conversions / clicks)
