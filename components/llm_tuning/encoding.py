"""Encodes examples as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from components.foundation.errors import InputError
from components.llm_tuning.examples import Example


@dataclass(frozen=True)
class EncodedExample:
    """`tokens`, int64[n]: the prompt as the chat template writes it and, from `answer_start` on, the answer."""

    tokens: np.ndarray
    answer_start: int


def prompt_texts(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> list[str]:
    """The prompt of each example, up to where the assistant's answer begins.

    Raises:
        InputError: the chat template refuses the messages.
    """
    chats = [example.request["body"]["messages"] for example in examples]
    try:
        return [str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)) for chat in chats]
    except TemplateError as error:
        raise InputError(
            f"language_model lora:{tokenizer.name_or_path}: its chat template refuses a system and a user message "
            f"({error})"
        ) from error


def encode(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], longest: int) -> list[EncodedExample]:
    """The examples that have at most `longest` tokens, in their order.

    Raises:
        InputError: see `prompt_texts`.
    """
    if not examples:
        return []
    prompts = tokenizer(prompt_texts(tokenizer, examples), add_special_tokens=False)["input_ids"]
    # eos ends a turn in the tokenizers of chat models.
    answers = tokenizer([example.answer + tokenizer.eos_token for example in examples], add_special_tokens=False)
    encoded = [
        EncodedExample(np.array([*prompt, *answer]), len(prompt))
        for prompt, answer in zip(prompts, answers["input_ids"], strict=True)
    ]
    return [example for example in encoded if len(example.tokens) <= longest]
