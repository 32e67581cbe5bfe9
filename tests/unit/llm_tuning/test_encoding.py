import pytest

from components.contracts.batch_format import make_request
from components.foundation.errors import InputError
from components.llm_tuning.chat_tokenizer import END, train_tokenizer
from components.llm_tuning.encoding import encode
from components.llm_tuning.examples import Example
from components.prompting.catalogue import Item

MESSAGES = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "What?"}]
EXAMPLE = Example(make_request({"messages": MESSAGES}), '{"categories":[]}', Item("i", "Title", "", (), 0))


@pytest.fixture
def tokenizer():
    return train_tokenizer(["Answer. What?", EXAMPLE.answer], vocabulary=300)


def test_the_answer_follows_the_prompt_and_ends(tokenizer):
    (encoded,) = encode(tokenizer, [EXAMPLE], longest=1_000)
    prompt = tokenizer.decode(encoded.tokens[: encoded.answer_start])
    assert prompt == f"<|system|>Answer.{END}<|user|>What?{END}<|assistant|>"
    assert tokenizer.decode(encoded.tokens[encoded.answer_start :]) == EXAMPLE.answer + END


def test_what_is_longer_than_the_longest_is_left_out(tokenizer):
    length = len(encode(tokenizer, [EXAMPLE], longest=1_000)[0].tokens)
    assert len(encode(tokenizer, [EXAMPLE, EXAMPLE], longest=length)) == 2
    assert encode(tokenizer, [EXAMPLE], longest=length - 1) == []


def test_a_chat_template_that_takes_no_system_message_is_one_clear_line(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(InputError, match=r"refuses a system and a user message \(System role not supported"):
        encode(tokenizer, [EXAMPLE], longest=1_000)
