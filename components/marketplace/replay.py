"""The value of a ranking policy in the market: the exact expectation, and a draw of one day's outcomes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.marketplace.sessions import NO_ITEM, draw_outcomes
from components.marketplace.truth import Truth
from components.marketplace.world import REPLAY, generator_of

# (users int64[n], day) -> int64[n, L]: the items that each of the users is shown on the day, best first; `NO_ITEM`
# where a list is shorter.
Policy = Callable[[np.ndarray, int], np.ndarray]

# `position` counts from 1.
IMPRESSIONS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("day", pa.int32(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
    ]
)
CLICKS = IMPRESSIONS
CONVERSIONS = IMPRESSIONS.append(pa.field("value", pa.float64(), nullable=False))  # the price paid


@dataclass(frozen=True)
class Replay:
    """One day under a policy, in the order of the users and of the positions.

    Attributes:
        impressions: `IMPRESSIONS`, every item shown.
        clicks: `CLICKS`, those of them that were clicked.
        conversions: `CONVERSIONS`, those of the clicks that became a purchase.
    """

    impressions: pa.Table
    clicks: pa.Table
    conversions: pa.Table


def policy_value(truth: Truth, users: np.ndarray, lists: np.ndarray, day: int) -> tuple[float, float]:
    """The true click-through and conversion rate of showing `lists` to `users` on `day`.

    Over the impressions (u, i, k) of item i to user u in slot k, with p and v the truth's click and conversion
    probability and g_k the probability that slot k is looked at:

        CTR = sum g_k p(u, i) / number of impressions,    CVR = sum g_k p(u, i) v(u, i) / sum g_k p(u, i)

    CVR is purchases per click. Both are expectations; the second is a ratio of expectations.

    Args:
        users: int64[n].
        lists: int64[n, L], `NO_ITEM` for none.

    Raises:
        ValueError: nothing is shown, or the truth does not cover `day`.
    """
    shown = lists != NO_ITEM
    if not shown.any():
        raise ValueError("the lists show no item")
    looked_at = truth.examination_probability(lists.shape[1]) * shown
    clicks = (looked_at * truth.click_probability(users[:, None], lists, day)).astype(np.float64)
    conversions = clicks * truth.conversion_probability(users[:, None], lists, day)
    return float(clicks.sum() / shown.sum()), float(conversions.sum() / clicks.sum())


def replay(truth: Truth, policy: Policy, day: int, users: np.ndarray, seed: int) -> Replay:
    """Show each of `users` (int64[n]) the policy's list for `day` once, and draw what they do from the truth."""
    lists = policy(users, day)
    outcomes = draw_outcomes(truth, users, lists, day, generator_of(seed, REPLAY, day))
    user_ids, item_ids = truth.user_ids(), truth.item_ids()

    def table(happened: np.ndarray, schema: pa.Schema) -> pa.Table:
        row, slot = np.nonzero(happened)
        item = lists[row, slot]
        columns = [
            user_ids.take(pa.array(users[row])),
            item_ids.take(pa.array(item)),
            pa.repeat(pa.scalar(day, pa.int32()), len(row)),
            pa.array((slot + 1).astype(np.int32)),
            pa.array(truth.items.price[item]),
        ]
        return pa.table(columns[: len(schema)], schema=schema)

    return Replay(
        table(lists != NO_ITEM, IMPRESSIONS),
        table(outcomes.clicked, CLICKS),
        table(outcomes.purchased, CONVERSIONS),
    )
