"""Answers that were made before, read from a file."""

from collections.abc import Iterable, Iterator, Mapping

from components.contracts.batch_format import Request, Response, make_failure, make_response
from components.contracts.recorded_rationales import RecordedFile
from components.foundation.errors import InputError
from components.foundation.progress import say
from components.language_model.engine import RationaleEngine


class RecordedEngine(RationaleEngine):
    """Hands out the answers of a file, by `custom_id` or by seed user; which answers nobody asked for is told.

    Args:
        recorded: the file's answers.
        model: what the requests call the model; the answers may carry the name of a snapshot of it.
        seed_of_request: the seed user of each `custom_id`, for a file that knows users alone. Of seed users with equal
            prompts, who share a request, it names one.
    """

    name = "recorded"
    infers = False
    paid = False

    def __init__(self, recorded: RecordedFile, model: str, seed_of_request: Mapping[str, str]):
        self.model = model
        self._recorded = recorded
        self._seed_of_request = seed_of_request

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        asked = 0
        found: set[str] = set()
        for request in requests:
            asked += 1
            custom_id = request["custom_id"]
            key = self._seed_of_request.get(custom_id, "") if self._recorded.by_user else custom_id
            answer = self._recorded.answers.get(key)
            if answer is None:
                yield make_failure(custom_id, "not_recorded", "the file of recorded answers has none for this request")
                continue
            found.add(key)
            yield make_response(custom_id, answer.model, answer.content, answer.prompt_tokens, answer.completion_tokens)
        if asked and not found:
            hint = "" if self._recorded.by_user else "; if they named another model, give its name by --model"
            raise InputError(
                f"{self._recorded.path}: covers nobody, "
                f"it answers none of the {asked} requests to the model {self.model!r}{hint}"
            )
        unasked = len(self._recorded.answers) - len(found)
        if unasked:
            say(f"{self._recorded.path}: {unasked} answers belong to none of the {asked} requests")
