"""Deterministic texts from a user's own history and the item metadata: no language model, and every text says so."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Self

from components.contracts.batch_format import Request, Response, make_response
from components.contracts.language_model import LanguageModel
from components.language_model.engine import EngineOptions, RationaleEngine
from components.prompting.catalogue import Catalogue, Item
from components.prompting.document import read_document

TEMPLATE_MODEL = "template-v1 (no language model)"
TEMPLATE_MARK = "[template text, no language model]"
CATEGORIES = 5
ITEMS = 10


class TemplateEngine(RationaleEngine):
    """Recommends the user's most frequent categories, and their most popular items that the history does not hold.

    It reads what a language model would read, the document in the request, so of a user with more than 50 items it
    does not know the older ones. Its answers cost no tokens: the counts are 0.
    """

    name = "template"
    model = TEMPLATE_MODEL
    infers = True
    paid = False

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue

    @classmethod
    def answering_model(cls, options: EngineOptions) -> LanguageModel:
        """The template, whichever model was chosen."""
        return LanguageModel(name=TEMPLATE_MODEL)

    @classmethod
    def open(cls, options: EngineOptions, catalogue: Catalogue, seed_of_request: Mapping[str, str]) -> Self:
        """As the contract says."""
        return cls(catalogue)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """As the contract says; of a request its document alone is read."""
        for request in requests:
            content = json.dumps(self._answer(read_document(request)), ensure_ascii=False)
            yield make_response(request["custom_id"], self.model, content, prompt_tokens=0, completion_tokens=0)

    def _answer(self, document: dict[str, Any]) -> dict[str, Any]:
        counts: dict[str, int] = document["category_counts"]
        distinctive = [name for name in counts if name not in self._catalogue.common_categories] or list(counts)
        categories = distinctive[:CATEGORIES]
        consumed = {entry["title"] for entry in document["history"] if "title" in entry}
        if categories:
            named = ", ".join(f"{name} ({counts[name]})" for name in categories)
            summary = f"The user mostly chooses items of these categories (number of items): {named}. {TEMPLATE_MARK}"
        else:
            summary = f"Nothing is known of the categories of the items the user chooses. {TEMPLATE_MARK}"
        items = [item.title for item in self._recommend(categories, consumed)]
        return {"preference_summary": summary, "categories": categories, "items": items}

    def _recommend(self, categories: list[str], consumed: set[str]) -> list[Item]:
        """At most ten items, of each category as many; where there is no category, the most popular of all."""
        lists = [self._catalogue.items_of_category.get(name, []) for name in categories]
        if not categories:
            lists = [[item for item in self._catalogue.items.values() if item.title]]
        per_category = ITEMS // max(1, len(lists))
        chosen: dict[str, Item] = {}
        for items in lists:
            fresh = (item for item in items if item.title not in consumed and item.title not in chosen)
            chosen |= {item.title: item for item in islice(fresh, per_category)}
        return list(chosen.values())
