"""Categories of an item that stand in one text."""

import re

SEPARATORS = ("|", ">")
LIST_ENTRY = r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,\[\]'"]+)"""


def category_list(text: str) -> list[str]:
    """The categories in `text`, each once: a list as Python or JSON writes it, "A|B", "A > B", or one category.

    A comma separates them in a list alone: "Home, garden and tools" is one.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        parts = [next(filter(None, entry), "") for entry in re.findall(LIST_ENTRY, text[1:-1])]
    else:
        separator = next((separator for separator in SEPARATORS if separator in text), None)
        parts = [text] if separator is None else text.split(separator)
    return list(dict.fromkeys(part for part in (part.strip() for part in parts) if part))
