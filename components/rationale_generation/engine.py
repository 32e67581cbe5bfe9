"""The contract of everything that answers requests: language models, recorded answers, the template."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from components.contracts.batch_format import Request, Response


class RationaleEngine(ABC):
    """Answers requests of the OpenAI batch format with responses of the OpenAI batch format.

    Attributes:
        name: what `--rationale-engine` calls it.
        infers: whether `generate` makes new answers, which count as inferences, or hands out answers made before.
        paid: whether answers cost something: they are kept in the ledger, and asked for again where they are invalid.
        model: whose answers these are; the model is part of every request, so of its `custom_id`.
    """

    name: ClassVar[str]
    infers: ClassVar[bool]
    paid: ClassVar[bool] = True
    model: str

    @abstractmethod
    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer each request once, in any order.

        A request that gets no answer gets a response with `error` set. Only a fault beyond a single request ends the
        generation.

        Raises:
            InputError: such a fault that the user can mend.
        """
