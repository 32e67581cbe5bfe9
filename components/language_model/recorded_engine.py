"""Answers that were made before, read from a file."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from components.contracts.batch_format import Request, Response, make_failure, write_answer
from components.contracts.language_model import LanguageModel
from components.contracts.recorded_rationales import RecordedFile, read_recorded_file
from components.foundation.errors import InputError
from components.foundation.progress import say
from components.language_model.engine import EngineOptions, RationaleEngine
from components.prompting.catalogue import Catalogue

SHOWN_ROWS = 3  # of those that are left out


class RecordedEngine(RationaleEngine):
    """Gives the answers of a file, by `custom_id` or by seed user, and reports what of the file was of no use.

    Args:
        recorded: the file's answers.
        model: what the requests call the model; the answers may carry the name of a snapshot of it.
        seed_of_request: the seed user of each `custom_id`, for a file that names users alone.
    """

    name = "recorded"
    infers = False
    paid = False
    free_text = True

    def __init__(self, recorded: RecordedFile, model: str, seed_of_request: Mapping[str, str]):
        self.model = model
        self._recorded = recorded
        self._seed_of_request = seed_of_request

    @classmethod
    def answering_model(cls, options: EngineOptions) -> LanguageModel:
        """The model that was chosen, or else the one that most answers of the file are of.

        A hosted endpoint answers to `gpt-4o` under the name of a snapshot of it, which may change within a batch: then
        the name that the requests used has to be chosen.

        Raises:
            InputError: a fault of the file.
        """
        return _model(options, _read(options))

    @classmethod
    def open(cls, options: EngineOptions, catalogue: Catalogue, seed_of_request: Mapping[str, str]) -> Self:
        """As the contract says."""
        recorded = _read(options)
        return cls(recorded, _model(options, recorded).name, seed_of_request)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """As the contract says.

        Raises:
            InputError: the file has an answer to none of the requests.
        """
        recorded = self._recorded
        requested = 0
        used: set[str] = set()
        for request in requests:
            requested += 1
            custom_id = request["custom_id"]
            key = self._seed_of_request.get(custom_id, "") if recorded.by_user else custom_id
            if key in recorded.answers:
                used.add(key)
                yield write_answer(custom_id, recorded.answers[key])
            elif key in recorded.failures:
                yield recorded.failures[key]
            else:
                yield make_failure(custom_id, "not_recorded", "the file of recorded answers has none for this request")
        if requested and not used:
            hint = "" if recorded.by_user else "; if they named another model, give its name as language_model"
            raise InputError(
                f"{recorded.path}: covers nobody, "
                f"it answers none of the {requested} requests to the model {self.model!r}{hint}"
            )
        unused = len(recorded.answers) - len(used)
        if unused:
            say(f"{recorded.path}: {unused} answers belong to none of the {requested} requests")
        if recorded.left_out:
            shown = "; ".join(recorded.left_out[:SHOWN_ROWS])
            more = "; …" if len(recorded.left_out) > SHOWN_ROWS else ""
            say(f"{recorded.path}: {len(recorded.left_out)} rows left out ({shown}{more})")


def _model(options: EngineOptions, recorded: RecordedFile) -> LanguageModel:
    return options.model if options.model.name else LanguageModel(name=recorded.models[0])


def _read(options: EngineOptions) -> RecordedFile:
    if not options.recorded_rationales:
        raise InputError("rationale_engine recorded needs recorded_rationales, a file")
    return read_recorded_file(Path(options.recorded_rationales))
