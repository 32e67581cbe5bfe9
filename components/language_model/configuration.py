"""The section `rationales`: which engine and model write the rationales, how, and at what cost at most."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from components.contracts.language_model import LORA_PREFIX
from components.contracts.text_encoder import PACKAGED_MODEL, is_model_path
from components.foundation.checks import check_choice
from components.foundation.configuration import Section
from components.foundation.errors import InputError
from components.foundation.files import absolute_path
from components.language_model.budget import Ceilings
from components.language_model.ledger import PARTITIONS
from components.language_model.trained_models import absolute_model

RESOLVED, WRITTEN, SUMMARY, ALL = RATIONALE_TEXTS = ("resolved", "written", "summary", "all")


@dataclass(frozen=True)
class RationalesSection(Section):
    """Which engine and model write the rationales, how, and at what cost at most (section 3.1.2).

    Attributes:
        rationale_engine: who writes the rationales: template (no language model), recorded, vllm, or openai (an
            endpoint).
        recorded_rationales: file of recorded rationales, for the engine recorded.
        language_model: Hugging Face id, folder, scratch (a small model, trained here on these data) or lora:BASE; for
            the engine openai its name there.
        prompt_version: name of a prompt in components/prompting/templates; empty: the one that suits the model.
        shards: tasks among which the requests are divided, 1 to 64.
        attempts: how often an invalid answer is requested again.
        max_calls: ceiling on calls of the language model in this run; 0: none.
        max_tokens: ceiling on tokens of prompts and answers; 0: none.
        max_cost: ceiling on their cost, at the prices of the settings RELAND_*_PRICE; 0: none.
        rationale_text: what of a rationale is encoded: resolved (the recommended names that the catalogue has), written
            (all recommended names, as the model wrote them), summary (the preference summary) or all (summary and
            written).
        text_encoder: model of sentence-transformers for rationales and items: the packaged one, a Hugging Face id or a
            folder.
    """

    title = "rationales"

    rationale_engine: str = "template"
    recorded_rationales: str = ""
    language_model: str = ""
    prompt_version: str = ""
    shards: int = 1
    attempts: int = 2
    max_calls: int = 0
    max_tokens: int = 0
    max_cost: float = 0.0
    rationale_text: str = RESOLVED
    text_encoder: str = PACKAGED_MODEL

    def __post_init__(self) -> None:
        check_choice("rationale_text", self.rationale_text, RATIONALE_TEXTS)
        if not 1 <= self.shards <= PARTITIONS:
            raise InputError(f"shards {self.shards}: expected 1 to {PARTITIONS}")
        if self.attempts < 0:
            raise InputError(f"attempts {self.attempts}: expected a number of further attempts, or 0 for none")

    @property
    def ceilings(self) -> Ceilings:
        """What all shards together may take."""
        return Ceilings(self.max_calls, self.max_tokens, self.max_cost)

    def resolved(self) -> Self:
        """The same with absolute paths; models given by name or Hugging Face id keep it."""
        return replace(
            self,
            recorded_rationales=absolute_path(self.recorded_rationales),
            language_model=absolute_model(self.language_model),
            text_encoder=absolute_path(self.text_encoder) if is_model_path(self.text_encoder) else self.text_encoder,
        )

    def read_paths(self) -> list[Path]:
        """Recorded rationales, language model and text encoder, as far as they are absolute paths."""
        names = (self.recorded_rationales, self.language_model.removeprefix(LORA_PREFIX), self.text_encoder)
        return [Path(name) for name in names if Path(name).is_absolute()]
