"""From examples to token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from components.contracts.errors import InputError
from components.llm_tuning.examples import Example


@dataclass(frozen=True)
class EncodedExample:
    """`tokens`, int64[n]: the prompt as the chat template writes it and, from `answer_start` on, the answer."""

    tokens: np.ndarray
    answer_start: int


def prompt_texts(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], model: str) -> list[str]:
    """The prompt of each example, up to where the assistant's answer begins.

    Raises:
        InputError: the tokenizer of `model` has no chat template, or one that refuses a system message.
    """
    if not tokenizer.chat_template:
        raise InputError(f"--model {model}: its tokenizer has no chat template, expected a chat (instruct) model")
    try:
        return [
            str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
            for messages in (example.request["body"]["messages"] for example in examples)
        ]
    except TemplateError as error:
        raise InputError(f"--model {model}: its chat template refuses a system and a user message ({error})") from error


def encode(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], longest: int, model: str
) -> list[EncodedExample]:
    """The examples that have at most `longest` tokens, in their order.

    Raises:
        InputError: see `prompt_texts`.
    """
    if not examples:
        return []
    prompts = tokenizer(prompt_texts(tokenizer, examples, model), add_special_tokens=False)["input_ids"]
    # eos ends a turn in the tokenizers of chat models.
    answers = tokenizer([example.answer + tokenizer.eos_token for example in examples], add_special_tokens=False)
    encoded = [
        EncodedExample(np.array([*prompt, *answer]), len(prompt))
        for prompt, answer in zip(prompts, answers["input_ids"], strict=True)
    ]
    return [example for example in encoded if len(example.tokens) <= longest]
