"""The template engine's answers, worked by hand on the small catalogue."""

import json

from components.language_model.template_engine import TEMPLATE_MARK, TEMPLATE_MODEL, TemplateEngine
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request


def answer(catalogue, history):
    request = build_request(condense(history), read_template("recommendation-v1"), catalogue, TEMPLATE_MODEL)
    (response,) = TemplateEngine(catalogue).generate([request])
    return json.loads(response["response"]["body"]["choices"][0]["message"]["content"]), response


def test_top_categories_and_their_most_popular_items_that_are_not_consumed(catalogue):
    content, _ = answer(catalogue, [catalogue.items["brazil"], catalogue.items["casablanca"]])
    assert content == {
        "preference_summary": "The user mostly chooses items of these categories (number of items): "
        f"Drama (1), Romance (1), Sci-Fi (1). {TEMPLATE_MARK}",
        "categories": ["Drama", "Romance", "Sci-Fi"],
        # Drama and Romance: Casablanca is consumed, Emma is left and is named once. Sci-Fi: Alien (3), Dune (1).
        "items": ["Emma (1996)", "Alien (1979)", "Dune (1984)"],
    }


def test_it_says_that_no_language_model_answered_and_costs_no_tokens(catalogue):
    content, response = answer(catalogue, [catalogue.items["alien"]])
    body = response["response"]["body"]
    assert content["preference_summary"].endswith("[template text, no language model]")
    assert body["model"] == "template-v1 (no language model)"
    assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def test_without_categories_the_most_popular_items_are_named(catalogue):
    content, _ = answer(catalogue, [catalogue.items["unknown"]])
    assert content["categories"] == []
    assert content["items"][:2] == ["Alien (1979)", "Brazil (1985)"]


def test_a_category_of_every_item_says_nothing():
    items = [Item(f"i{n}", f"Item {n}", "", ("Beauty", "Nails") if n else ("Beauty", "Hair"), n) for n in range(4)]
    content, _ = answer(Catalogue({item.item_id: item for item in items}), [items[0]])
    assert content["categories"] == ["Hair"]
