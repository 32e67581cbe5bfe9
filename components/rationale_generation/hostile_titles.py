"""What a text of the catalogue may not do to an answer: be repeated as an instruction, or name what is recommended.

Texts that read like an instruction are withheld from prompts already (`prompting.instructions`). That list can never be
complete, so nothing here depends on it alone: a text that names another item is recognised by the catalogue's titles,
in any wording.
"""

from itertools import chain

from components.contracts.batch_format import Request
from components.prompting.catalogue import Catalogue, Item, normalise
from components.prompting.document import read_document
from components.prompting.instructions import reads_like_instruction, words
from components.rationale_generation.title_resolution import plain_words, without_years

ECHO_WORDS = 5  # as many in a row two texts share by copying rather than by chance
SHORTEST_INSTRUCTION = 3  # words
SHORTEST_NAME = 2  # words; a title of one word is as often a word of another title as the name of an item


class HostileTitles:
    """Finds what the texts of a prompt's items have done to an answer.

    Args:
        catalogue: the titles by which a text can name an item, and the instructions that it withholds. No prompt made
            with it shows those; an answer that is brought back from elsewhere may be to a prompt that did.
    """

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue
        self._names = set(chain.from_iterable(map(_names_of, catalogue.items.values())))
        self._longest = max((name.count(" ") + 1 for name in self._names), default=0)
        self._withheld = {span for text in sorted(catalogue.withheld) for span in _own_spans(text)}
        # Caches by text of an item, which many prompts show: the names in it, and the spans that give away a copy.
        self._named_by: dict[str, frozenset[str]] = {}
        self._spans_of: dict[str, list[str]] = {}

    def named_items(self, items: list[Item], request: Request) -> list[Item]:
        """Those of the items that the prompt's history names: they were chosen already, or another's text holds their
        title, of two words or more. No item says that another is to be recommended, whether it asks for it or just
        mentions it. A year that is left out makes no difference.
        """
        history, candidates = _shown_texts(request)
        chosen = {" ".join(plain_words(text)) for text in history}
        named = frozenset[str]().union(*map(self._names_in, [*history, *candidates]))
        return [item for item in items if not named.isdisjoint(_names_of(item)) or not chosen.isdisjoint(_titles(item))]

    def repeats_instruction(self, text: str, request: Request) -> bool:
        """Whether a text of an answer repeats an instruction: five words in a row of it, or all of a shorter one.

        An instruction is what is withheld, and what the prompt shows and reads like one. So is what the prompt shows
        and names another item than its own, but of that five words are needed in any case: a sequel does so too.
        """
        listed = words(text)
        spans = {span for length in range(SHORTEST_INSTRUCTION, ECHO_WORDS + 1) for span in _spans(listed, length)}
        if not self._withheld.isdisjoint(spans):
            return True
        return any(not spans.isdisjoint(self._instruction_spans(shown)) for shown in chain(*_shown_texts(request)))

    def _instruction_spans(self, shown: str) -> list[str]:
        if shown not in self._spans_of:
            whole = self._whole(shown)
            spans = []
            if reads_like_instruction(whole):
                spans = [*_own_spans(shown), *_own_spans(whole)]
            elif self._names_in(shown):
                spans = _spans(words(whole), ECHO_WORDS)
            self._spans_of[shown] = spans
        return self._spans_of[shown]

    def _whole(self, shown: str) -> str:
        """The title of which a prompt shows the beginning, or the text itself."""
        item = self._catalogue.item_of_short_title.get(normalise(shown))
        return item.title if item is not None else shown

    def _names_in(self, shown: str) -> frozenset[str]:
        """The names of items within a text that is longer than the name."""
        if shown not in self._named_by:
            listed = plain_words(self._whole(shown))
            variants = {tuple(listed), tuple(without_years(listed))}
            own = {" ".join(variant) for variant in variants}
            parts = (
                part
                for variant in variants
                for length in range(SHORTEST_NAME, min(len(variant), self._longest) + 1)
                for part in _spans(list(variant), length)
            )
            self._named_by[shown] = frozenset(part for part in parts if part in self._names and part not in own)
        return self._named_by[shown]


def _shown_texts(request: Request) -> tuple[list[str], list[str]]:
    """Titles, brands and categories of the items that the prompt shows, each once: of the history, of candidates."""
    document = read_document(request)
    lists = []
    for entries in (document.get("history", []), document.get("candidates", [])):
        texts: dict[str, None] = {}
        for entry in entries:
            texts |= dict.fromkeys([entry.get("title", ""), entry.get("brand", ""), *entry.get("categories", [])])
        lists.append([text for text in texts if text])
    return lists[0], lists[1]


def _titles(item: Item) -> set[str]:
    """The item's title as a prompt shows it, cut or not, in plain words."""
    return {" ".join(plain_words(title)) for title in (item.title, item.short_title) if title}


def _names_of(item: Item) -> list[str]:
    """What a text can call an item: its title, with the year or without. A cut title is too short to hold a longer."""
    listed = plain_words(item.title)
    return [" ".join(name) for name in (listed, without_years(listed)) if len(name) >= SHORTEST_NAME]


def _own_spans(text: str) -> list[str]:
    listed = words(text)
    return _spans(listed, min(ECHO_WORDS, len(listed))) if len(listed) >= SHORTEST_INSTRUCTION else []


def _spans(listed: list[str], length: int) -> list[str]:
    return [" ".join(listed[start : start + length]) for start in range(len(listed) - length + 1)]
