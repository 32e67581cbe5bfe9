"""Texts of items as prompts show them, and popularity from training interactions alone."""

from hypothesis import given
from hypothesis import strategies as st

from components.prompting.catalogue import TITLE_LENGTH, clean_text, normalise


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
