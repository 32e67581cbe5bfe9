"""Training examples: requests as the platform sends them, each with the answer that the logs show to be right.

An example cuts a user's training interactions in two. The part before the cut is the history, of which the
platform's own code builds the prompt; the part after it, what the user chose next, decides the answer. No interaction
that is held out for validation or test is read.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from components.contracts.batch_format import Request
from components.contracts.tables import read_training_interactions
from components.foundation.errors import InputError
from components.prompting.candidates import candidate_items
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import Choice, CondensedHistory, condense_days, read_choices
from components.prompting.prompt_template import PromptTemplate
from components.prompting.prompts import build_request

SUMMARY_CATEGORIES = 3
ANSWER_CATEGORIES = 3
ANSWER_ITEMS = 5
NEXT_ITEMS = 5
SHORTEST_HISTORY = 2  # visits
FEWEST_EXAMPLES = 40


@dataclass(frozen=True)
class Example:
    """A request, its right answer, and the item that the user chose directly after the history."""

    request: Request
    answer: str
    target: Item


@dataclass(frozen=True)
class Examples:
    """Examples to learn from, and one example of each held-out user, whose target is the last training visit."""

    training: list[Example]
    held_out: list[Example]


@dataclass(frozen=True, kw_only=True)
class ExampleConfig:
    """How many examples are built.

    Attributes:
        examples: most examples to learn from.
        cuts_per_user: most examples that come from one user.
        held_out_users: most users that are held out; never more than a fifth of all.
        history_days: how many days of a history the prompt shows; 0: all of it.
        seed: of the choice of users and cuts.
    """

    examples: int = 8_000
    cuts_per_user: int = 8
    held_out_users: int = 500
    history_days: int = 0
    seed: int = 0


def build_examples(
    prepared: Path, catalogue: Catalogue, template: PromptTemplate, model: str, config: ExampleConfig
) -> Examples:
    """Examples from the training interactions of a prepared data set; equal data and config give equal examples.

    Raises:
        InputError: a table is missing, or there is too little to learn from.
    """
    random = np.random.default_rng(config.seed)
    held_out_users, training_users = _choose_users(prepared, config, random)
    choices_of = read_choices(prepared, held_out_users + training_users, catalogue)
    cuts_of = {user: _cuts(choices) for user, choices in choices_of.items()}
    cuts = [
        (user, cut)
        for user in training_users
        for cut in random.permutation(cuts_of[user])[: config.cuts_per_user].tolist()
    ]
    random.shuffle(cuts)
    last = [(user, cuts_of[user][-1]) for user in held_out_users if cuts_of[user]]

    def examples(chosen: list[tuple[str, int]]) -> list[Example]:
        made = [_example(choices_of[user], cut, catalogue, template, model, config) for user, cut in chosen]
        return [example for example in made if example is not None]

    training, held_out = examples(cuts[: config.examples]), examples(last)
    if len(training) < FEWEST_EXAMPLES or not held_out:
        raise InputError(
            f"{prepared}: {len(training)} examples of a history and what was chosen next, "
            f"expected {FEWEST_EXAMPLES} or more to train a language model on"
        )
    return Examples(training, held_out)


def _choose_users(prepared: Path, config: ExampleConfig, random: np.random.Generator) -> tuple[list[str], list[str]]:
    """Held-out users and users to learn from, both in random order, no more than are needed."""
    users = np.array(sorted(pc.unique(read_training_interactions(prepared, ["user_id"])["user_id"]).to_pylist()))
    chosen = users[random.permutation(len(users))].tolist()
    held_out = min(config.held_out_users, len(chosen) // 5)
    return chosen[:held_out], chosen[held_out : held_out + config.examples]


def _cuts(choices: list[Choice]) -> list[int]:
    """Where choices in the order of time can be cut: where a visit begins that has enough visits before it.

    A visit is a run of choices of one item.
    """
    ids = [item.item_id for _, item in choices]
    begins = [place for place in range(1, len(ids)) if ids[place] != ids[place - 1]]
    return begins[SHORTEST_HISTORY - 1 :]


def _example(
    choices: list[Choice],
    cut: int,
    catalogue: Catalogue,
    template: PromptTemplate,
    model: str,
    config: ExampleConfig,
) -> Example | None:
    history = condense_days(choices[:cut], config.history_days)
    visits = [next(run) for _, run in groupby((item for _, item in choices[cut:]), key=lambda item: item.item_id)]
    request = build_request(history, template, catalogue, model)
    candidates = candidate_items(request, catalogue)
    answer = right_answer(history, visits[:NEXT_ITEMS], catalogue, template, candidates)
    if answer is None:
        return None
    return Example(request, json.dumps(answer, ensure_ascii=False, separators=(",", ":")), visits[0])


def right_answer(
    history: CondensedHistory,
    following: Sequence[Item],
    catalogue: Catalogue,
    template: PromptTemplate,
    candidates: dict[int, Item],
) -> dict[str, object] | None:
    """The answer that fits what the user chose next, its fields in the template's order; None where it is empty.

    - `preference_summary`: a sentence made by rule from the most frequent categories of the history. The logs hold
      no explanations written by people.
    - `categories`: the most frequent ones of the items chosen next; of equally frequent ones, first the one that is
      more frequent in the history.
    - `items`, as numbers: first the candidates that were chosen next, in that order. Few are, as candidates are a
      dozen of all items; so the candidates follow whose categories are the most frequent of those chosen next (the
      mean over a candidate's categories; ties: the lower number). As titles: the items chosen next.
    """
    common = catalogue.common_categories
    counts = Counter(name for item in following for name in item.categories if name not in common)
    in_history = history.category_counts
    categories = sorted(counts, key=lambda name: (-counts[name], -in_history.get(name, 0), name))[:ANSWER_CATEGORIES]
    items: list[int] | list[str]
    if template.answer == "numbers":
        items = _choose_numbers(following, counts, candidates)
    else:
        items = list(dict.fromkeys(item.title for item in following if item.title))[:ANSWER_ITEMS]
    if not categories and not items:
        return None
    fields = {
        "preference_summary": summary_sentence(history, catalogue),
        "categories": categories,
        "items": items,
    }
    return {name: fields[name] for name in template.answer_fields}


def _choose_numbers(following: Sequence[Item], counts: Counter[str], candidates: dict[int, Item]) -> list[int]:
    number_of = {item.item_id: number for number, item in candidates.items()}
    chosen = [number_of[item.item_id] for item in following if item.item_id in number_of]

    def fit(number: int) -> float:
        names = candidates[number].categories
        return sum(counts[name] for name in names) / len(names) if names else 0.0

    fitting = sorted((number for number in candidates if fit(number) > 0), key=lambda number: (-fit(number), number))
    return list(dict.fromkeys([*chosen, *fitting]))[:ANSWER_ITEMS]


def summary_sentence(history: CondensedHistory, catalogue: Catalogue) -> str:
    """One sentence about the most frequent categories of a history, made by rule."""
    names = [name for name in history.category_counts if name not in catalogue.common_categories]
    if not names:
        return "Nothing is known of the categories of the items the user chooses."
    return f"The user mostly chooses these categories: {', '.join(names[:SUMMARY_CATEGORIES])}."
