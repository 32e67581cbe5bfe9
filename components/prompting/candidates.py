"""The items among which a prompt of the form "numbers" lets the model choose."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from components.contracts.batch_format import Request
from components.prompting.catalogue import Catalogue, Item, normalise
from components.prompting.document import read_document
from components.prompting.history import CondensedHistory

CANDIDATE_CATEGORIES = 5


def choose_candidates(history: CondensedHistory, catalogue: Catalogue, count: int) -> list[Item]:
    """At most `count` items that the user has not chosen: half of them the most popular of the user's most frequent
    categories in turn, the others the most popular of all. They stand by title, so that a number tells nothing by
    itself. Equal histories give equal candidates.
    """
    telling = [name for name in history.category_counts if name not in catalogue.common_categories]
    lists = [catalogue.items_of_category.get(name, []) for name in telling[:CANDIDATE_CATEGORIES]]
    # Of items that are shown alike, one can be told by what is shown.
    told = catalogue.item_of_short_title
    chosen: dict[str, Item] = {}
    for items, most in [(_in_turn(lists), (count + 1) // 2), (catalogue.items.values(), count)]:
        fresh = (
            item
            for item in items
            if item.item_id not in history.chosen
            and item.item_id not in chosen
            and item.short_title
            and told[normalise(item.short_title)] is item
        )
        for item in islice(fresh, most - len(chosen)):
            chosen[item.item_id] = item
    return sorted(chosen.values(), key=lambda item: (item.short_title, item.item_id))


def candidate_items(request: Request, catalogue: Catalogue) -> dict[int, Item]:
    """The candidates of a request by their number; empty where it lists none."""
    told = catalogue.item_of_short_title
    candidates = read_document(request).get("candidates", [])
    return {entry["number"]: told[normalise(entry["title"])] for entry in candidates}


def _in_turn(lists: list[list[Item]]) -> Iterator[Item]:
    """The first of each list, then the second of each, and so on."""
    longest = max(map(len, lists), default=0)
    rows: Iterable[list[Item]] = ([items[row] for items in lists if row < len(items)] for row in range(longest))
    return chain.from_iterable(rows)
