"""From responses to the table of rationales, the rejected answers and the account of what the generation cost."""

import hashlib
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.contracts.batch_format import Response, canonical_json, read_answer
from components.contracts.errors import InputError
from components.contracts.progress import say
from components.contracts.tables import RATIONALES, REJECTED_RATIONALES
from components.rationale_generation.engine import RationaleEngine
from components.rationale_generation.request_building import SeedRequests
from components.rationale_generation.validation import AnswerValidator, InvalidAnswerError, ValidAnswer


@dataclass(frozen=True)
class ValidatedRationales:
    """Rationales and rejected answers, each sorted by seed user; `report` is the fragment of `summary.json`."""

    rationales: pa.Table
    rejected: pa.Table
    report: dict[str, Any]


def make_rationale_id(custom_id: str, answer: ValidAnswer) -> str:
    """32 hex digits of the SHA-256 of what was asked and of the texts that are served; it names no user.

    Not of the raw answer: of one answer, different catalogues leave different texts. One id never stands for two texts,
    because a push overwrites the row of an id, which an older generation may still serve.
    """
    content = canonical_json([custom_id, answer.preference_summary, answer.recommendation])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def validate_responses(
    asked: SeedRequests, responses: list[Response], engine: type[RationaleEngine], validator: AnswerValidator
) -> ValidatedRationales:
    """Give every seed user its validated answer, or say why there is none.

    Seed users who share a request share its answer and its `rationale_id`. In the report, `inferences` counts answers
    made in this run and `reused` the seed users whose answer cost no inference of its own; the token counts are those
    of the inferences.

    Raises:
        InputError: no answer is valid.
    """
    response_of_id = {response["custom_id"]: response for response in responses}
    rationales: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    tokens_of_request: dict[str, tuple[int, int]] = {}
    models: set[str] = set()
    answered = dropped_categories = dropped_items = 0
    for seed, custom_id in sorted(asked.request_of_seed.items()):
        content = ""
        try:
            answer = read_answer(response_of_id.get(custom_id, {"error": "no response to this request"}))
            content = answer.content
            answered += 1
            models.add(answer.model)
            tokens_of_request[custom_id] = (answer.prompt_tokens, answer.completion_tokens)
            valid = validator.validate(content)
        except (ValueError, InvalidAnswerError) as error:
            rejected.append({"seed_user_id": seed, "custom_id": custom_id, "reason": str(error), "answer": content})
            continue
        dropped_categories += valid.dropped_categories
        dropped_items += valid.dropped_items
        rationales.append(
            {
                "rationale_id": make_rationale_id(custom_id, valid),
                "seed_user_id": seed,
                "preference_summary": valid.preference_summary,
                "categories": valid.categories,
                "items": valid.items,
                "recommendation": valid.recommendation,
                "engine": engine.name,
                "model": answer.model,
                "prompt_version": asked.prompt_version,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "custom_id": custom_id,
            }
        )
    if not rationales:
        reason = f"; the first answer: {rejected[0]['reason']}" if rejected else ""
        raise InputError(f"--rationale-engine {engine.name}: no valid rationale of {len(rejected)} answers{reason}")

    inferences = len(tokens_of_request) if engine.infers else 0
    report = {
        "engine": engine.name,
        "model": ", ".join(sorted(models)),
        "inferences": inferences,
        "reused": answered - inferences,
        "prompt_tokens": sum(prompt for prompt, _ in tokens_of_request.values()) if engine.infers else 0,
        "completion_tokens": sum(completion for _, completion in tokens_of_request.values()) if engine.infers else 0,
        "rejected": len(rejected),
    }
    say(
        f"{len(rationales)} rationales, {len(rejected)} answers rejected; dropped as unknown to the catalogue: "
        f"{dropped_categories} categories, {dropped_items} items"
    )
    return ValidatedRationales(
        pa.Table.from_pylist(rationales, schema=RATIONALES),
        pa.Table.from_pylist(rejected, schema=REJECTED_RATIONALES),
        {"generation_cost": report},
    )
