"""Versioned prompt templates: the instruction, and the form of the answer. One file for each version."""

import string
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.contracts.artifacts import TUNING_FILE
from components.contracts.language_model import SCRATCH
from components.foundation.errors import InputError
from components.foundation.files import read_json

TEMPLATES = Path(__file__).parent / "templates"
DEFAULT_VERSION = "recommendation-v1"
NUMBERED_VERSION = "numbered-v1"
# Limits of lists, because a weak model continues a list until its tokens are used up.
MOST_CATEGORIES = 10
MOST_TITLES = 20

AnswerForm = Literal["titles", "numbers"]


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A prompt version. Its text never changes: another wording is another version.

    Attributes:
        version: its name, which is the file's.
        system: the system message; it comes first and is the same for every user, so that its computation is shared.
        answer: what the answer's `items` are: exact titles, or numbers of the document's candidates.
        answer_fields: the answer's fields in the order in which they are written.
        answer_tokens: most tokens of an answer.
        text_characters: most characters of each text of an answer, as a limit in the schema, so that the
            answer of a small model that does not stop is not cut off within the JSON; 0: no limit, because hosted
            endpoints refuse `maxLength` in a strict schema.
        history_items: most items of a history that the document shows.
        counted_categories: how many categories the document counts.
        candidates: how many candidates the document lists; 0 where answers name titles.
    """

    version: str
    system: str
    answer: AnswerForm
    answer_fields: tuple[str, ...]
    answer_tokens: int
    text_characters: int
    history_items: int
    counted_categories: int
    candidates: int

    def answer_schema(self) -> dict[str, Any]:
        """The JSON schema of an answer."""
        text: dict[str, Any] = {"type": "string"}
        if self.text_characters:
            text["maxLength"] = self.text_characters
        items: dict[str, Any] = {"type": "array", "items": text, "maxItems": MOST_TITLES}
        if self.answer == "numbers":
            number = {"type": "integer", "minimum": 1, "maximum": self.candidates}
            items = {"type": "array", "items": number, "maxItems": self.candidates}
        properties = {
            "preference_summary": text,
            "categories": {"type": "array", "items": text, "maxItems": MOST_CATEGORIES},
            "items": items,
        }
        return {
            "type": "object",
            "properties": {name: properties[name] for name in self.answer_fields},
            "required": list(self.answer_fields),
            "additionalProperties": False,
        }


def prompt_versions() -> list[str]:
    """The names of all prompt versions."""
    return sorted(path.stem for path in TEMPLATES.glob("*.toml"))


def choose_version(named: str, language_model: str) -> str:
    """The prompt version that is named, else the one that the model is trained on, else the default.

    Args:
        language_model: of the section `rationales`. The folder of a model that this platform trained names the
            version it was trained on; a model trained from scratch is small and answers by numbers.
    """
    tuning = Path(language_model) / TUNING_FILE
    if named:
        return named
    if language_model and tuning.exists():
        return read_json(tuning)["prompt_version"]
    return NUMBERED_VERSION if language_model == SCRATCH else DEFAULT_VERSION


def read_template(prompt_version: str, items_name: str = "items") -> PromptTemplate:
    """Read a prompt version.

    Args:
        items_name: what the instruction calls the items, as films or products.

    Raises:
        InputError: there is no such version.
    """
    if prompt_version not in prompt_versions():
        versions = ", ".join(prompt_versions())
        raise InputError(f"prompt version {prompt_version!r} is not known, expected one of {versions}")
    content = tomllib.loads((TEMPLATES / f"{prompt_version}.toml").read_text(encoding="utf-8"))
    system = string.Template(content.pop("system").strip()).substitute(items=items_name)
    fields = tuple(content.pop("answer_fields"))
    return PromptTemplate(version=prompt_version, system=system, answer_fields=fields, **content)
