"""The films and users of `tests.unit.films`, and the tokenizer of `tests.unit.chat_tokenizer`."""

from tests.unit.chat_tokenizer import tokenizer  # noqa: F401
from tests.unit.films import catalogue, prepare, prepared, seeds  # noqa: F401
