"""What logs call a behavior, and what the platform calls it."""

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from components.contracts.tables import BEHAVIORS
from components.data_preparation.column_mapping import ColumnMapping
from components.foundation.errors import InputError

# By their words: "Add to cart", "add-to-cart" and "addToCart" are "add_to_cart".
SYNONYMS = {
    "search": ("query", "view_search_results"),
    "click": ("pv", "view", "page_view", "pageview", "item_view", "product_view", "view_item", "view_product"),
    "favourite": ("fav", "favorite", "like", "wishlist", "wish_list", "add_to_wishlist", "add_to_favorites", "collect"),
    "cart": ("add_to_cart", "addtocart", "add_cart", "basket", "add_to_basket", "atc"),
    "purchase": ("buy", "bought", "purchased", "order", "transaction"),
    "rating": ("rate", "rated", "review"),
}
COMMON_NAMES = {name: name for name in BEHAVIORS} | {
    synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms
}


def behaviors(names: pa.Array | pa.ChunkedArray, meaning: Mapping[str, str]) -> pa.Array:
    """Each name by its `meaning`; null, which validation refuses, where it has none.

    A name is looked up as it is written, else by its words in lower case with underscores between them.
    """
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = names.dictionary_encode()  # a log has few names, and as many of them as rows
    meanings = [_meaning(name, meaning) for name in encoded.dictionary.to_pylist()]
    return pa.array(meanings, pa.string()).take(encoded.indices)


def behavior_column(path: Path, mapping: ColumnMapping, columns: Mapping[str, pa.Array]) -> pa.Array:
    """The behavior of each row of a team's own table: named, or a rating where there is a value, or else a click.

    Raises:
        InputError: meanings of behaviors are given, and no column holds behaviors.
    """
    if "behavior" in columns:
        return behaviors(columns["behavior"], {**COMMON_NAMES, **mapping.behaviors})
    if mapping.behaviors:
        raise InputError(
            f"{path}: behaviors are given meanings and no column holds them, expected behavior=… in columns"
        )
    return pa.repeat(pa.scalar("rating" if "value" in columns else "click", pa.string()), len(columns["user_id"]))


def _meaning(name: str, meaning: Mapping[str, str]) -> str | None:
    name = name.strip().removesuffix(".0")  # which pandas writes after numbers beside empty fields
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s-]+", "_", name).lower()
    return meaning.get(name, meaning.get(words))
