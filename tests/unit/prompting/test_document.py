"""The JSON document about a user, written and read back."""

from components.prompting.catalogue import Item
from components.prompting.document import answer_form, build_document, read_document
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request

TEMPLATE = read_template("recommendation-v1")
NUMBERED = read_template("numbered-v1")


def item(name, *categories):
    return Item(name, name.title(), "", categories, 0)


def test_only_what_is_known_enters_the_document():
    history = condense([item("a"), Item("n", "", "", (), 0), Item("b", "B", "Brand", ("X",), 0)])
    assert build_document(history, TEMPLATE, []) == {
        "history": [{"title": "A"}, {"title": "B", "brand": "Brand", "categories": ["X"]}],
        "category_counts": {"X": 1},
    }


def test_numbers_are_asked_of_cut_titles_beside_numbered_candidates():
    long = Item("b", "B" * 50, "Brand", ("X",), 0)
    history = condense([long, *(item(f"i{n}", f"C{n:02}") for n in range(20))])
    document = build_document(history, NUMBERED, [item("a", "X", "Y"), long])
    assert [entry["title"] for entry in document["history"]] == [f"I{n}" for n in range(5, 20)]
    assert len(document["category_counts"]) == NUMBERED.counted_categories
    assert document["candidates"] == [
        {"number": 1, "title": "A", "categories": ["X", "Y"]},
        {"number": 2, "title": "B" * 40, "categories": ["X"]},
    ]


def test_a_request_tells_its_document_and_the_form_of_answer(catalogue):
    history = condense([catalogue.items["brazil"]])
    request = build_request(history, NUMBERED, catalogue, "m")
    assert answer_form(request) == "numbers" and read_document(request)["history"] == [
        {"title": "Brazil (1985)", "categories": ["Sci-Fi"]}
    ]
    assert answer_form(build_request(history, TEMPLATE, catalogue, "m")) == "titles"
