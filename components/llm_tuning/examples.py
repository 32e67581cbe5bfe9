"""What a model is tuned on: questions as they are asked of it, each with the answer that the logs show to be right.

An example cuts a user's training interactions in two. The part before the cut is the history that the real builder
makes a prompt of; the part after it, what the user really chose next, decides the answer. Nothing that is held out for
validation or test is seen.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.batch_format import Request
from components.contracts.errors import InputError
from components.contracts.tables import read_training_interactions
from components.prompting.candidates import candidate_items
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import CondensedHistory, condense
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
    """A question, its right answer, and the item that the user chose right after the history."""

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
    """How many examples there are.

    Attributes:
        examples: most examples to learn from.
        cuts_per_user: most of them that come from one user.
        held_out_users: most users that are held out; never more than a fifth of all.
        seed: of the choice of users and cuts.
    """

    examples: int = 8_000
    cuts_per_user: int = 8
    held_out_users: int = 500
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
    visits = _visits(prepared, held_out_users + training_users, catalogue)

    def example(user: str, cut: int) -> Example | None:
        return _example(visits[user], cut, catalogue, template, model)

    # All cuts are drawn before the first example is made: the draw does not depend on which of them can be used.
    cuts = [(user, cut) for user in training_users for cut in _cuts(len(visits[user]), config.cuts_per_user, random)]
    random.shuffle(cuts)
    last = [(user, len(visits[user]) - 1) for user in held_out_users if len(visits[user]) > SHORTEST_HISTORY]
    training = [found for user, cut in cuts[: config.examples] if (found := example(user, cut))]
    held_out = [found for user, cut in last if (found := example(user, cut))]
    if len(training) < FEWEST_EXAMPLES or not held_out:
        raise InputError(
            f"{prepared}: {len(training)} examples of a history and what was chosen next, "
            f"expected {FEWEST_EXAMPLES} or more to train a language model on"
        )
    return Examples(training, held_out)


def _choose_users(prepared: Path, config: ExampleConfig, random: np.random.Generator) -> tuple[list[str], list[str]]:
    """Held-out users and users to learn from, both in random order; of a large data set no more than are needed."""
    users = np.array(sorted(pc.unique(read_training_interactions(prepared, ["user_id"])["user_id"]).to_pylist()))
    chosen = users[random.permutation(len(users))].tolist()
    held_out = min(config.held_out_users, len(chosen) // 5)
    return chosen[:held_out], chosen[held_out : held_out + config.examples]


def _visits(prepared: Path, users: list[str], catalogue: Catalogue) -> dict[str, list[Item]]:
    """The training visits of each user, oldest first: an item that is chosen several times in a row is one visit."""
    training = read_training_interactions(prepared, ["user_id", "item_id", "timestamp", "sequence"])
    training = training.filter(pc.is_in(training["user_id"], pa.array(users, pa.string())))
    training = training.sort_by([("timestamp", "ascending"), ("sequence", "ascending")])
    items: dict[str, list[str]] = {user: [] for user in users}
    for user, item_id in zip(training["user_id"].to_pylist(), training["item_id"].to_pylist(), strict=True):
        items[user].append(item_id)
    return {user: [catalogue.items[item_id] for item_id, _ in groupby(chosen)] for user, chosen in items.items()}


def _cuts(visits: int, most: int, random: np.random.Generator) -> list[int]:
    """Where a user's visits are cut: after so many of them, at least two before and one after."""
    possible = np.arange(SHORTEST_HISTORY, visits)
    return random.choice(possible, size=min(most, len(possible)), replace=False).tolist()


def _example(
    visits: list[Item], cut: int, catalogue: Catalogue, template: PromptTemplate, model: str
) -> Example | None:
    history = condense(visits[:cut])
    following = visits[cut : cut + NEXT_ITEMS]
    request = build_request(history, template, catalogue, model)
    candidates = candidate_items(request, catalogue)
    answer = right_answer(history, following, catalogue, template, candidates)
    if answer is None:
        return None
    return Example(request, json.dumps(answer, ensure_ascii=False, separators=(",", ":")), following[0])


def right_answer(
    history: CondensedHistory,
    following: Sequence[Item],
    catalogue: Catalogue,
    template: PromptTemplate,
    candidates: dict[int, Item],
) -> dict[str, object] | None:
    """The answer that what came next shows to be right, its fields in the template's order; None where it is empty.

    - `preference_summary`: a sentence made by rule from the most frequent categories of the history. The logs hold no
      explanation that a person wrote, so there is none to learn from.
    - `categories`: the most frequent ones of the items chosen next; of equally frequent ones, first the one that is
      more frequent in the history.
    - `items`, as numbers: first the candidates that were chosen next, in that order. Few are, as candidates are a
      dozen of all items; so the candidates follow whose categories are the most frequent of those chosen next (the
      mean over a candidate's categories; ties: the lower number). As titles: the items chosen next.
    """
    common = catalogue.common_categories
    counts = Counter(name for item in following for name in item.categories if name not in common)
    known = history.category_counts
    categories = sorted(counts, key=lambda name: (-counts[name], -known.get(name, 0), name))[:ANSWER_CATEGORIES]
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
