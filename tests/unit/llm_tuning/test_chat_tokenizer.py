import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.llm_tuning.chat_tokenizer import END, train_tokenizer

DOCUMENT = json.dumps(
    {"history": [{"title": "Blue Tent 12", "categories": ["Outdoor Gear", "Tents"]}], "category_counts": {"Tents": 3}}
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([DOCUMENT, "Answer with JSON, please."] * 20, vocabulary=600)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_written_back_as_it_was(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if "<|" not in text:
        assert tokenizer.decode(ids) == text


def test_a_category_is_one_token_wherever_it_stands(tokenizer):
    tokens = {}
    for text in (DOCUMENT, '{"preference_summary":"chooses: Tents, Outdoor Gear."}', '["Tents","Outdoor Gear"]'):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces = [tokenizer.decode([token]) for token in ids]
        for name in ("Tents", "Outdoor Gear"):
            assert name in pieces
            tokens.setdefault(name, set()).add(ids[pieces.index(name)])
    assert all(len(found) == 1 for found in tokens.values())


def test_a_chat_is_turns_that_end(tokenizer):
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == f"<|system|>S{END}<|user|>U{END}<|assistant|>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == 7  # each mark is one token
    assert tokenizer.eos_token == END


def test_equal_texts_give_equal_tokenizers():
    first, second = (train_tokenizer([DOCUMENT] * 3, vocabulary=400) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
