"""Checks one answer against the form that its request wants, against the catalogue, and against the rules for texts."""

import html
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from components.contracts.batch_format import Request
from components.contracts.tables import read_training_interactions
from components.foundation.settings import Settings
from components.prompting.candidates import candidate_items
from components.prompting.catalogue import Catalogue, Item, normalise
from components.prompting.document import answer_form
from components.rationale_generation.answer_text import read_object
from components.rationale_generation.hostile_titles import HostileTitles
from components.rationale_generation.text_rules import FORBIDDEN_FILE, Reason, RejectedAnswerError, TextRules, UserIds
from components.rationale_generation.title_resolution import TitleResolver, plain_words

SUMMARY_LENGTH = 1_000
RECOMMENDATION_LENGTH = 4_000
NAMES = 50
UNESCAPINGS = 3  # "&amp;amp;amp;" is "&"

_NAMES_FORM = ("preference_summary", "categories", "items")
_TEXT_FORM = ("preference_summary", "recommendation")
_YEAR = re.compile(r" \(\d{4}\)$")
_AND = re.compile(r"\\?&|\band\b")


@dataclass(frozen=True)
class ValidAnswer:
    """Step 1 and step 2 of an answer; `items` are item ids.

    Attributes:
        recommendation: step 2 in names of the catalogue alone.
        written: step 2 as the model wrote it, with names that stand for nothing in the catalogue, so it is only encoded
            and never shown. Names that break a rule for texts, or that the prompt's history names, are not in it.
        dropped_categories: names that are no category of the catalogue.
        dropped_items: titles and numbers that stand for no item: they are made up.
        similar_items: items found by a similar title.
        named_items: items that were dropped because the prompt's history names them, as chosen or within another text.
        extra_fields: fields that no form has, which are passed over.
    """

    preference_summary: str
    categories: list[str]
    items: list[str]
    recommendation: str
    written: str
    dropped_categories: int = 0
    dropped_items: int = 0
    similar_items: int = 0
    named_items: int = 0
    extra_fields: int = 0


