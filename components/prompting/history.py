"""Step 0 of the prompt (RELAND 3.1.2): a user's interactions, condensed to what a language model should read."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.tables import read_training_interactions
from components.prompting.catalogue import Catalogue, Item

SECONDS_OF_DAY = 86_400

Choice = tuple[int, Item]  # when (seconds since 1970), and what


@dataclass(frozen=True)
class CondensedHistory:
    """The part of a user's history that a prompt may show.

    Attributes:
        items: the distinct items, oldest first; an item that was chosen again stands where it was chosen last.
        times_chosen: how often each of `items` was chosen.
        category_counts: how many of the user's distinct items are of each category, the largest first.
        chosen: the ids of all the user's items, also of those before the history's first day; none is a candidate.
    """

    items: tuple[Item, ...]
    times_chosen: tuple[int, ...]
    category_counts: dict[str, int]
    chosen: frozenset[str]

    def shortened(self, count: int) -> "CondensedHistory":
        """The history with at most `count` of its items; the counts stay as they are.

        Half of the items kept are the latest ones; the others are those of the rest that were chosen most often (ties:
        the later one). Where no item was chosen twice, these are the latest `count` items.
        """
        if count >= len(self.items):
            return self
        latest_first = range(len(self.items) - 1, -1, -1)
        latest = (count + 1) // 2
        often = sorted(latest_first[latest:], key=lambda place: -self.times_chosen[place])  # stable: the later first
        places = sorted([*latest_first[:latest], *often[: count - latest]])
        return replace(
            self,
            items=tuple(self.items[place] for place in places),
            times_chosen=tuple(self.times_chosen[place] for place in places),
        )


def condense_histories(
    prepared: Path, users: list[str], catalogue: Catalogue, history_days: int = 0
) -> dict[str, CondensedHistory]:
    """The condensed training history of each of `users`; nothing held out for validation or test enters it.

    Args:
        history_days: how many days before the user's own last training interaction the history begins; 0: all of it.
            The days are counted from the user's last interaction, not from the data's, so that a prompt, and with
            it the reusable answer, changes only when the user has done something.
    """
    choices_of = read_choices(prepared, users, catalogue)
    return {user: condense_days(choices_of[user], history_days) for user in users}


def read_choices(prepared: Path, users: list[str], catalogue: Catalogue) -> dict[str, list[Choice]]:
    """Every training interaction of each of `users`, oldest first."""
    training = read_training_interactions(prepared, ["user_id", "item_id", "timestamp", "sequence"])
    training = training.filter(pc.is_in(training.column("user_id"), pa.array(users, pa.string())))
    training = training.sort_by([("timestamp", "ascending"), ("sequence", "ascending")])
    choices_of: dict[str, list[Choice]] = {user: [] for user in users}
    columns = [training[name].to_pylist() for name in ("user_id", "timestamp", "item_id")]
    for user, time, item_id in zip(*columns, strict=True):
        choices_of[user].append((time, catalogue.items[item_id]))
    return choices_of


def condense(items: list[Item]) -> CondensedHistory:
    """Condense a user's items, given in the order of time."""
    times = Counter(item.item_id for item in items)
    latest_first = list({item.item_id: item for item in reversed(items)}.values())
    counts = Counter(name for item in latest_first for name in item.categories)
    largest = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    distinct = tuple(reversed(latest_first))
    return CondensedHistory(distinct, tuple(times[item.item_id] for item in distinct), dict(largest), frozenset(times))


def condense_days(choices: list[Choice], history_days: int) -> CondensedHistory:
    """Condense the last days of a user's choices, given in the order of time; see `condense_histories`."""
    items = [item for _, item in choices]
    if not history_days or not choices:
        return condense(items)
    begin = choices[-1][0] - history_days * SECONDS_OF_DAY
    history = condense([item for time, item in choices if time > begin])
    return replace(history, chosen=frozenset(item.item_id for item in items))
