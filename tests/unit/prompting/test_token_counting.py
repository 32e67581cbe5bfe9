"""Tokens by a model's own tokenizer, or by an estimate that is told as one."""

import json

import pytest
from transformers import AutoTokenizer

from components.contracts.language_model import LanguageModel
from components.foundation.errors import InputError
from components.prompting.token_counting import EstimatedTokens, ModelTokens, open_token_counter

MESSAGES = [{"role": "system", "content": "Summarize."}, {"role": "user", "content": '{"history": ["Amélie"]}'}]


def model(tokenizer, **fields):
    return LanguageModel(name="tiny", tokenizer=str(tokenizer), **fields)


def test_the_models_tokenizer_counts_what_its_chat_template_writes(tokenizer):
    counter = open_token_counter(model(tokenizer, context=77))
    text = (
        "<|im_start|>system\nSummarize.<|im_end|>\n"
        '<|im_start|>user\n{"history": ["Amélie"]}<|im_end|>\n<|im_start|>assistant\n'
    )
    expected = AutoTokenizer.from_pretrained(tokenizer)(text, add_special_tokens=False)["input_ids"]
    assert counter.count(MESSAGES) == len(expected)
    assert counter.context == 77 and "tokenizer of tiny" in counter.name
    assert set(counter.special_tokens) >= {"<s>", "<|im_end|>", "[INST]", "◁think▷"}


def test_without_a_tokenizer_tokens_are_estimated_and_that_is_said():
    counter = open_token_counter(LanguageModel(name="endpoint", context=9))
    assert isinstance(counter, EstimatedTokens) and "estimated" in counter.name
    assert counter.count([{"role": "user", "content": "abcd"}, {"role": "user", "content": "七人"}]) == 2 + 2
    assert counter.context == 9 and counter.special_tokens == ()


def test_the_context_is_that_of_the_weights_where_none_is_given(tokenizer, tmp_path):
    configuration = {"model_type": "llama", "max_position_embeddings": 123}
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    assert ModelTokens(model(tokenizer, weights=str(tmp_path))).context == 123
    assert ModelTokens(model(tokenizer, weights=str(tmp_path), context=5)).context == 5
    assert ModelTokens(model(tokenizer)).context == 0
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=rf"model {tmp_path}: its configuration cannot be loaded"):
        ModelTokens(model(tokenizer, weights=str(tmp_path)))


def test_a_tokenizer_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=rf"tokenizer {tmp_path}: cannot be loaded \(.+\)$"):
        open_token_counter(model(tmp_path))


def test_a_tokenizer_without_a_chat_template(tokenizer, tmp_path):
    plain = AutoTokenizer.from_pretrained(tokenizer)
    plain.chat_template = None
    plain.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no chat template, expected that of a chat model"):
        open_token_counter(model(tmp_path))


def test_a_chat_template_that_takes_no_system_message(tokenizer, tmp_path):
    other = AutoTokenizer.from_pretrained(tokenizer)
    other.chat_template = "{{ raise_exception('System role not supported') }}"
    other.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"does not take a system and a user message \(System role not supported\)"):
        open_token_counter(model(tmp_path)).count(MESSAGES)
