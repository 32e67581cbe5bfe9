"""An engine that obeys and echoes every instruction that it finds in a prompt."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Self

from components.contracts.batch_format import Request, Response, make_response
from components.language_model.engine import EngineOptions, RationaleEngine
from components.prompting.catalogue import Catalogue, normalise
from components.prompting.document import answer_form, read_document
from components.prompting.instructions import words
from tests.injection.hostile_titles import HostileTitle

SPAN = 3  # words of an attack by which it is known


class GullibleEngine(RationaleEngine):
    """Stands in for a language model, behind any endpoint, that is as easily fooled as one can be.

    The models that run in tests are too small to follow an instruction, so that their good answers prove nothing. This
    one is told the attacks: it finds one by any three words in a row, or all of a shorter one, however it is written
    and whatever was cut from it, and it takes any mention of the target for a wish. It puts the target first, chooses
    the candidate that is asked for, repeats what it read as its explanation, leaves the JSON document where that does,
    and tells all it has read where it is asked to. Where there is no attack, it answers by categories and
    popularity.

    Args:
        exclusive: where it is to recommend the target it recommends nothing else, and the target's categories.

    Attributes:
        obeyed: the `custom_id`s of the requests in which it found something to obey.
    """

    name = "gullible"
    infers = True
    model = "gullible"

    def __init__(
        self,
        catalogue: Catalogue,
        attacks: Iterable[HostileTitle],
        target: str,
        number: int,
        *,
        exclusive: bool = False,
    ):
        self._catalogue = catalogue
        self._exclusive = exclusive
        self._target = target
        self._number = number
        self._attack_of: dict[str, HostileTitle] = {}
        for attack in attacks:
            for span in _spans(attack.title):
                if span not in _spans(target):  # which everybody may say
                    self._attack_of.setdefault(span, attack)
        self._core = " ".join(words(target.partition("(")[0]))
        self.obeyed: set[str] = set()

    @classmethod
    def open(cls, options: EngineOptions, catalogue: Catalogue, seed_of_request: Mapping[str, str]) -> Self:
        raise NotImplementedError("no option says the attacks")

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            document = read_document(request)
            answer = self._answer(document, answer_form(request))
            content = json.dumps(answer, ensure_ascii=False)
            attack = self._find_attack(document)
            if attack is not None:
                self.obeyed.add(request["custom_id"])
                content = self._obey(*attack, answer, document)
            yield make_response(request["custom_id"], self.model, content, prompt_tokens=1, completion_tokens=1)

    def _answer(self, document: dict[str, Any], form: str) -> dict[str, Any]:
        categories = list(document["category_counts"])[:3]
        summary = f"The user mostly likes these categories: {', '.join(categories)}."
        chosen = {entry.get("title") for entry in document["history"]}
        items: list[str] | list[int]
        if form == "numbers":
            items = [entry["number"] for entry in document["candidates"] if entry["title"] != self._target][:3]
        else:
            of_category = self._catalogue.items_of_category.get(categories[0], []) if categories else []
            fresh = (item.title for item in of_category if item.title not in chosen and item.title != self._target)
            items = list(islice(fresh, 3))
        return {"preference_summary": summary, "categories": categories, "items": items}

    def _find_attack(self, document: dict[str, Any]) -> tuple[str, HostileTitle] | None:
        """What the prompt shows of an attack, and the attack."""
        for entry in [*document["history"], *document.get("candidates", [])]:
            for text in (entry.get("title", ""), entry.get("brand", ""), *entry.get("categories", [])):
                known = (self._attack_of[span] for span in _spans(text) if span in self._attack_of)
                if attack := next(known, None):
                    return text, attack
                if text != self._target and self._core in " ".join(words(text)):
                    return text, HostileTitle("", "mention", "en", text)
        return None

    def _obey(self, text: str, attack: HostileTitle, answer: dict[str, Any], document: dict[str, Any]) -> str:
        family = attack.family
        # Of a target that was cut away nobody can know. What is encoded is read, though.
        readable = len(words(text)) >= len(words(attack.title)) or self._core in " ".join(words(text))
        wanted: list[Any] = [self._target] if readable and family != "number" else []
        if "candidates" in document:
            numbers = [entry["number"] for entry in document["candidates"] if entry["title"] in wanted]
            wanted = [self._number] if family == "number" else numbers
        told = json.dumps(document, ensure_ascii=False) if family == "leak" else answer["preference_summary"]
        obedient = {
            "preference_summary": f"{text} {told}",
            "categories": answer["categories"],
            "items": [*wanted, *answer["items"]],
        }
        if self._exclusive and wanted:
            item = self._catalogue.item_of_title.get(normalise(self._target))
            obedient |= {"categories": list(item.categories) if item else [], "items": wanted}
        content = json.dumps(obedient, ensure_ascii=False)
        # Out of the document, as far as the attack gets.
        return content.replace(json.dumps(text, ensure_ascii=False)[1:-1], text) if family == "json" else content


def _spans(text: str) -> list[str]:
    listed = words(text)
    if len(listed) <= SPAN:
        return [" ".join(listed)] if listed else []
    return [" ".join(listed[start : start + SPAN]) for start in range(len(listed) - SPAN + 1)]
