"""Texts of items as prompts show them, and popularity from training interactions alone."""

from hypothesis import given
from hypothesis import strategies as st

from components.prompting.catalogue import (
    SHORT_TITLE_LENGTH,
    TITLE_LENGTH,
    Catalogue,
    Item,
    clean_text,
    clean_title,
    normalise,
)


def test_the_most_popular_come_first_and_held_out_interactions_do_not_count(catalogue):
    assert [(item.item_id, item.popularity) for item in catalogue.items.values()] == [
        ("alien", 3),
        ("brazil", 2),
        ("casablanca", 1),
        ("dune", 1),
        ("unknown", 1),
        ("emma", 0),  # validation and test item of everyone
    ]


def test_control_characters_are_taken_out_of_titles(catalogue):
    assert catalogue.items["dune"].title == "Dune (1984)"


def test_look_up_by_title_and_category_without_regard_to_case(catalogue):
    assert catalogue.item_of_title[normalise(" ALIEN  (1979)")].item_id == "alien"
    assert catalogue.category_of_name[normalise("sci-fi")] == "Sci-Fi"
    assert "" not in catalogue.item_of_title


@given(st.text())
def test_clean_text_is_one_short_line(text):
    cleaned = clean_text(text)
    assert len(cleaned) <= TITLE_LENGTH
    assert cleaned == clean_text(cleaned)
    assert len(cleaned.splitlines()) <= 1 and "\x00" not in cleaned


@given(st.text())
def test_clean_titles_are_short_and_found_again(title):
    cleaned = clean_title(title)
    assert len(cleaned) <= TITLE_LENGTH and cleaned == clean_text(cleaned)
    catalogue = Catalogue({"a": Item("a", cleaned, "", (), 0)})
    if cleaned:
        assert catalogue.item_of_title[normalise(cleaned)].item_id == "a"
        assert len(catalogue.items["a"].short_title) <= SHORT_TITLE_LENGTH
        assert catalogue.item_of_short_title[normalise(catalogue.items["a"].short_title)].item_id == "a"


def test_texts_with_a_special_token_of_the_model_are_withheld():
    items = {
        "a": Item("a", "The ◁think▷ film", "B", ("X", "◁think▷"), 2),
        "b": Item("b", "Think", "◁think▷ Inc", ("X",), 1),
    }
    catalogue = Catalogue(items)
    assert catalogue.without_texts(["<s>", "[INST]", ""]) is catalogue  # brackets were made neutral before
    shown = catalogue.without_texts(["<s>", "◁think▷"])
    assert shown.items == {"a": Item("a", "", "B", ("X",), 2), "b": Item("b", "Think", "", ("X",), 1)}
