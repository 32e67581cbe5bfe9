"""From a title as a language model writes it to the item that is meant."""

import html
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz import fuzz, process

from components.prompting.catalogue import Catalogue, Item, normalise
from components.prompting.instructions import fold, words

# Share of the characters of both titles that stay in place when one is edited into the other, in percent.
# "Sleepless in Seatle" and "Sleepless in Seattle" have 97, "Rocky II" and "Rocky III" 94, "Alien" and "Aliens" 91.
SIMILARITY = 92
_ARTICLES = frozenset(("a", "an", "the"))
_YEAR = re.compile(r"(19|20)\d\d")
_NUMBER = re.compile(r".*\d.*|[ivx]+")


@dataclass(frozen=True)
class _PlainTitle:
    """What of a title is compared: words without articles, which move ("Matrix, The"), and without years."""

    text: str
    years: frozenset[str]
    numbers: tuple[str, ...]


class TitleResolver:
    """Resolves titles to items: equal but for case, or else the most similar title, of at least 92% similarity.

    Articles, punctuation, accents and "&" for "and" make no difference. A title is not taken for one that has another
    number, Roman or not, or another year: the sequel of a film and another size of a product are other items. A year
    that is left out is no other year. Where two titles are equally similar, neither is meant.
    """

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue
        self._similar: dict[str, Item | None] = {}  # what is made up is made up again

    def resolve(self, title: str) -> Item | None:
        """The item, or None where no item of the catalogue has the title or a similar one."""
        name = normalise(title)
        exact = self._catalogue.item_of_title.get(name)
        if exact is not None:
            return exact
        if name not in self._similar:
            self._similar[name] = self._find_similar(_plain(title))
        return self._similar[name]

    def _find_similar(self, title: _PlainTitle) -> Item | None:
        if not title.text:
            return None
        group = self._groups.get(title.numbers, [])
        # So similar to a shorter title is one that holds nearly all of it: their lengths are as 92 to 108, or nearer.
        length, rest = len(title.text), 200 - SIMILARITY
        begin = bisect_left(group, -(-length * SIMILARITY // rest), key=_length)
        end = bisect_right(group, length * rest // SIMILARITY, key=_length)
        near = group[begin:end]
        texts = [plain.text for plain, _ in near]
        similar = process.extract(title.text, texts, scorer=fuzz.ratio, score_cutoff=SIMILARITY, limit=None)
        fitting = [(score, near[row][1]) for _, score, row in similar if title.years <= near[row][0].years]
        if not fitting or (len(fitting) > 1 and fitting[0][0] == fitting[1][0]):
            return None
        return fitting[0][1]

    @cached_property
    def _groups(self) -> dict[tuple[str, ...], list[tuple[_PlainTitle, Item]]]:
        """One item of each title, by the numbers in it, the shortest first: what a title is to be compared with."""
        groups: dict[tuple[str, ...], list[tuple[_PlainTitle, Item]]] = {}
        for item in self._catalogue.item_of_title.values():
            plain = _plain(item.title)
            groups.setdefault(plain.numbers, []).append((plain, item))
        for group in groups.values():
            group.sort(key=_length)
        return groups


def _length(entry: tuple[_PlainTitle, Item]) -> int:
    return len(entry[0].text)


def plain_words(title: str) -> list[str]:
    """The folded words of a title without articles, which move: "Matrix, The"; "&" is the word "and"."""
    spelled_out = fold(html.unescape(title)).replace("&", " and ")
    return [word for word in words(spelled_out) if word not in _ARTICLES]


def without_years(listed: list[str]) -> list[str]:
    """The words that are no year of the 20th or 21st century."""
    return [word for word in listed if not _YEAR.fullmatch(word)]


def _plain(title: str) -> _PlainTitle:
    listed = plain_words(title)
    rest = without_years(listed)
    numbers = sorted(word for word in rest if _NUMBER.fullmatch(word))
    return _PlainTitle(" ".join(rest), frozenset(listed) - frozenset(rest), tuple(numbers))
