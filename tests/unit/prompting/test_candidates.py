"""Candidates, worked by hand on small catalogues."""

from components.prompting.candidates import candidate_items, choose_candidates
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request

NUMBERED = read_template("numbered-v1")


def make_catalogue(*items: tuple[str, str, tuple[str, ...]]) -> Catalogue:
    """Of (id, title, categories), the most popular first."""
    return Catalogue(
        {name: Item(name, title, "", categories, 100 - n) for n, (name, title, categories) in enumerate(items)}
    )


def names(items):
    return [item.item_id for item in items]


def test_half_are_of_the_users_categories_in_turn_and_half_the_most_popular_all_by_title():
    catalogue = make_catalogue(
        ("p1", "Z", ("Pop",)),
        ("p2", "Y", ("Pop",)),
        ("s1", "S1", ("Sci-Fi",)),
        ("s2", "S2", ("Sci-Fi",)),
        ("d1", "D1", ("Drama",)),
        ("d2", "D2", ("Drama",)),
        ("s3", "S3", ("Sci-Fi",)),
    )
    history = condense([catalogue.items["s1"], catalogue.items["d2"], catalogue.items["s3"]])
    # Sci-Fi (2) and Drama (1) have one fresh item each, then the most popular of all.
    assert names(choose_candidates(history, catalogue, 4)) == ["d1", "s2", "p2", "p1"]
    assert names(choose_candidates(history, catalogue, 3)) == ["d1", "s2", "p1"]
    assert names(choose_candidates(history, catalogue, 99)) == ["d1", "s2", "p2", "p1"]  # none that was chosen


def test_what_was_chosen_long_ago_is_no_candidate():
    catalogue = make_catalogue(*((f"i{n:03}", f"Title {n:03}", ("X",)) for n in range(70)))
    history = condense(list(catalogue.items.values())[:60])
    for told in (history, history.shortened(2)):
        assert names(choose_candidates(told, catalogue, 99)) == [f"i{n:03}" for n in range(60, 70)]


def test_items_that_are_shown_alike_are_told_by_the_most_popular():
    long = "A title of more than forty characters, which is cut"
    catalogue = make_catalogue(("a", long + " here", ()), ("b", long + " there", ()), ("c", "", ()), ("d", "D", ()))
    assert names(choose_candidates(condense([]), catalogue, 9)) == ["a", "d"]


def test_the_numbers_of_a_request_lead_back_to_the_items(catalogue):
    history = condense([catalogue.items["brazil"]])
    request = build_request(history, NUMBERED, catalogue, "m")
    found = candidate_items(request, catalogue)
    assert list(found) == [1, 2, 3, 4]
    assert names(found.values()) == ["alien", "casablanca", "dune", "emma"]
    assert candidate_items(build_request(history, read_template("recommendation-v1"), catalogue, "m"), catalogue) == {}


def test_a_category_of_every_item_says_nothing_of_a_user():
    catalogue = make_catalogue(
        ("a", "A", ("All", "X")), ("b", "B", ("All", "Y")), ("c", "C", ("All", "Y")), ("d", "D", ("All", "X"))
    )
    history = condense([catalogue.items["a"]])
    assert names(choose_candidates(history, catalogue, 2)) == ["b", "d"]  # d of X, then the most popular
