"""The user message of a prompt: one JSON document, which no title in it can end or leave."""

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

from components.contracts.batch_format import Request
from components.prompting.catalogue import Item
from components.prompting.history import CondensedHistory
from components.prompting.prompt_template import AnswerForm, PromptTemplate


def build_document(history: CondensedHistory, template: PromptTemplate, candidates: Sequence[Item]) -> dict[str, Any]:
    """The document. It names no user; an empty text is left out.

    A model that answers with numbers copies no title: it is shown cut titles and no brands.
    """
    short = template.answer == "numbers"
    shown = [_entry(item, short) for item in history.shortened(template.history_items).items]
    document: dict[str, Any] = {
        "history": [entry for entry in shown if entry],
        "category_counts": dict(islice(history.category_counts.items(), template.counted_categories)),
    }
    if template.answer == "numbers":
        document["candidates"] = [
            {"number": number, **_entry(item, short)} for number, item in enumerate(candidates, start=1)
        ]
    return document


def read_document(request: Request) -> dict[str, Any]:
    """The document of a request that `build_request` made."""
    return json.loads(request["body"]["messages"][-1]["content"])


def answer_form(request: Request) -> AnswerForm:
    """Whether the `items` of an answer to this request are titles or numbers."""
    return "numbers" if "candidates" in read_document(request) else "titles"


def _entry(item: Item, short: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"title": item.title, "brand": item.brand, "categories": list(item.categories)}
    if short:
        fields = {"title": item.short_title, "categories": list(item.categories)}
    return {name: value for name, value in fields.items() if value}
