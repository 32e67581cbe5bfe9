"""What looks like somebody's number or like a link, and is none: sizes, years, versions, product codes, film titles.

Only what is written plainly is recognised. A text with anything invisible in it, and a number in other than ASCII
digits, stay as they are, so that the rules of `text_rules` see them unchanged.
"""

import re
import unicodedata
from collections.abc import Container

from components.prompting.catalogue import normalise

_PLACEHOLDER = " something "  # keeps the words on both sides apart

_DASHES = "\u2010-\u2015\u2212"
_BEGIN = rf"(?<![\w@().:/#+{_DASHES}-])(?<!\d[ .-])(?<!\) )"  # not within a word, an address or a longer number
_END = rf"(?![\w@/:(#+{_DASHES}-])(?!\.\w)"
# Groups of digits with one separator between them.
_GROUPS = re.compile(rf"{_BEGIN}\d++(?:[ .-]\d++)++{_END}")
# Sizes with a decimal point, signed or not: "+1.00 +1.50 +2.00", "0.5-1.0 mm".
_DECIMALS = re.compile(rf"{_BEGIN}[+-]?\d{{1,2}}\.\d{{1,2}}(?:[ -][+-]?\d{{1,2}}\.\d{{1,2}})++{_END}(?! \d)")
_SEPARATOR = re.compile(r"[ .-]")
_UNIT = re.compile(
    r" ?(?:grits?|grade|gsm|mah|ah|wh|kwh|[km]?w|watts?|volts?|v|amps?|[kmg]?hz|[kmgt]b|[kmg]bps|dpi|rpm|fps|lm|lumens?"
    r"|kelvin|k|ml|cl|l|litres?|liters?|oz|ounces?|mg|g|grams?|kg|lbs?|pounds?|mm|cm|km|m|metres?|meters?|inch(?:es)?"
    r"|feet|ft|yards?|px|pixels?|pieces?|pcs|counts?|packs?|sheets?|pages|btu|psi|bar|calories|kcal|iu|thread count)\b",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"\b(?:grits?|sizes?|capacit(?:y|ies)|resolutions?|lengths?|weights?|widths?)(?: of)? $", re.IGNORECASE
)
# Words before a number that is somebody's.
_OF_A_PERSON = re.compile(
    r"\b(?:tel|telephones?|phones?|calls?|mobile|cell|fax|ring|dial|text|whatsapp|contact|numbers?|no|at|on"
    r"|users?|persons?|customers?|clients?|members?|buyers?|accounts?|cards?|ids?|passports?|licen[cs]es?)[.:,]? $",
    re.IGNORECASE,
)
_LIKE_A_YEAR = re.compile(r"(?:19|20)\d\d")

_VERSION = re.compile(
    r"\b(?:versions?|release|build|firmware|bios|kernel|update|patch|drivers?|java|jdk|python|php|windows|android|ios"
    r"|macos|linux|ubuntu|chrome|firefox|directx|photoshop|acrobat) $",
    re.IGNORECASE,
)
# A name of software is a word with a capital letter, in a text about software.
_SOFTWARE = re.compile(
    r"\b(?:software|games?|apps?|applications?|programs?|operating systems?|browsers?|plug-?ins?|versions?)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b(?!(?i:ip|ipv4|dns|host|server|address|machine|node|user)\b)[A-Z]\w* $")

# A number after the name of its code, as "UPC 012345678905" or "ISBN-13: 978-0-306-40615-7".
_PRODUCT_CODE = re.compile(
    r"\b(?:UPC(?:-A)?|EAN(?:-?(?:8|13))?|GTIN(?:-?(?:8|12|13|14))?|JAN|ISBN(?:-?1[03])?)"
    r"(?: code| number| no\.?)?[:#]? ?"
    r"(?P<digits>\d(?:[ -]?\d){6,13}(?:[ -]?[\dX])?)(?![\w-])",
    re.IGNORECASE,
)

# A title or a name that ends like the name of a site: "comedies such as Dot.com", "the dot.com boom", "Paint.NET".
_BEGIN_OF_NAME, _END_OF_NAME = r"(?<![\w.@/:-])", r"(?![\w@/:-])(?!\.\w)"
_SOFTWARE_LIKE_A_LINK = re.compile(rf"{_BEGIN_OF_NAME}(?:ASP|VB|ADO|ML|Paint)\.NET{_END_OF_NAME}")
_TITLE_LIKE_A_LINK = re.compile(rf"{_BEGIN_OF_NAME}(?:[A-Z][A-Za-z0-9'-]*\.(?:com|net|org)|dot\.com){_END_OF_NAME}")
_NAMES_TITLES = re.compile(
    r"\b(?:films?|movies?|comed(?:y|ies)|dramas?|thrillers?|documentar(?:y|ies)|series|shows?|books?|novels?|games?|albums?"
    r"|songs?|titles?)\b[^.!?]*\b(?:such as|like|including|titled|called|named) [^.!?]*$",
    re.IGNORECASE,
)
_INVITES = re.compile(
    r"https?:|www\.|\b(?:visit|go to|goto|head to|click|check out|browse|order|buy|web ?sites?|web|sites?|links?|url"
    r"|online|download|sign up|subscribe|coupons?|discounts?|deals?|offers?|stores?|shops?|free)\b",
    re.IGNORECASE,
)
_LEADS_TO = re.compile(r"\b(?:see|at|from|via|on|in|to|through|by|with) $", re.IGNORECASE)


