"""What the batch exchange asks of whoever judges an answer."""

from typing import Any, Protocol

from components.contracts.batch_format import Request


class InvalidAnswerError(Exception):
    """An answer that cannot be used, so that it is worth asking again. The message quotes nothing of the answer."""


class Validator(Protocol):
    """Judges one answer; each role of the language model has its own."""

    def validate(self, content: str, request: Request) -> Any:
        """Read an answer.

        Raises:
            InvalidAnswerError: it cannot be used.
        """
