"""From responses to the table of rationales and the rejected answers."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.contracts.batch_format import (
    REASON_OF_FINISH,
    NoAnswerError,
    Response,
    canonical_json,
    read_answer,
)
from components.contracts.tables import RATIONALES, REJECTED_RATIONALES
from components.foundation.errors import InputError
from components.foundation.progress import say
from components.language_model.configuration import RESOLVED, SUMMARY, WRITTEN
from components.language_model.engine import RationaleEngine
from components.rationale_generation.near_duplicates import count_near_duplicates
from components.rationale_generation.request_building import SeedRequests
from components.rationale_generation.text_rules import Reason, RejectedAnswerError
from components.rationale_generation.validation import AnswerValidator, ValidAnswer

_COUNTS = ("hallucinated_items", "unknown_categories", "similar_items", "named_items", "extra_fields")
_NO_RESPONSE = {"code": "no_answer", "message": "no response to this request"}


@dataclass(frozen=True)
class ValidatedRationales:
    """Rationales and rejected answers, each sorted by seed user; `report` is the fragment of `summary.json`.

    `answered` counts the seed users who have an answer: valid or not, with a text or without.

    In the report, `rationale_validation` counts what was rejected by reason, and in the answers that were not: names
    that stand for nothing in the catalogue (`hallucinated_items`, `unknown_categories`), items found by a similar
    title, items dropped because the history named them, fields that were passed over, and near-duplicates. The latter
    stay: users who are alike may be reasoned about alike, and every seed user has a rationale of its own. Many of them
    say that the prompts give the model little to distinguish users by.

    Rows without an answer are counted under the reason of their `NoAnswerError`. What is no JSON because the model was
    stopped (`finish_reason` length or content_filter) is counted as that.
    """

    rationales: pa.Table
    rejected: pa.Table
    answered: int
    report: dict[str, Any]


def text_to_encode(answer: ValidAnswer, rationale_text: str) -> str:
    """What the text encoder reads of an answer (`RationalesSection.rationale_text`)."""
    if rationale_text == SUMMARY:
        return answer.preference_summary
    if rationale_text == RESOLVED:
        return answer.recommendation
    written = answer.written or answer.recommendation  # every name of it broke a rule
    return written if rationale_text == WRITTEN else f"{answer.preference_summary} {written}"


def make_rationale_id(custom_id: str, answer: ValidAnswer, encoded_text: str) -> str:
    """32 hex digits of the SHA-256 of the request's id and of the texts that are served or encoded; it names no user.

    Not of the raw answer: of one answer, different catalogues leave different texts. One id never stands for two texts,
    because a push overwrites the row of an id, which an older generation may still serve.
    """
    texts = [answer.preference_summary, answer.recommendation]
    texts += [encoded_text] if encoded_text != answer.recommendation else []
    return hashlib.sha256(canonical_json([custom_id, *texts]).encode()).hexdigest()[:32]


def validate_responses(
    seed_requests: SeedRequests,
    responses: list[Response],
    engine: type[RationaleEngine],
    validator: AnswerValidator,
    rationale_text: str = RESOLVED,
) -> ValidatedRationales:
    """Give every seed user its validated answer, or say why there is none.

    Seed users who share a request share its answer and its `rationale_id`.

    Args:
        rationale_text: what of an answer is encoded, of `language_model.configuration.RATIONALE_TEXTS`.

    Raises:
        InputError: no answer is valid.
    """
    request_of_id = {request["custom_id"]: request for request in seed_requests.requests}
    response_of_id = {response["custom_id"]: response for response in responses}
    rationales: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    models: set[str] = set()
    answered = 0
    counts = dict.fromkeys(_COUNTS, 0)
    for seed, custom_id in sorted(seed_requests.request_of_seed.items()):
        row = {"seed_user_id": seed, "custom_id": custom_id}
        try:
            answer = read_answer(response_of_id.get(custom_id, {"error": _NO_RESPONSE}))
        except NoAnswerError as error:
            rejected.append({**row, "reason": error.reason, "detail": str(error), "answer": ""})
            if error.answer is not None:
                answered += 1
                models.add(error.answer.model)
            continue
        answered += 1
        models.add(answer.model)
        try:
            valid = validator.validate(answer.content, request_of_id[custom_id])
        except RejectedAnswerError as error:
            reason, detail = error.reason.value, str(error)
            if error.reason in (Reason.NOT_JSON, Reason.CUT_OFF) and answer.finish_reason in REASON_OF_FINISH:
                reason = REASON_OF_FINISH[answer.finish_reason]
                detail = f"{detail} (finish_reason {answer.finish_reason})"
            rejected.append({**row, "reason": reason, "detail": detail, "answer": answer.content})
            continue
        counts["hallucinated_items"] += valid.dropped_items
        counts["unknown_categories"] += valid.dropped_categories
        counts["similar_items"] += valid.similar_items
        counts["named_items"] += valid.named_items
        counts["extra_fields"] += valid.extra_fields
        encoded_text = text_to_encode(valid, rationale_text)
        rationales.append(
            {
                "rationale_id": make_rationale_id(custom_id, valid, encoded_text),
                "seed_user_id": seed,
                "preference_summary": valid.preference_summary,
                "categories": valid.categories,
                "items": valid.items,
                "recommendation": valid.recommendation,
                "encoded_text": encoded_text,
                "engine": engine.name,
                "model": answer.model,
                "prompt_version": seed_requests.prompt_version,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "custom_id": custom_id,
            }
        )
    rejected_by_reason = dict(Counter(row["reason"] for row in rejected).most_common())
    reasons = ", ".join(f"{reason} {count}" for reason, count in rejected_by_reason.items())
    if not rationales:
        first = f" ({reasons}); the first answer: {rejected[0]['detail']}" if rejected else ""
        raise InputError(f"rationale_engine {engine.name}: no valid rationale of {len(rejected)} answers{first}")

    generation = {
        "engine": engine.name,
        "model": ", ".join(sorted(models)),
        "rejected": len(rejected),
    }
    counts["near_duplicates"] = _count_near_duplicates(rationales)
    validation = {"valid": len(rationales), "rejected": rejected_by_reason, **counts}
    say(f"{len(rationales)} rationales, {len(rejected)} answers rejected{f' ({reasons})' if reasons else ''}")
    say(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))
    return ValidatedRationales(
        pa.Table.from_pylist(rationales, schema=RATIONALES),
        pa.Table.from_pylist(rejected, schema=REJECTED_RATIONALES),
        answered,
        {"generation_cost": generation, "rationale_validation": validation},
    )


def _count_near_duplicates(rationales: list[dict[str, Any]]) -> int:
    """Of the different rationales: seed users who share a request share its rationale, which is no duplicate."""
    text_of_id = {row["rationale_id"]: f"{row['preference_summary']} {row['recommendation']}" for row in rationales}
    return count_near_duplicates(list(text_of_id.values()))
