"""What a text of the catalogue may not do to an answer: be repeated as an instruction, or name what is recommended."""

from collections.abc import Iterable

from components.contracts.batch_format import Request
from components.prompting.catalogue import Item
from components.prompting.document import read_document
from components.prompting.instructions import reads_like_instruction, words

ECHO_WORDS = 5  # as many in a row two texts share by copying rather than by chance


class InstructionEchoes:
    """Knows instructions by any five words of theirs in a row, a shorter one by all of them, three at least.

    Args:
        instructions: texts that the catalogue withholds. No prompt made with it shows them; an answer that is brought
            back from elsewhere may be to a prompt that did.
    """

    def __init__(self, instructions: Iterable[str]):
        self._withheld = {span for text in sorted(instructions) for span in _own_spans(text)}
        self._spans_of: dict[str, list[str]] = {}  # titles come again in many prompts

    def repeated_in(self, text: str, request: Request) -> bool:
        """Whether an instruction that is withheld, or that the prompt shows, is repeated in the text."""
        spans = {span for length in range(3, ECHO_WORDS + 1) for span in _spans(words(text), length)}
        if not self._withheld.isdisjoint(spans):
            return True
        return any(not spans.isdisjoint(self._instruction_spans(shown)) for shown in shown_texts(request))

    def _instruction_spans(self, shown: str) -> list[str]:
        if shown not in self._spans_of:
            self._spans_of[shown] = _own_spans(shown) if reads_like_instruction(shown) else []
        return self._spans_of[shown]


def shown_texts(request: Request) -> list[str]:
    """The titles, brands and categories of the items that the prompt shows, each once."""
    document = read_document(request)
    texts: dict[str, None] = {}
    for entry in [*document.get("history", []), *document.get("candidates", [])]:
        texts |= dict.fromkeys([entry.get("title", ""), entry.get("brand", ""), *entry.get("categories", [])])
    return [text for text in texts if text]


def named_items(items: list[Item], request: Request) -> list[Item]:
    """Those of the items whose title, of two words or more, stands within a longer text of the prompt.

    No item says that another is to be recommended, whether it asks for it or just mentions it. A title of one word is
    passed over: it is as often a word of another title as the name of an item.
    """
    texts = [_between_spaces(text) for text in shown_texts(request)]
    found = []
    for item in items:
        titles = {_between_spaces(title) for title in (item.title, item.short_title)}
        telling = [title for title in titles if title.count(" ") > 2]
        if any(title in text and text not in titles for title in telling for text in texts):
            found.append(item)
    return found


def _own_spans(text: str) -> list[str]:
    listed = words(text)
    return _spans(listed, min(ECHO_WORDS, len(listed))) if len(listed) >= 3 else []


def _spans(listed: list[str], length: int) -> list[str]:
    return [" ".join(listed[start : start + length]) for start in range(len(listed) - length + 1)]


def _between_spaces(text: str) -> str:
    return f" {' '.join(words(text))} "
