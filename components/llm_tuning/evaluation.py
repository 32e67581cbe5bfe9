"""Evaluates answers for held-out users: the right answer names the item of their last training visit.

Answers are generated freely here, without the grammar that forces JSON where rationales are generated.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from components.llm_tuning.encoding import prompt_texts
from components.llm_tuning.examples import ANSWER_CATEGORIES, ANSWER_ITEMS, Example
from components.prompting.candidates import candidate_items
from components.prompting.catalogue import Catalogue, Item, normalise
from components.prompting.document import read_document
from components.prompting.prompt_template import PromptTemplate

Answer = dict[str, Any]


@torch.no_grad()
def generate_answers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    template: PromptTemplate,
    batch_size: int,
    device: str,
) -> list[str]:
    """The model's answer to each example at temperature 0, in the order of the examples."""
    generate: Any = model.generate  # both kinds have it, torch's annotations hide it
    prompts = prompt_texts(tokenizer, examples)
    by_length = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    answers = [""] * len(prompts)
    for start in range(0, len(by_length), batch_size):
        rows = by_length[start : start + batch_size]
        # Answers are appended at the end, so the padding is in front.
        tokens = tokenizer(
            [prompts[row] for row in rows],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            written = generate(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                max_new_tokens=template.answer_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        for row, text in zip(rows, tokenizer.batch_decode(written[:, tokens["input_ids"].shape[1] :]), strict=True):
            answers[row] = text.split(tokenizer.eos_token)[0]
    return answers


def parse_answer(content: str, template: PromptTemplate) -> Answer | None:
    """The answer in a text; None where the text is not JSON of the form that the template asks for."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or answer.keys() != set(template.answer_fields):
        return None
    if not isinstance(answer.get("preference_summary", ""), str):
        return None
    kinds = {"categories": str, "items": int if template.answer == "numbers" else str}
    for name in kinds.keys() & answer.keys():
        values = answer[name]
        if not isinstance(values, list) or not all(type(value) is kinds[name] for value in values):
            return None
    if template.answer == "numbers" and not all(1 <= number <= template.candidates for number in answer["items"]):
        return None
    return answer


def score(
    answers: Sequence[Answer | None], examples: Sequence[Example], template: PromptTemplate, catalogue: Catalogue
) -> dict[str, float]:
    """Shares of the examples with a valid answer, and with the target among the categories and items that it names.

    The target's category counts among the first 1 and 3 categories named, the target itself among the first 5 items. An
    invalid answer is a miss. Category shares are over targets with a category that not every item has. A target that is
    no candidate cannot be named by number, so `reachable` is the upper bound of `item_hit`.
    """
    valid = [answer is not None for answer in answers]
    first, among, items, reachable = [], [], [], []
    for answer, example in zip(answers, examples, strict=True):
        named: Answer = answer or {"categories": [], "items": []}
        target_categories = set(example.target.categories) - catalogue.common_categories
        if target_categories:
            first.append(bool(target_categories & set(named["categories"][:1])))
            among.append(bool(target_categories & set(named["categories"][:ANSWER_CATEGORIES])))
        candidates = candidate_items(example.request, catalogue)
        if template.answer == "numbers":
            chosen = [candidates[number].item_id for number in named["items"] if number in candidates]
            reachable.append(example.target.item_id in {item.item_id for item in candidates.values()})
        else:
            items_named = [catalogue.item_of_title.get(normalise(title)) for title in named["items"]]
            chosen = [item.item_id for item in items_named if item is not None]
            reachable.append(bool(example.target.title))
        items.append(example.target.item_id in chosen[:ANSWER_ITEMS])
    return {
        "valid": _mean(valid),
        "category_hit@1": _mean(first),
        f"category_hit@{ANSWER_CATEGORIES}": _mean(among),
        f"item_hit@{ANSWER_ITEMS}": _mean(items),
        "reachable": _mean(reachable),
    }


def popularity_answers(
    training: Sequence[Example], held_out: Sequence[Example], template: PromptTemplate, catalogue: Catalogue
) -> list[Answer]:
    """A baseline that reads no history: the categories that training users chose most, the most popular items."""
    counts = Counter(
        name for example in training for name in example.target.categories if name not in catalogue.common_categories
    )
    categories = sorted(counts, key=lambda name: (-counts[name], name))[:ANSWER_CATEGORIES]
    return [{"categories": categories, "items": _popular_items(example, template, catalogue)} for example in held_out]


def majority_answers(held_out: Sequence[Example], template: PromptTemplate, catalogue: Catalogue) -> list[Answer]:
    """A baseline that counts: the user's own most frequent categories, the most popular items."""
    answers = []
    for example in held_out:
        counted = read_document(example.request)["category_counts"]
        categories = [name for name in counted if name not in catalogue.common_categories][:ANSWER_CATEGORIES]
        answers.append({"categories": categories, "items": _popular_items(example, template, catalogue)})
    return answers


def _popular_items(example: Example, template: PromptTemplate, catalogue: Catalogue) -> list[int] | list[str]:
    if template.answer == "numbers":
        candidates = candidate_items(example.request, catalogue)

        def rank(number: int) -> tuple[int, int]:
            return -candidates[number].popularity, number

        return sorted(candidates, key=rank)[:ANSWER_ITEMS]
    shown = {entry.get("title") for entry in read_document(example.request)["history"]}
    fresh: list[Item] = [item for item in catalogue.items.values() if item.title and item.title not in shown]
    return [item.title for item in fresh[:ANSWER_ITEMS]]


def _mean(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0
