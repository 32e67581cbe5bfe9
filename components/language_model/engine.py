"""The contract of everything that answers requests: language models, recorded answers, the template."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from components.contracts.batch_format import Request, Response
from components.contracts.language_model import LanguageModel
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.prompting.catalogue import Catalogue

# Codes of failures whose answer may have been made, and be charged for: it did not come through.
LOST = "no_answer"
NOT_REPEATED = "not_repeated"  # lost, and `may_repeat` returned False

# How the code of a failure by the request itself begins, before the status: another attempt would be refused as well.
REFUSED = "status_"


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What a run chose for its engine; each engine reads what concerns it.

    Attributes:
        model: the model that was chosen; its name is empty where none was.
        recorded_rationales: file of recorded answers, or empty.
    """

    settings: Settings
    model: LanguageModel
    recorded_rationales: str = ""


class RationaleEngine(ABC):
    """Answers requests of the OpenAI batch format with responses of the OpenAI batch format.

    An engine may hold a loaded model from one call of `generate` to the next; it lets go of it when it is closed.

    Attributes:
        name: what `rationale_engine` calls it.
        infers: whether `generate` makes new answers, which count as inferences, or hands out answers made before.
        paid: whether answers cost something: they are kept in the ledger, and requested again where they are invalid.
        free_text: whether an answer may be a free text, which no prompt of ours asks for.
        model: whose answers these are; the model is part of every request, so of its `custom_id`.
        may_repeat: called with the `custom_id` of a request before it is sent once more because an attempt got no
            answer that may have to be paid for all the same. Whoever keeps a budget sets it.
    """

    name: ClassVar[str]
    infers: ClassVar[bool]
    paid: ClassVar[bool] = True
    free_text: ClassVar[bool] = False
    model: str
    may_repeat: Callable[[str], bool] = staticmethod(lambda _custom_id: True)

    @classmethod
    def answering_model(cls, options: EngineOptions) -> LanguageModel:
        """The model that will answer: every request names it, and its tokenizer counts the tokens of the prompts.

        Raises:
            InputError: the engine needs a model, and none was chosen.
        """
        if not options.model.name:
            raise InputError(f"rationale_engine {cls.name} needs language_model")
        return options.model

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """Find what is wrong before anything is prepared; the model need have no more than a name.

        Raises:
            InputError: as `open` does.
        """
        cls.answering_model(options)

    @classmethod
    @abstractmethod
    def open(cls, options: EngineOptions, catalogue: Catalogue, seed_of_request: Mapping[str, str]) -> Self:
        """An engine that is ready to answer; the caller closes it.

        Args:
            seed_of_request: the seed user of each `custom_id`; one of those with equal prompts, who share a request.

        Raises:
            InputError: as `answering_model` does; or a setting or a file that the engine needs is missing or at fault.
        """

    @abstractmethod
    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer each request once, in any order; a response is yielded as soon as it is there.

        A request that gets no answer gets a response with `error` set; only a fault beyond a single request ends the
        generation. An answer without a text (a refusal, a text cut off before it began) is a response like any other,
        from which `read_answer` tells the reason. Closing the iterator stops the work on what is not answered yet.

        Raises:
            InputError: such a fault that the user can mend.
        """

    def close(self) -> None:  # noqa: B027 (most engines hold nothing)
        """Let go of what the engine holds; it may be called more than once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
