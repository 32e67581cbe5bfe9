"""Step 0 of the prompt (RELAND 3.1.2): a user's interactions, condensed to what a language model should read."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.tables import read_training_interactions
from components.prompting.catalogue import Catalogue, Item

HISTORY_ITEMS = 50
COUNTED_CATEGORIES = 20


@dataclass(frozen=True)
class CondensedHistory:
    """What a prompt may tell of a user.

    Attributes:
        items: the most recent distinct items, oldest first.
        category_counts: how many of all the user's distinct items are of each category, the largest first.
        chosen: the ids of all the user's items; none of them is a candidate.
    """

    items: tuple[Item, ...]
    category_counts: dict[str, int]
    chosen: frozenset[str]


def condense_histories(prepared: Path, users: list[str], catalogue: Catalogue) -> dict[str, CondensedHistory]:
    """The condensed training history of each of `users`; nothing held out for validation or test enters it."""
    training = read_training_interactions(prepared, ["user_id", "item_id", "timestamp", "sequence"])
    training = training.filter(pc.is_in(training.column("user_id"), pa.array(users, pa.string())))
    training = training.sort_by([("timestamp", "ascending"), ("sequence", "ascending")])
    items_of: dict[str, list[str]] = {user: [] for user in users}
    for user, item_id in zip(training["user_id"].to_pylist(), training["item_id"].to_pylist(), strict=True):
        items_of[user].append(item_id)
    return {user: condense([catalogue.items[item_id] for item_id in items_of[user]]) for user in users}


def condense(items: list[Item]) -> CondensedHistory:
    """Condense a user's items, given in the order of time. An item chosen again counts once, at its last place."""
    latest_first = list(dict.fromkeys(reversed(items)))
    counts = Counter(name for item in latest_first for name in item.categories)
    largest = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:COUNTED_CATEGORIES]
    chosen = frozenset(item.item_id for item in items)
    return CondensedHistory(tuple(reversed(latest_first[:HISTORY_ITEMS])), dict(largest), chosen)
