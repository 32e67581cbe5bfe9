"""What the free texts of an answer may hold: the required language, nobody's identity, no link, nothing forbidden."""

import re
from collections.abc import Container, Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from components.foundation.errors import InputError
from components.language_model.validator import InvalidAnswerError
from components.prompting.instructions import fold, holds_instruction, read_patterns
from components.rationale_generation.lookalikes import without_product_numbers, without_titles_like_links

FORBIDDEN_FILE = Path(__file__).parent / "forbidden.txt"
ANSWER_LANGUAGE = "en"  # of the prompt templates

# Searched in folded texts.
_LINK = re.compile(
    r"https?:|\w://|\]\(|\bwww\."  # any scheme, and the link of a Markdown text
    r"|\b[\w-]+[.\u3002]"  # the ideographic full stop separates the parts of a name of a site as well
    r"(com|net|org|info|biz|shop|store|xyz|online|site|club|link|app|dev|top|io|ai|ly|cc|co|ru|cn|de|uk|fr)\b"
    r"|\b[\w-]+\[\.\]\w"  # evil[.]com
    r"|\b[\w-]+\.(me|to|be|gl|gg|eu|tv|us|page|live|in|it)/\w"  # t.me/name: endings that are words of a text too
)
_IDENTIFIERS = {
    "an e-mail address": re.compile(r"[\w.+-]+ ?(@|\(at\)|\[at\]) ?[\w-]+\.\w{2,}"),
    "a telephone number": re.compile(
        r"\+\d[\d ().-]{6,}\d|\(?\b\d{3,4}\)?[ .-]\d{3}[ .-]\d{3,4}\b|\b0\d{2,4}[ /-]\d{6,8}\b"
    ),
    "a long number": re.compile(r"\d{9,}|\b\d{4}[ -]\d{4}[ -]\d{4}"),
    "an address of a machine": re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b|\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b"),
    "a unique identifier": re.compile(r"\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b(?=[a-f]*\d)[0-9a-f]{24,}\b"),
}
_TOKEN = re.compile(r"[^\s,;:!?()\[\]{}<>\"'“”‘’]{8,}")


class Reason(StrEnum):
    """Why a text is rejected, in the column `reason` of `REJECTED_RATIONALES`.

    An answer without a text, and a request without an answer, have the reason of their `NoAnswerError` there.
    """

    NOT_JSON = "not_json"
    CUT_OFF = "cut_off"
    SCHEMA = "schema"
    LENGTH = "length"
    LANGUAGE = "language"
    IDENTIFIER = "identifier"
    LINK = "link"
    FORBIDDEN = "forbidden"
    INSTRUCTION = "instruction"
    UNKNOWN_NAMES = "unknown_names"


class RejectedAnswerError(InvalidAnswerError):
    """An answer that cannot be used, with its reason; the message is the detail."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(detail)
        self.reason = reason


class UserIds:
    """Which users there are, as hashes of 8 bytes, which many words of many answers are looked up in.

    An id that may be a word or a number of a text (a first name, `1984`) is passed over: it has less than eight
    characters, or no digit.
    """

    def __init__(self, user_ids: Iterable[str] = ()):
        distinct = [user for user in map(str.casefold, user_ids) if len(user) >= 8 and any(map(str.isdigit, user))]
        self._hashes = np.sort(_hash(distinct))

    def named_in(self, text: str) -> bool:
        """Whether a word of the text is the id of a user, in either case and with a full stop behind it or not."""
        tokens = {token.casefold() for token in _TOKEN.findall(text)}
        hashes = _hash(sorted(tokens | {token.rstrip(".…/-_") for token in tokens}))
        rows = np.searchsorted(self._hashes, hashes)
        inside = rows < len(self._hashes)
        return bool((self._hashes[rows[inside]] == hashes[inside]).any())


class TextRules:
    """The rules that every free text of an answer has to keep.

    Args:
        language: ISO 639-1 code of the required language, or empty: any.
        forbidden: file of regular expressions that no text may match.
        user_ids: the users of the data, whom no text may name.

    Raises:
        InputError: the file of forbidden texts has a fault, or the language is not known.
    """

    def __init__(
        self, language: str = ANSWER_LANGUAGE, forbidden: Path = FORBIDDEN_FILE, user_ids: UserIds | None = None
    ):
        if language and language not in _language_identifier().nb_classes:
            raise InputError(f"setting RELAND_ANSWER_LANGUAGE: {language!r} is not known, expected one as en or zh")
        self._language = language
        self._forbidden = read_patterns(forbidden)
        self._user_ids = user_ids or UserIds()

    def check(self, name: str, text: str, titles: Container[str] = frozenset()) -> None:
        """Pass over a text that keeps the rules.

        Args:
            titles: normalised titles of the catalogue: "Startup.com" is a link unless it is one of them.

        Raises:
            RejectedAnswerError: it does not; `name` is what the message calls the text.
        """
        self.check_content(name, text, titles)
        if self._language and not self._may_be_in_language(text):
            raise RejectedAnswerError(Reason.LANGUAGE, f"{name} is not in the language {self._language!r}")

    def check_content(self, name: str, text: str, titles: Container[str] = frozenset()) -> None:
        """`check` for what is of no language, as a title is.

        Raises:
            RejectedAnswerError: as `check`.
        """
        folded = fold(text)
        numbers = fold(without_product_numbers(text))
        for kind, pattern in _IDENTIFIERS.items():
            if pattern.search(numbers):
                raise RejectedAnswerError(Reason.IDENTIFIER, f"{name} holds {kind}")
        if self._user_ids.named_in(text):
            raise RejectedAnswerError(Reason.IDENTIFIER, f"{name} holds the id of a user")
        if _LINK.search(fold(without_titles_like_links(text, titles))):
            raise RejectedAnswerError(Reason.LINK, f"{name} holds a link")
        if holds_instruction(text):
            raise RejectedAnswerError(Reason.INSTRUCTION, f"{name} holds an instruction to a language model")
        if any(pattern.search(folded) for pattern in self._forbidden):
            raise RejectedAnswerError(Reason.FORBIDDEN, f"{name} holds a forbidden text")

    def _may_be_in_language(self, text: str) -> bool:
        """Whether the required language is at least as probable as by chance.

        A lenient bound: titles are quoted in their own language, and a few words say little. A sentence of
        another language is still far below it (German, French, Spanish: 0.002 and less of 0.007).
        """
        probabilities = dict(_language_identifier().rank(text))
        return probabilities[self._language] >= 1 / len(probabilities)


@cache
def _language_identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)  # a second, so once


def _hash(texts: list[str]) -> np.ndarray:
    return pd.util.hash_array(np.array(texts, dtype=object)) if texts else np.empty(0, np.uint64)
