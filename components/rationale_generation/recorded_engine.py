"""Answers that were made before, read from a file."""

from collections.abc import Iterable, Iterator, Mapping

from components.contracts.batch_format import Request, Response, make_failure, make_response
from components.contracts.errors import InputError
from components.contracts.recorded_rationales import RecordedFile
from components.rationale_generation.engine import RationaleEngine


class RecordedEngine(RationaleEngine):
    """Hands out the answers of a file, by `custom_id` or by seed user.

    Args:
        recorded: the file's answers.
        seed_of_request: the seed user of each `custom_id`, for a file that knows users alone. Of seed users with equal
            prompts, who share a request, it names one.
    """

    name = "recorded"
    infers = False
    paid = False

    def __init__(self, recorded: RecordedFile, seed_of_request: Mapping[str, str]):
        self.model = recorded.model
        self._recorded = recorded
        self._seed_of_request = seed_of_request

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        asked = found = 0
        for request in requests:
            asked += 1
            custom_id = request["custom_id"]
            key = self._seed_of_request.get(custom_id, "") if self._recorded.by_user else custom_id
            answer = self._recorded.answers.get(key)
            if answer is None:
                yield make_failure(custom_id, "not_recorded", "the file of recorded answers has none for this request")
                continue
            found += 1
            yield make_response(custom_id, answer.model, answer.content, answer.prompt_tokens, answer.completion_tokens)
        if asked and not found:
            raise InputError(
                f"{self._recorded.path}: covers nobody, "
                f"it answers none of the {asked} requests to the model {self.model!r}"
            )
