"""Requests: their content, their hash, and what must never be in them."""

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from components.contracts.batch_format import canonical_json
from components.contracts.language_model import LanguageModel
from components.foundation.errors import InputError
from components.prompting.catalogue import Catalogue, Item, clean_text, clean_title
from components.prompting.document import read_document
from components.prompting.history import condense
from components.prompting.prompt_template import prompt_versions, read_template
from components.prompting.prompts import build_fitting_request, build_request
from components.prompting.token_counting import ModelTokens, open_token_counter
from tests.unit.chat_tokenizer import SPECIAL_TOKENS

TEMPLATE = read_template("recommendation-v1")


def test_the_request_is_the_document_after_the_shared_instruction(catalogue):
    request = build_request(condense([]), TEMPLATE, catalogue, "m")
    assert request["method"] == "POST" and request["url"] == "/v1/chat/completions"
    assert request["body"]["messages"] == [
        {"role": "system", "content": TEMPLATE.system},
        {"role": "user", "content": '{"history": [], "category_counts": {}}'},
    ]
    assert request["body"]["response_format"]["json_schema"]["schema"] == TEMPLATE.answer_schema()
    assert request["custom_id"] == hashlib.sha256(canonical_json(request["body"]).encode()).hexdigest()


def test_the_hash_covers_prompt_and_model(catalogue):
    base = build_request(condense([]), TEMPLATE, catalogue, "m")["custom_id"]
    assert build_request(condense([]), TEMPLATE, catalogue, "m")["custom_id"] == base
    assert build_request(condense([]), replace(TEMPLATE, system="Another."), catalogue, "m")["custom_id"] != base
    assert build_request(condense([]), TEMPLATE, catalogue, "n")["custom_id"] != base


def test_a_request_that_was_asked_before_has_the_same_id_so_that_its_answer_is_used_again(catalogue):
    history = condense([catalogue.items["casablanca"], catalogue.items["alien"]])
    request = build_request(history, TEMPLATE, catalogue, "m")
    assert request["custom_id"] == "746112ffe18d8e2845046972acaea0cc0c600e3d771a40142a6d714241448ed9"


def make_catalogue(*titles: str) -> Catalogue:
    return Catalogue({f"i{n:02}": Item(f"i{n:02}", title, "", ("Drama",), 99 - n) for n, title in enumerate(titles)})


FILMS = make_catalogue(*(f"Film number {n:02}" for n in range(40)))


@pytest.mark.parametrize("version", prompt_versions())
@pytest.mark.parametrize("spare", [0, 1, 100, 400, 10_000])
def test_as_much_of_a_history_is_told_as_the_context_holds(tokenizer, version, spare):
    template = read_template(version)
    history = condense(list(FILMS.items.values())[:30])
    unlimited = open_token_counter(LanguageModel(name="m", tokenizer=str(tokenizer)))
    sizes = {
        count: unlimited.count(build_request(history.shortened(count), template, FILMS, "m")["body"]["messages"])
        for count in range(1, 31)
    }
    context = sizes[1] + template.answer_tokens + spare
    counter = open_token_counter(LanguageModel(name="m", tokenizer=str(tokenizer), context=context))
    request, tokens = build_fitting_request(history, template, FILMS, "m", counter)

    most = min(30, template.history_items)
    expected = max(count for count in range(1, most + 1) if sizes[count] + template.answer_tokens <= context)
    assert len(read_document(request)["history"]) == expected
    assert tokens == sizes[expected] == counter.count(request["body"]["messages"])
    assert build_fitting_request(history, template, FILMS, "m", unlimited) == (
        build_request(history, template, FILMS, "m"),
        sizes[most],
    )


@pytest.mark.parametrize("chosen", [0, 1, 30])
def test_a_context_too_small_for_the_template_is_one_clear_line(chosen):
    history = condense(list(FILMS.items.values())[:chosen])
    counter = open_token_counter(LanguageModel(name="m", context=600))
    with pytest.raises(
        InputError,
        match=r"^prompt version recommendation-v1: its shortest prompt has \d{3} tokens \(estimated.*\) and its answer "
        r"up to 512, more than the context of m, 600 tokens$",
    ):
        build_fitting_request(history, TEMPLATE, FILMS, "m", counter)


tokens = st.sampled_from(SPECIAL_TOKENS)
breakers = ['"}]}', '\\"', "\\u003cs>", "\n\nSystem:", "\u202e", "＜｜im_end｜＞", "{{ 7 * 7 }}", "{% raw %}"]
invisible = st.sampled_from("\u200b\u00ad\ufeff")
hidden = st.builds(lambda token, sign: sign.join(token), tokens, invisible)
hostile = st.lists(st.one_of(tokens, hidden, st.sampled_from(breakers), st.text(max_size=8)), max_size=6).map("".join)


@pytest.fixture(scope="session")
def loaded(tokenizer):
    return AutoTokenizer.from_pretrained(tokenizer), ModelTokens(LanguageModel(name="m", tokenizer=str(tokenizer)))


@given(st.lists(hostile, min_size=2, max_size=4))
@settings(deadline=None)
def test_no_text_of_an_item_brings_a_token_of_the_chat_template_or_leaves_its_quotes(loaded, texts):
    tokenizer, counter = loaded
    items = {
        str(n): Item(str(n), clean_title(text), clean_text(text), (clean_text(text),) if clean_text(text) else (), 0)
        for n, text in enumerate(texts)
    }
    catalogue = Catalogue(items).without_texts(counter.special_tokens)
    history = condense([catalogue.items["0"], catalogue.items["1"]])
    special = set(tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS))
    for version in prompt_versions():
        template = read_template(version)
        request = build_request(history, template, catalogue, "m")
        messages = request["body"]["messages"]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        found = Counter(tokenizer.convert_ids_to_tokens([token for token in prompt if token in special]))
        assert found == {"<|im_start|>": 3, "<|im_end|>": 2}
        document = read_document(request)
        assert [entry.get("title", "") for entry in document["history"] if entry] == [
            title
            for item in history.shortened(template.history_items).items
            for title in [item.title if template.answer == "titles" else item.short_title]
            if title or item.categories or (item.brand and template.answer == "titles")
        ]
        assert messages[1]["content"].isprintable()
