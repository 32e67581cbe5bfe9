"""Checks one answer against the schema that was asked for and against the catalogue."""

import json
import re
from dataclasses import dataclass
from typing import Any

from components.prompting.catalogue import Catalogue, normalise, one_line

SUMMARY_LENGTH = 1_000
RECOMMENDATION_LENGTH = 4_000
NAMES = 50


class InvalidAnswerError(Exception):
    """An answer that cannot be used; the message is the reason."""


@dataclass(frozen=True)
class ValidAnswer:
    """Step 1 and step 2 of an answer. `items` are item ids; the counts are of names the catalogue does not know."""

    preference_summary: str
    categories: list[str]
    items: list[str]
    recommendation: str
    dropped_categories: int = 0
    dropped_items: int = 0


class AnswerValidator:
    """Validates answers of the two forms.

    - The form that the prompt asks for: `preference_summary`, `categories` and `items` (titles). Categories and titles
      that the catalogue does not know, without regard to case, are dropped and counted.
    - Free text, where it is allowed: `preference_summary` and `recommendation`. The text stays as it is; its categories
      are those of the catalogue that occur in it as whole words.
    """

    def __init__(self, catalogue: Catalogue, free_text: bool):
        self._catalogue = catalogue
        self._free_text = free_text
        self._patterns = [
            (name, re.compile(rf"(?<!\w){re.escape(normalised)}(?!\w)"))
            for normalised, name in sorted(catalogue.category_of_name.items())
        ]

    def validate(self, content: str) -> ValidAnswer:
        """The valid answer in the text of a model's message.

        Raises:
            InvalidAnswerError: the text is not JSON of the form that was asked for, a text is empty or too long, or
                none of its categories and items is in the catalogue.
        """
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            raise InvalidAnswerError("not JSON") from None
        if not isinstance(answer, dict):
            raise InvalidAnswerError("not a JSON object")
        summary = _text(answer, "preference_summary", SUMMARY_LENGTH)
        if self._free_text and "recommendation" in answer:
            return self._validate_free_text(summary, _text(answer, "recommendation", RECOMMENDATION_LENGTH))
        return self._validate_names(summary, _names(answer, "categories"), _names(answer, "items"))

    def _validate_names(self, summary: str, categories: list[str], titles: list[str]) -> ValidAnswer:
        known_categories = [self._catalogue.category_of_name.get(normalise(name)) for name in categories]
        known_items = [self._catalogue.item_of_title.get(normalise(title)) for title in titles]
        accepted_categories = list(dict.fromkeys(name for name in known_categories if name is not None))
        accepted_items = list(dict.fromkeys(item for item in known_items if item is not None))
        parts = []
        if accepted_categories:
            parts.append(f"Recommended categories: {', '.join(accepted_categories)}")
        if accepted_items:
            parts.append(f"recommended items: {', '.join(item.title for item in accepted_items)}")
        if not parts:
            raise InvalidAnswerError("names no category and no item of the catalogue")
        recommendation = "; ".join(parts) + "."
        return ValidAnswer(
            summary,
            accepted_categories,
            [item.item_id for item in accepted_items],
            recommendation[0].upper() + recommendation[1:],
            dropped_categories=known_categories.count(None),
            dropped_items=known_items.count(None),
        )

    def _validate_free_text(self, summary: str, recommendation: str) -> ValidAnswer:
        text = recommendation.casefold()
        categories = [name for name, pattern in self._patterns if pattern.search(text)]
        return ValidAnswer(summary, categories, [], recommendation)


def _text(answer: dict[str, Any], name: str, longest: int) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise InvalidAnswerError(f"{name} is missing or no text")
    line = one_line(value)
    if not line:
        raise InvalidAnswerError(f"{name} is empty")
    if len(line) > longest:
        raise InvalidAnswerError(f"{name} has {len(line)} characters, more than {longest}")
    return line


def _names(answer: dict[str, Any], name: str) -> list[str]:
    values = answer.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidAnswerError(f"{name} is missing or no list of texts")
    if len(values) > NAMES:
        raise InvalidAnswerError(f"{name} has {len(values)} entries, more than {NAMES}")
    return values
