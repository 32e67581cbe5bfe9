"""The contract of everything that answers requests: language models, recorded answers, the template."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Self

from components.contracts.batch_format import Request, Response

# Codes of failures whose answer may have been made, and be charged for: it did not come through.
LOST = "no_answer"
NOT_REPEATED = "not_repeated"  # lost, and `may_repeat` said no

REFUSED = "refused"  # a failure by the request itself: another attempt would be refused as well


class RationaleEngine(ABC):
    """Answers requests of the OpenAI batch format with responses of the OpenAI batch format.

    An engine may hold a loaded model from one call of `generate` to the next; it lets go of it when it is closed.

    Attributes:
        name: what `--rationale-engine` calls it.
        infers: whether `generate` makes new answers, which count as inferences, or hands out answers made before.
        paid: whether answers cost something: they are kept in the ledger, and asked for again where they are invalid.
        model: whose answers these are; the model is part of every request, so of its `custom_id`.
        may_repeat: asked, with the `custom_id` of a request, before it is sent once more because an attempt got no
            answer that may have to be paid for all the same. Who keeps a budget sets it.
    """

    name: ClassVar[str]
    infers: ClassVar[bool]
    paid: ClassVar[bool] = True
    model: str
    may_repeat: Callable[[str], bool] = staticmethod(lambda _custom_id: True)

    @abstractmethod
    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer each request once, in any order; a response is yielded as soon as it is there.

        A request that gets no answer gets a response with `error` set; only a fault beyond a single request ends the
        generation. Closing the iterator stops the work on what is not answered yet.

        Raises:
            InputError: such a fault that the user can mend.
        """

    def close(self) -> None:  # noqa: B027 (most engines hold nothing)
        """Let go of what the engine holds; it may be called more than once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