class AnswerValidator:
    """Validates answers of two forms.

    - What prompts ask for: `preference_summary`, `categories` and `items`. Items are titles, or numbers where the
      request lists candidates. Names and numbers that stand for nothing are dropped and counted; so are items that are
      in the history, and those that the text of another item in the prompt names: no item recommends another.
    - Free text, where it is allowed: `preference_summary` and `recommendation`. The text stays as it is; its categories
      are those of the catalogue that occur in it as whole words.

    Fields beside those of the form are passed over and counted: what they hold goes nowhere. Character references of
    HTML (`&amp;`) are read as the characters they stand for. "and" and "&" are the same in a name.

    Args:
        free_text: whether the second form is allowed.
        rules: what the texts may say. Beside that, none may repeat an instruction that is the text of an item.
    """

    def __init__(self, catalogue: Catalogue, *, free_text: bool = False, rules: TextRules | None = None):
        self._catalogue = catalogue
        self._free_text = free_text
        self._rules = rules or TextRules()
        self._hostile = HostileTitles(catalogue)
        self._titles = TitleResolver(catalogue)

    def validate(self, content: str, request: Request) -> ValidAnswer:
        """The valid answer in the text of a model's message.

        It is the one JSON object in the text; what stands around it is passed over (see `answer_text.read_object`).

        Raises:
            RejectedAnswerError: the text is not JSON of an accepted form, a text is empty, too long or breaks
                the rules, or none of its categories and items is left.
        """
        answer = read_object(content)
        if self._free_text and "recommendation" in answer:
            _check_fields(answer, _TEXT_FORM)
            recommendation = self._text(answer, "recommendation", RECOMMENDATION_LENGTH, request)
            summary = self._text(answer, "preference_summary", SUMMARY_LENGTH, request)
            return self._accept_text(summary, recommendation, len(answer) - len(_TEXT_FORM))
        _check_fields(answer, _NAMES_FORM)
        summary = self._text(answer, "preference_summary", SUMMARY_LENGTH, request)
        categories = [_unescape(name) for name in _list(answer, "categories", str)]
        items: list[Item | None]
        if answer_form(request) == "numbers":
            candidates = candidate_items(request, self._catalogue)
            items = [candidates.get(number) for number in _list(answer, "items", int)]
            titles = ["" if item is None else item.title for item in items]
            similar = 0
        else:
            titles = [_unescape(title) for title in _list(answer, "items", str)]
            items = [self._titles.resolve(title) for title in titles]
            exact = map(self._catalogue.item_of_title.get, map(normalise, titles))
            similar = sum(item is not None and item is not same for item, same in zip(items, exact, strict=True))
        accepted = self._accept_names(summary, categories, items, titles, request)
        return replace(accepted, similar_items=similar, extra_fields=len(answer) - len(_NAMES_FORM))

    def _accept_names(
        self, summary: str, categories: list[str], items: list[Item | None], titles: list[str], request: Request
    ) -> ValidAnswer:
        resolved_categories = [self._resolve_category(name) for name in categories]
        accepted_categories = list(dict.fromkeys(name for name in resolved_categories if name is not None))
        resolved_items = list(dict.fromkeys(item for item in items if item is not None))
        named = self._hostile.named_items(resolved_items, request)
        accepted_items = [item for item in resolved_items if item not in named]
        if not accepted_categories and not accepted_items:
            raise RejectedAnswerError(Reason.UNKNOWN_NAMES, "names no category and no item of the catalogue")
        written = [title for title, item in zip(titles, items, strict=True) if item is None or item not in named]
        return ValidAnswer(
            summary,
            accepted_categories,
            [item.item_id for item in accepted_items],
            _sentence(accepted_categories, [item.title for item in accepted_items]),
            _sentence(*([name for name in part if self._may_be_read(name, request)] for part in (categories, written))),
            dropped_categories=resolved_categories.count(None),
            dropped_items=items.count(None),
            named_items=len(named),
        )

    def _may_be_read(self, name: str, request: Request) -> bool:
        """Whether a name as the model wrote it keeps the rules for texts."""
        line = one_line(name)
        try:
            self._rules.check_content("a name", line, self._names_of_items)
        except RejectedAnswerError:
            return False
        return bool(line) and not self._hostile.repeats_instruction(line, request)

    def _resolve_category(self, name: str) -> str | None:
        """The category of this name, or else of the only name that has the same plain words."""
        return self._catalogue.category_of_name.get(normalise(name)) or self._category_of_words.get(_plain(name))

    @cached_property
    def _names_of_items(self) -> frozenset[str]:
        """Normalised titles, with and without the year that films have behind theirs."""
        titles = self._catalogue.item_of_title
        return frozenset(titles) | {_YEAR.sub("", title) for title in titles}

    @cached_property
    def _category_of_words(self) -> dict[str, str]:
        categories = list(self._catalogue.category_of_name.values())
        count = Counter(map(_plain, categories))
        return {_plain(name): name for name in categories if _plain(name) and count[_plain(name)] == 1}

    def _accept_text(self, summary: str, recommendation: str, extra_fields: int) -> ValidAnswer:
        text = recommendation.casefold()
        categories = [name for name, pattern in self._patterns if pattern.search(text)]
        return ValidAnswer(summary, categories, [], recommendation, recommendation, extra_fields=extra_fields)

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        return [
            (name, re.compile(rf"(?<!\w){_AND.sub('(?:&|and)', re.escape(_unescape(normalised)))}(?!\w)"))
            for normalised, name in sorted(self._catalogue.category_of_name.items())
        ]

    def _text(self, answer: dict[str, Any], name: str, longest: int, request: Request) -> str:
        value = answer[name]
        if not isinstance(value, str):
            raise RejectedAnswerError(Reason.SCHEMA, f"{name} is no text")
        line = one_line(_unescape(value))
        if not line:
            raise RejectedAnswerError(Reason.LENGTH, f"{name} is empty")
        if len(line) > longest:
            raise RejectedAnswerError(Reason.LENGTH, f"{name} has {len(line)} characters, more than {longest}")
        for text in dict.fromkeys((value, _unescape(value))):  # what is written, and what a page would show
            self._rules.check(name, text, self._names_of_items)
            if self._hostile.repeats_instruction(text, request):
                detail = f"{name} repeats an instruction that is the text of an item"
                raise RejectedAnswerError(Reason.INSTRUCTION, detail)
        return line


def one_line(text: str) -> str:
    """The text with control and format characters and runs of white space turned into one space each."""
    visible = "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
    return " ".join(visible.split())


def _sentence(categories: list[str], items: list[str]) -> str:
    """Step 2 as a text; empty where nothing is recommended."""
    parts = []
    if categories:
        parts.append(f"Recommended categories: {', '.join(map(one_line, categories))}")
    if items:
        parts.append(f"recommended items: {', '.join(map(one_line, items))}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def load_validator(prepared: Path, catalogue: Catalogue, settings: Settings, *, free_text: bool) -> AnswerValidator:
    """The validator of a prepared data set, whose users no answer may name, under the rules of the settings.

    Raises:
        InputError: a setting of the rules is at fault, or a table is missing.
    """
    user_ids = read_training_interactions(prepared, ["user_id"]).column("user_id").unique()
    rules = TextRules(
        settings.answer_language, settings.forbidden_texts or FORBIDDEN_FILE, UserIds(user_ids.to_pylist())
    )
    return AnswerValidator(catalogue, free_text=free_text, rules=rules)


def _plain(name: str) -> str:
    return " ".join(plain_words(name))


def _unescape(text: str) -> str:
    """The text with the characters for which character references of HTML stand, also where they are escaped twice."""
    for _ in range(UNESCAPINGS):
        text = html.unescape(text)
    return text


def _check_fields(answer: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in answer:
            raise RejectedAnswerError(Reason.SCHEMA, f"{name} is missing")


def _list(answer: dict[str, Any], name: str, kind: type) -> list[Any]:
    values = answer[name]
    # type(): True is an int to isinstance
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise RejectedAnswerError(Reason.SCHEMA, f"{name} is no list of {'texts' if kind is str else 'whole numbers'}")
    if len(values) > NAMES:
        raise RejectedAnswerError(Reason.LENGTH, f"{name} has {len(values)} entries, more than {NAMES}")
    return values
