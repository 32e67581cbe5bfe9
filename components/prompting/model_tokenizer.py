"""The tokenizer that a chat model brings with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.foundation.errors import InputError, first_line

if TYPE_CHECKING:  # takes seconds to import, and most runs name no model
    from transformers import PreTrainedTokenizerBase


def load_chat_tokenizer(place: str) -> "PreTrainedTokenizerBase":
    """The tokenizer at a Hugging Face id or an absolute path; a path is read without a model hub.

    Raises:
        InputError: there is none, or it has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=Path(place).is_absolute())
    except Exception as error:  # transformers raises whatever its loaders raise
        raise InputError(f"tokenizer {place}: cannot be loaded ({first_line(error)})") from error
    if not tokenizer.chat_template:
        raise InputError(f"tokenizer {place}: has no chat template, expected that of a chat model")
    return tokenizer


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    """The special tokens of a tokenizer, sorted; none of them may come from the text of an item."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple(sorted({str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)))
