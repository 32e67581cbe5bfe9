"""The items among which a prompt of the form "numbers" lets the model choose."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from components.contracts.batch_format import Request
from components.prompting.catalogue import Catalogue, Item, normalise
from components.prompting.document import read_document
from components.prompting.history import CondensedHistory

CANDIDATE_CATEGORIES = 5


def choose_candidates(history: CondensedHistory, catalogue: Catalogue, count: int) -> list[Item]:
    """At most `count` items that the user has not chosen, as candidates.

    Half of them are the most popular items of the user's most frequent categories, taken from each category in turn;
    the others are the most popular of all. They are ordered by title, so that a candidate's number carries no
    information. Equal histories give equal candidates.
    """
    categories = [name for name in history.category_counts if name not in catalogue.common_categories]
    lists = [catalogue.items_of_category.get(name, []) for name in categories[:CANDIDATE_CATEGORIES]]
    # Items with equal short titles look alike in a prompt: only the most popular of them can be a candidate.
    item_of_title = catalogue.item_of_short_title
    chosen: dict[str, Item] = {}
    for items, most in [(_in_turn(lists), (count + 1) // 2), (catalogue.items.values(), count)]:
        fresh = (
            item
            for item in items
            if item.item_id not in history.chosen
            and item.item_id not in chosen
            and item.short_title
            and item_of_title[normalise(item.short_title)] is item
        )
        for item in islice(fresh, most - len(chosen)):
            chosen[item.item_id] = item
    return sorted(chosen.values(), key=lambda item: (item.short_title, item.item_id))


def candidate_items(request: Request, catalogue: Catalogue) -> dict[int, Item]:
    """The candidates of a request by their number; empty where it lists none."""
    item_of_title = catalogue.item_of_short_title
    candidates = read_document(request).get("candidates", [])
    return {entry["number"]: item_of_title[normalise(entry["title"])] for entry in candidates}


def _in_turn(lists: list[list[Item]]) -> Iterator[Item]:
    """The first of each list, then the second of each, and so on."""
    longest = max(map(len, lists), default=0)
    rows: Iterable[list[Item]] = ([items[row] for items in lists if row < len(items)] for row in range(longest))
    return chain.from_iterable(rows)
