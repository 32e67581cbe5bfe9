"""Recognises texts of a catalogue that read like an instruction to a language model.

A title is data and stays data in the prompt: quoted, cut, without control characters. A model may still obey it. So a
text that reads like an instruction is not shown to a model at all (`catalogue.load_catalogue`), and an answer
that reads like one does not become a rationale (`rationale_generation.validation`).
"""

import re
import unicodedata
from functools import cache
from pathlib import Path

from components.foundation.errors import InputError

PATTERNS_FILE = Path(__file__).parent / "instructions.txt"
TITLE_PATTERNS_FILE = Path(__file__).parent / "instructions_in_titles.txt"
OTHER_SCRIPTS_FILE = Path(__file__).parent / "instructions_in_other_scripts.txt"
LONGEST = 2_000  # characters of a text that are looked at

# Cyrillic and Greek letters that look like Latin ones. They count as such in a word that has Latin letters too.
_LOOK_ALIKE = str.maketrans("асԁеһіјӏорԛѕԝхуьвкмнтαεικνορτυχ", "acdehijlopqswxybbkmhtaeikvoptux")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_STROKED = str.maketrans("đħłø", "dhlo")
_LEET = str.maketrans("013457@$", "oieastas")
_MIXED_WORD = re.compile(r"(?=\w*[a-z])(?=\w*[\u0370-\u052f])\w+")
_LEET_WORD = re.compile(r"(?=[a-z013457@$]*[a-z])(?=[a-z013457@$]*[013457@$])[a-z013457@$]{3,}")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_SPACED_WORD = re.compile(r"(?<!\w)\w(?:[ ._*~-]\w){3,}(?!\w)")


def fold(text: str) -> str:
    """The text as a reader sees it: compatible forms made one, lower case, no accents, nothing invisible.

    Letters that look Latin become Latin in words with Latin letters; invisible tag characters that encode ASCII become
    visible; letters separated by one sign each are joined.
    """
    text = text[:LONGEST]
    if not text.isascii():
        tags = "".join(chr(ord(sign) - 0xE0000) if 0xE0020 <= ord(sign) <= 0xE007E else sign for sign in text)
        seen = (sign for sign in unicodedata.normalize("NFKD", tags) if not _invisible(sign))
        text = unicodedata.normalize("NFKC", "".join(seen))
    text = _CONTROL.sub(" ", text).casefold()
    if not text.isascii():
        text = _MIXED_WORD.sub(lambda word: word[0].translate(_LOOK_ALIKE), text.translate(_STROKED))
    text = _SPACED_WORD.sub(lambda word: re.sub(r"[ ._*~-]", "", word[0]), text)
    return " ".join(text.split())


def words(text: str) -> list[str]:
    """The words of a text in their folded form; in scripts without spaces every sign is a word."""
    return _WORD.findall(fold(text))


def reads_like_instruction(title: str) -> bool:
    """Whether the text of an item is an instruction to a model, as it is or with digits read as letters (`1gn0re`)."""
    folded = fold(title)
    patterns = [*_patterns(PATTERNS_FILE), *_patterns(TITLE_PATTERNS_FILE)]
    return _matches_any(folded, patterns) or (
        not folded.isascii() and _matches_any(folded, _patterns(OTHER_SCRIPTS_FILE))
    )


def holds_instruction(answer: str) -> bool:
    """Whether a text of an answer contains role tokens or orders to forget, which no explanation and no title has."""
    return _matches_any(fold(answer), _patterns(PATTERNS_FILE))


def _matches_any(folded: str, patterns: list[re.Pattern[str]]) -> bool:
    plain = _LEET_WORD.sub(lambda word: word[0].translate(_LEET), folded)
    return any(pattern.search(variant) for variant in dict.fromkeys((folded, plain)) for pattern in patterns)


def read_patterns(path: Path) -> list[re.Pattern[str]]:
    """The regular expressions of a file, one a line; empty lines and lines that begin with # are skipped.

    Raises:
        InputError: the file is missing or no text, or a line is no regular expression.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as text, expected one regular expression a line ({error})") from error
    patterns = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            try:
                # One by one: a single alternation of all of them is four times slower.
                patterns.append(re.compile(line.strip()))
            except re.error as error:
                raise InputError(f"{path}:{number}: not a regular expression ({error})") from error
    return patterns


def _invisible(sign: str) -> bool:
    accent_or_variant = "\u0300" <= sign <= "\u036f" or "\ufe00" <= sign <= "\ufe0f"
    return accent_or_variant or unicodedata.category(sign) in ("Cf", "Cn", "Co", "Cs")


@cache
def _patterns(path: Path) -> list[re.Pattern[str]]:
    return read_patterns(path)
