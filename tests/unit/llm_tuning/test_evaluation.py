import json

import pytest

from components.llm_tuning.evaluation import majority_answers, parse_answer, popularity_answers, score
from components.llm_tuning.examples import Example
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request

NUMBERED = read_template("numbered-v1")
RIGHT = {"preference_summary": "One.", "categories": ["Drama"], "items": [1]}


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        json.dumps(RIGHT)[:-1],
        json.dumps(RIGHT | {"more": 1}),
        json.dumps({"categories": [], "items": []}),
        json.dumps(RIGHT | {"items": ["1"]}),
        json.dumps(RIGHT | {"items": [True]}),
        json.dumps(RIGHT | {"items": [0]}),
        json.dumps(RIGHT | {"items": [NUMBERED.candidates + 1]}),
        json.dumps(RIGHT | {"categories": "Drama"}),
        json.dumps(RIGHT | {"preference_summary": 1}),
        "[" * 100_000,
    ],
)
def test_an_answer_of_another_form_is_none(content):
    assert parse_answer(content, NUMBERED) is None
    assert parse_answer(json.dumps(RIGHT), NUMBERED) == RIGHT


def example(catalogue, target: str) -> Example:
    """A user of Alien alone. The candidates are the other films with a title, by title: 1 Brazil, 2 Casablanca ..."""
    request = build_request(condense([catalogue.items["alien"]]), NUMBERED, catalogue, "m")
    return Example(request, "", catalogue.items[target])


def test_scores_are_shares_of_what_was_asked(catalogue):
    examples = [example(catalogue, target) for target in ("brazil", "casablanca", "emma", "unknown")]
    answers = [
        {"categories": ["Sci-Fi"], "items": [1]},  # right, and Brazil is candidate 1
        {"categories": ["Horror", "Romance"], "items": [1]},  # the second category is right
        None,
        {"categories": ["Drama"], "items": []},  # of the film without categories no category is asked
    ]
    assert score(answers, examples, NUMBERED, catalogue) == {
        "valid": 0.75,
        "category_hit@1": pytest.approx(1 / 3),
        "category_hit@3": pytest.approx(2 / 3),
        "item_hit@5": 0.25,
        "reachable": 0.75,  # the film without a title is no candidate
    }


def test_titles_are_told_by_the_catalogue(catalogue):
    template = read_template("recommendation-v1")
    request = build_request(condense([catalogue.items["alien"]]), template, catalogue, "m")
    answers = [{"categories": [], "items": ["no film", "EMMA (1996)"]}]
    scores = score(answers, [Example(request, "", catalogue.items["emma"])], template, catalogue)
    assert scores["item_hit@5"] == 1.0


def test_the_baselines_count(catalogue):
    held_out = [example(catalogue, "emma")]
    training = [example(catalogue, target) for target in ("casablanca", "casablanca", "brazil", "unknown")]
    # Brazil (2 training visits) comes before Casablanca and Dune (1 each), and Emma (none).
    assert popularity_answers(training, held_out, NUMBERED, catalogue) == [
        {"categories": ["Drama", "Romance", "Sci-Fi"], "items": [1, 2, 3, 4]}
    ]
    assert majority_answers(held_out, NUMBERED, catalogue)[0]["categories"] == ["Horror", "Sci-Fi"]
