"""What logs call a behavior, and what the platform calls it."""

import pyarrow as pa

from components.contracts.tables import BEHAVIORS

COMMON_NAMES = {name: name for name in BEHAVIORS} | {
    "pv": "click",
    "view": "click",
    "fav": "favourite",
    "favorite": "favourite",
    "buy": "purchase",
}


def behaviors(names: pa.Array | pa.ChunkedArray, meaning: dict[str, str]) -> pa.Array:
    """Each name by its `meaning`; null, which validation refuses, where it has none."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    encoded = names.dictionary_encode()  # a log has few names, and as many of them as rows
    meanings = [meaning.get(name) for name in encoded.dictionary.to_pylist()]
    return pa.array(meanings, pa.string()).take(encoded.indices)
