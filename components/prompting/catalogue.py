"""What the prompts, the template engine and the validation know about items: metadata and training popularity."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from components.contracts.artifacts import ITEMS_FILE
from components.contracts.tables import ITEMS, read_table, read_training_interactions
from components.foundation.progress import say
from components.prompting.instructions import reads_like_instruction
from components.prompting.item_texts import BRACKETS, neutralise, without_promotion

TITLE_LENGTH = 120
SHORT_TITLE_LENGTH = 40


@dataclass(frozen=True)
class Item:
    """One item, its texts as prompts show them. `popularity` counts training interactions."""

    item_id: str
    title: str
    brand: str
    categories: tuple[str, ...]
    popularity: int

    @property
    def short_title(self) -> str:
        """The shortened title, for prompts whose answers name items by number."""
        return self.title[:SHORT_TITLE_LENGTH].rstrip()


@dataclass(frozen=True)
class Catalogue:
    """All items by id, the most popular first (ties: lower id), so that the first match is the most popular one.

    `withheld` are the texts of items that read like an instruction to a language model. The items are kept
    without them: no prompt shows such a text, and no answer can name the item by it.
    """

    items: dict[str, Item]
    withheld: frozenset[str] = frozenset()

    @cached_property
    def item_of_title(self) -> dict[str, Item]:
        """Normalised title → item; of items that share a title the most popular."""
        return self._first_by(lambda item: item.title)

    @cached_property
    def item_of_short_title(self) -> dict[str, Item]:
        """Normalised short title → item; of items that share it the most popular."""
        return self._first_by(lambda item: item.short_title)

    @cached_property
    def category_of_name(self) -> dict[str, str]:
        """Normalised name → category as the catalogue writes it."""
        names = sorted({name for item in self.items.values() for name in item.categories})
        return {normalise(name): name for name in reversed(names)}

    @cached_property
    def items_of_category(self) -> dict[str, list[Item]]:
        """Category → its items that have a title, the most popular first."""
        items_of: dict[str, list[Item]] = {}
        for item in self.items.values():
            for name in item.categories:
                if item.title:
                    items_of.setdefault(name, []).append(item)
        return items_of

    @cached_property
    def common_categories(self) -> frozenset[str]:
        """The categories of every described item ("Beauty" in a beauty shop): they say nothing about a user."""
        described = sum(1 for item in self.items.values() if item.categories and item.title)
        return frozenset(name for name, items in self.items_of_category.items() if len(items) == described)

    def without_texts(self, tokens: Iterable[str]) -> "Catalogue":
        """The catalogue without the texts in which one of a model's special tokens occurs.

        An item with such a text loses this title, brand or category; it keeps its place. Tokens with a bracket are not
        looked for, because `neutralise` has already replaced the brackets of every text.
        """
        special_tokens = [token for token in tokens if token and not BRACKETS & set(token)]
        if not special_tokens:
            return self

        def shown(text: str) -> str:
            return "" if any(token in text for token in special_tokens) else text

        return Catalogue(
            {
                item_id: replace(
                    item,
                    title=shown(item.title),
                    brand=shown(item.brand),
                    categories=tuple(filter(None, map(shown, item.categories))),
                )
                for item_id, item in self.items.items()
            },
            self.withheld,
        )

    def _first_by(self, text_of: Callable[[Item], str]) -> dict[str, Item]:
        item_of: dict[str, Item] = {}
        for item in self.items.values():
            if text := text_of(item):
                item_of.setdefault(normalise(text), item)
        return item_of


def load_catalogue(prepared: Path, withheld: frozenset[str] | None = None) -> Catalogue:
    """Read the items of a prepared data set and count their training interactions.

    Args:
        withheld: the texts that read like an instruction, where another step has looked for them already; None: look
            for them, which takes some minutes for a million items.

    Raises:
        InputError: a table is missing or does not hold its schema.
    """
    training = read_training_interactions(prepared, ["item_id"])
    counts = training.group_by("item_id").aggregate([([], "count_all")])
    popularity = dict(zip(counts["item_id"].to_pylist(), counts["count_all"].to_pylist(), strict=True))

    rows = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id", "title", "brand", "categories"]).to_pylist()
    if withheld is None:
        texts = {text for row in rows for text in (row["title"], row["brand"], *row["categories"])}
        withheld = frozenset(filter(reads_like_instruction, texts))
        if withheld:
            say(f"{len(withheld)} texts of items read like an instruction and are shown to no language model")

    clean_name = cache(clean_text)  # brands and categories repeat
    items = [
        Item(
            row["item_id"],
            clean_title(row["title"]) if row["title"] not in withheld else "",
            clean_name(row["brand"]) if row["brand"] not in withheld else "",
            tuple(
                dict.fromkeys(filter(None, (clean_name(name) for name in row["categories"] if name not in withheld)))
            ),
            popularity.get(row["item_id"], 0),
        )
        for row in rows
    ]
    items.sort(key=lambda item: (-item.popularity, item.item_id))
    return Catalogue({item.item_id: item for item in items}, withheld)


def clean_text(text: str) -> str:
    """A name as prompts show it: one neutralised line of at most 120 characters."""
    return neutralise(text)[:TITLE_LENGTH].rstrip()


def clean_title(title: str) -> str:
    """A title as prompts show it: as other texts, and without promotion."""
    return without_promotion(neutralise(title))[:TITLE_LENGTH].rstrip()


def normalise(text: str) -> str:
    """The form in which titles and names of categories are compared: cleaned, without regard to case."""
    return clean_text(text).casefold()
