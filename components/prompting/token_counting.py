"""How many tokens a prompt has for the model that will read it, and how many it may have."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from components.contracts.language_model import LanguageModel
from components.foundation.errors import InputError, first_line
from components.prompting.model_tokenizer import load_chat_tokenizer, special_tokens

BYTES_OF_TOKEN = 3

Messages = list[dict[str, str]]


class TokenCounter(ABC):
    """Counts the tokens of a chat's messages, including those of the chat template.

    Attributes:
        name: what counts, for messages to the user.
        context: most tokens of prompt and answer together; 0: unknown, so there is no limit.
        special_tokens: the model's special tokens; none of them may come from a title.
    """

    name: str
    context: int
    special_tokens: tuple[str, ...] = ()

    @abstractmethod
    def count(self, messages: Messages) -> int:
        """The tokens of `messages` as a prompt."""


class EstimatedTokens(TokenCounter):
    """An estimate for models without a tokenizer: a token for every 3 bytes of UTF-8, more than English text needs."""

    name = "estimated, as no tokenizer is known"

    def __init__(self, context: int):
        self.context = context

    def count(self, messages: Messages) -> int:
        """The estimate for the texts of `messages`."""
        return sum(-(-len(message["content"].encode()) // BYTES_OF_TOKEN) for message in messages)


class ModelTokens(TokenCounter):
    """The tokens of the model's own tokenizer and chat template.

    Raises:
        InputError: there is no tokenizer at the place that the model names, or it has no chat template.
    """

    def __init__(self, model: LanguageModel):
        self.name = f"counted by the tokenizer of {model.name}"
        self._place = model.tokenizer
        self._tokenizer = load_chat_tokenizer(model.tokenizer)
        self.context = model.context or _context_of_weights(model.weights)
        self.special_tokens = special_tokens(self._tokenizer)

    def count(self, messages: Messages) -> int:
        """The tokens of `messages` in the model's chat template.

        Raises:
            InputError: the chat template does not take these messages.
        """
        try:
            prompt = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        except Exception as error:  # templates raise errors of their own, such as "system role not supported"
            message = f"its chat template does not take a system and a user message ({first_line(error)})"
            raise InputError(f"tokenizer {self._place}: {message}") from error
        return len(prompt)


def open_token_counter(model: LanguageModel) -> TokenCounter:
    """What counts tokens for a model: its own tokenizer where it names one, else an estimate.

    Raises:
        InputError: as of `ModelTokens`.
    """
    return ModelTokens(model) if model.tokenizer else EstimatedTokens(model.context)


def _context_of_weights(weights: str) -> int:
    """The context length in the configuration of the weights; 0 where there are no weights or no such entry."""
    if not weights:
        return 0
    from transformers import AutoConfig

    try:
        configuration: Any = AutoConfig.from_pretrained(weights, local_files_only=Path(weights).is_absolute())
    except Exception as error:  # transformers raises whatever its loaders raise
        raise InputError(f"model {weights}: its configuration cannot be loaded ({first_line(error)})") from error
    return int(getattr(configuration.get_text_config(), "max_position_embeddings", 0) or 0)
