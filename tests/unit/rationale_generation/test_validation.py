"""Answers that hold, answers that do not, and what is dropped from them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.prompting.catalogue import Catalogue, Item, one_line
from components.rationale_generation.validation import (
    RECOMMENDATION_LENGTH,
    SUMMARY_LENGTH,
    AnswerValidator,
    InvalidAnswerError,
)


def answer(**changes):
    return json.dumps({"preference_summary": "Likes space.", "categories": ["Sci-Fi"], "items": [], **changes})


def test_names_are_resolved_and_unknown_ones_dropped_and_counted(catalogue):
    content = answer(
        preference_summary=" Likes\nspace. ",
        categories=["sci-fi", "Western", "SCI-FI", "Drama"],
        items=["dune (1984)", "No Such Film", "ALIEN (1979)", ""],
    )
    valid = AnswerValidator(catalogue, free_text=False).validate(content)
    assert valid.preference_summary == "Likes space."
    assert valid.categories == ["Sci-Fi", "Drama"]
    assert valid.items == ["dune", "alien"]
    assert valid.recommendation == (
        "Recommended categories: Sci-Fi, Drama; recommended items: Dune (1984), Alien (1979)."
    )
    assert (valid.dropped_categories, valid.dropped_items) == (1, 2)


def test_items_alone_are_enough(catalogue):
    valid = AnswerValidator(catalogue, free_text=False).validate(answer(categories=[], items=["Alien (1979)"]))
    assert valid.recommendation == "Recommended items: Alien (1979)."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Sure! Here is", "not JSON"),
        ("[]", "not a JSON object"),
        (answer(preference_summary=None), "preference_summary is missing or no text"),
        (answer(preference_summary=" \n"), "preference_summary is empty"),
        (answer(preference_summary="x" * 1001), "preference_summary has 1001 characters, more than 1000"),
        (answer(categories="Sci-Fi"), "categories is missing or no list of texts"),
        (answer(items=[1]), "items is missing or no list of texts"),
        (answer(items=["x"] * 51), "items has 51 entries, more than 50"),
        (answer(categories=["Western"]), "names no category and no item of the catalogue"),
        ('{"preference_summary": "a", "recommendation": "Drama."}', "categories is missing"),  # no free text here
    ],
)
def test_invalid_answers_say_why(catalogue, content, reason):
    with pytest.raises(InvalidAnswerError, match=reason):
        AnswerValidator(catalogue, free_text=False).validate(content)


def test_free_text_stays_as_it_is_and_its_categories_are_whole_words(catalogue):
    content = json.dumps({"preference_summary": "s", "recommendation": "I enjoy sci-fi, dramas and Romance. [Horror]"})
    valid = AnswerValidator(catalogue, free_text=True).validate(content)
    assert valid.recommendation == "I enjoy sci-fi, dramas and Romance. [Horror]"
    assert valid.categories == ["Horror", "Romance", "Sci-Fi"]  # "dramas" is another word than Drama
    assert valid.items == []


@given(st.text() | st.dictionaries(st.text(), st.text() | st.lists(st.text())).map(json.dumps))
def test_any_text_is_valid_or_rejected(content):
    item = Item("a", "A", "", ("C",), 1)
    try:
        valid = AnswerValidator(Catalogue({"a": item}), free_text=True).validate(content)
    except InvalidAnswerError as error:
        assert str(error)
        return
    for text, longest in ((valid.preference_summary, SUMMARY_LENGTH), (valid.recommendation, RECOMMENDATION_LENGTH)):
        assert 0 < len(text) <= longest and text == one_line(text)
