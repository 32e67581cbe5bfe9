"""Which item a title means, on a catalogue where the wrong one is near."""

import pytest

from components.prompting.catalogue import Catalogue, Item
from components.rationale_generation.title_resolution import TitleResolver

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