def without_product_numbers(text: str) -> str:
    """The text with a word in place of numbers that are measures, years, versions or codes of products."""
    text = " ".join(text.split())
    if _hides_something(text):
        return text
    text = _PRODUCT_CODE.sub(lambda match: _PLACEHOLDER if _is_product_code(match["digits"]) else match[0], text)
    text = _DECIMALS.sub(_PLACEHOLDER, text)
    return _GROUPS.sub(lambda match: _PLACEHOLDER if _is_harmless(match) else match[0], text)


def without_titles_like_links(text: str, titles: Container[str] = frozenset()) -> str:
    """The text with a word in place of titles that end like the name of a site, where films, books and the like are
    listed by name and nothing invites to go anywhere.

    Args:
        titles: those of the catalogue, normalised. A name that is none of them may be a site, and stays: all but
            "dot.com", which is a word.
    """
    text = _SOFTWARE_LIKE_A_LINK.sub(_PLACEHOLDER, text)
    if _INVITES.search(text) or _hides_something(text):
        return text
    return _TITLE_LIKE_A_LINK.sub(lambda match: _PLACEHOLDER if _is_title(match, titles) else match[0], text)


def _hides_something(text: str) -> bool:
    """Whether there are control or format characters, or accents of their own, which a reader does not see as such."""
    return any(unicodedata.category(sign)[0] == "C" or unicodedata.category(sign) == "Mn" for sign in text)


def _is_title(match: re.Match[str], titles: Container[str]) -> bool:
    before = match.string[: match.start()]
    if _LEADS_TO.search(before):
        return False
    if match[0].lower() == "dot.com":
        return True
    return normalise(match[0]) in titles and _NAMES_TITLES.search(before) is not None


def _is_harmless(match: re.Match[str]) -> bool:
    groups = _SEPARATOR.split(match[0])
    separators = set(_SEPARATOR.findall(match[0]))
    before, after = match.string[: match.start()], match.string[match.end() :]
    if not match[0].isascii() or _OF_A_PERSON.search(before):
        return False
    if len(groups[0]) <= 3 and groups[0][0] != "0" and all(group == "000" for group in groups[1:]):
        return True  # one round number: "250.000.000"
    if separators == {"."}:
        return len(groups) == 4 and _is_version(list(map(int, groups)), match)
    if "." in separators or any(group[0] == "0" or len(group) == 1 for group in groups):
        return False
    values = [int(group) for group in groups]
    if all(map(_LIKE_A_YEAR.fullmatch, groups)):
        return True
    if sorted(set(values)) not in (values, values[::-1]):
        return False
    if _UNIT.match(after) or _MEASURE.search(before):
        return True
    # Round sizes from small to large, as of sandpaper. Four groups of four may be the number of a card.
    round_sizes = values[0] < values[-1] and all(value % 10 == 0 for value in values)
    return round_sizes and len(groups) < 4 and len(set(map(len, groups))) == 1


def _is_version(numbers: list[int], match: re.Match[str]) -> bool:
    """Whether four numbers with full stops are no address of a machine: one is too large for that, or the word before
    them is that of software.
    """
    before = match.string[: match.start()]
    if max(numbers) > 255:
        return True
    if _VERSION.search(before):
        return numbers[0] not in (127, 192)
    named = _NAME.search(before) is not None and _SOFTWARE.search(match.string) is not None
    return named and max(numbers) < 100 and numbers[0] != 10


def _is_product_code(digits: str) -> bool:
    """Whether the check digit of a GTIN (of 8, 12, 13 or 14 digits) or of an ISBN of 10 holds."""
    signs = re.sub(r"[ -]", "", digits).upper()
    values = [10 if sign == "X" else int(sign) for sign in signs]
    if len(signs) == 10:
        return sum(weight * value for weight, value in zip(range(10, 0, -1), values, strict=True)) % 11 == 0
    if len(signs) not in (8, 12, 13, 14) or "X" in signs:
        return False
    return sum(value * (3 if place % 2 else 1) for place, value in enumerate(reversed(values))) % 10 == 0
