"""Which item a title means, on a catalogue where the wrong one is near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from components.prompting.catalogue import Catalogue, Item
from components.rationale_generation.title_resolution import SIMILARITY, TitleResolver

TITLES = [
    "Matrix, The (1999)", "Sleepless in Seattle (1993)", "Rocky II (1979)", "Rocky III (1982)", "Psycho (1960)",
    "Psycho (1998)", "Star Wars: Episode IV - A New Hope (1977)", "Misérables, Les (1995)", "Aliens (1986)",
    "Cleansing Gel, 8 Ounce", "Cleansing Gel, 16 Ounce",
]  # fmt: skip
RESOLVER = TitleResolver(
    Catalogue({title: Item(title, title, "", (), len(TITLES) - row) for row, title in enumerate(TITLES)})
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("matrix, the (1999)", "Matrix, The (1999)"),
        ("The Matrix (1999)", "Matrix, The (1999)"),
        ("The Matrix", "Matrix, The (1999)"),
        ("The Matrix (2003)", None),
        ("Sleepless in Seatle (1993)", "Sleepless in Seattle (1993)"),
        ("Rocky II", "Rocky II (1979)"),
        ("Rocky IV (1985)", None),
        ("Psycho", None),  # there are two
        ("Psycho (1998)", "Psycho (1998)"),
        ("Star Wars: Episode IV - A New Hope", "Star Wars: Episode IV - A New Hope (1977)"),
        ("Star Wars: Episode V - A New Hope", None),
        ("Les Miserables (1995)", None),  # the article is one of another language
        ("Miserables, Les (1995)", "Misérables, Les (1995)"),
        ("Alien (1986)", None),  # one letter of so few
        ("Cleansing Gel 16 Ounces", "Cleansing Gel, 16 Ounce"),
        ("Cleansing Gel, 12 Ounce", None),
        ("", None),
        ("!?", None),
    ],
)
def test_titles(asked, found):
    item = RESOLVER.resolve(asked)
    assert (item and item.item_id) == found
    assert RESOLVER.resolve(asked) is item


@given(
    st.lists(st.text("ab", min_size=10, max_size=30), min_size=1, unique=True), st.text("ab", min_size=10, max_size=30)
)
def test_what_is_not_compared_would_not_have_been_found(titles, asked):
    """Of titles without numbers and years, the resolver finds what a comparison with all of them finds."""
    resolver = TitleResolver(Catalogue({title: Item(title, title, "", (), 0) for title in titles}))
    best = sorted((fuzz.ratio(asked, title) for title in titles), reverse=True)
    alone = asked in titles or (best[0] >= SIMILARITY and best[:1] != best[1:2])
    found = resolver.resolve(asked)
    assert (found is not None) == alone
    assert found is None or fuzz.ratio(asked, found.title) == best[0]
