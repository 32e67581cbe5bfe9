"""The batch exchange: from requests to one response each, through ledger, engine, validation and budget.

What the ledger holds is taken from there; the rest is sent to the engine, and each answer is in the ledger before it
counts. An invalid answer is requested again, with another seed: that is another request, with a `custom_id` and a line
of the ledger of its own, so that a job that is killed and run again goes the same way and sends nothing twice. An
answer without a text (a refusal, one that was cut off before its text began) is paid for once, and not requested again.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import cast

from components.contracts.batch_format import (
    Answer,
    NoAnswerError,
    Request,
    Response,
    make_failure,
    make_request,
    read_answer,
)
from components.foundation.errors import RelandError
from components.foundation.progress import say
from components.language_model.account import Account
from components.language_model.budget import SECONDS_AN_HOUR, Budget, Usage
from components.language_model.engine import LOST, NOT_REPEATED, RationaleEngine
from components.language_model.ledger import Ledger
from components.language_model.validator import InvalidAnswerError, Validator

AGAIN_TEMPERATURE = 0.7  # with temperature 0 another seed changes nothing
PROGRESS_SECONDS = 30.0


def ask_again(request: Request, attempt: int) -> Request:
    """The same request with `attempt`, which counts from 1, as its seed: one with a `custom_id` of its own."""
    return make_request({**request["body"], "seed": attempt, "temperature": AGAIN_TEMPERATURE})


def answer_once(engine: RationaleEngine, requests: list[Request]) -> tuple[list[Response], Account]:
    """The responses of an engine whose answers cost nothing: one call for each request, none is kept or repeated."""
    responses = list(engine.generate(requests))
    account = Account()
    for response in responses:
        if answer := _charged_answer(response):
            account.behind += Usage(1, answer.prompt_tokens, answer.completion_tokens)
    if engine.infers:
        account.spent = account.behind
        account.inferences = account.new = account.behind.calls
    return responses, account


class BatchExchange:
    """Answers the requests of one shard by an engine that is paid, and keeps account of what that takes.

    Args:
        validator: what it does not accept is requested again.
        ledger: where answers are kept.
        prompt_tokens: of each request, by `custom_id`.
        attempts: how often an invalid answer is requested again.
    """

    def __init__(
        self,
        engine: RationaleEngine,
        validator: Validator,
        ledger: Ledger,
        budget: Budget,
        prompt_tokens: Mapping[str, int],
        attempts: int,
    ):
        self._account = Account()
        self._engine = engine
        self._validator = validator
        self._ledger = ledger
        self._budget = budget
        self._prompt_tokens = prompt_tokens
        self._attempts = attempts
        self._without_text = 0
        engine.may_repeat = self._may_repeat

    def answer(self, requests: list[Request]) -> tuple[list[Response], Account]:
        """One response to each request, in their order, under the request's own `custom_id`, and what they took.

        A response is the first valid answer, or else the last one, or else an error that says why there is none.

        Raises:
            RelandError: a fault of the engine or of the ledger; what was answered is kept.
        """
        originals = {request["custom_id"]: request for request in requests}
        kept = self._read_ledger(requests)
        self._report_forecast([request for request in requests if request["custom_id"] not in kept], len(kept))
        responses: dict[str, Response] = {}
        new: set[str] = set()
        waiting = list(originals)
        for attempt in range(self._attempts + 1):
            request_of = {key: ask_again(originals[key], attempt) if attempt else originals[key] for key in waiting}
            new_requests = {key: request for key, request in request_of.items() if request["custom_id"] not in kept}
            if new_requests and attempt:
                say(f"{len(new_requests)} answers are invalid: asking again ({attempt} of {self._attempts})")
            calls = self._budget.spent.calls
            answered = self._ask(new_requests, any_kept=bool(kept))
            if attempt:
                self._account.asked_again += self._budget.spent.calls - calls
            invalid = []
            for key, request in request_of.items():
                response = {**(answered[key] if key in new_requests else kept[request["custom_id"]]), "custom_id": key}
                answer = _charged_answer(response)
                if answer is not None:
                    self._account.behind += Usage(1, answer.prompt_tokens, answer.completion_tokens)
                    if key in new_requests:
                        new.add(key)
                if answer is None or not answer.content:
                    responses.setdefault(key, response)  # an invalid answer before it says more
                    continue
                responses[key] = response
                if attempt < self._attempts and not self._is_valid(answer.content, originals[key]):
                    invalid.append(key)
            waiting = invalid
        self._account.new = len(new)
        self._account.spent = self._budget.spent
        return [responses[request["custom_id"]] for request in requests], self._account

    def _is_valid(self, content: str, request: Request) -> bool:
        try:
            self._validator.validate(content, request)
        except InvalidAnswerError:
            return False
        return True

    def _read_ledger(self, requests: list[Request]) -> dict[str, Response]:
        """Answers that were given before, to the requests and to all attempts that may follow."""
        again = (ask_again(request, attempt) for attempt in range(1, self._attempts + 1) for request in requests)
        return self._ledger.read([request["custom_id"] for request in (*requests, *again)])

    def _report_forecast(self, new_requests: list[Request], kept: int) -> None:
        self._account.forecast = sum(
            (self._worst_case(request["custom_id"], request) for request in new_requests), Usage()
        )
        words = self._account.forecast.describe(self._budget.prices)
        say(f"forecast: at most {words}, and repeated requests on top; the ledger holds {kept} answers")
        if ceiling := self._budget.exceeded(self._account.forecast):
            say(f"that is above the ceiling {ceiling}: what it keeps out stays without an answer")

    def _ask(self, new_requests: dict[str, Request], *, any_kept: bool) -> dict[str, Response]:
        """Responses of the engine by the keys of `new_requests`; answers are in the ledger when this returns.

        A request that the budget refuses while others are under way is tried once more when they have cost what they
        cost, until nothing fits.

        Args:
            any_kept: whether the ledger held answers. An engine that answers none of the requests of a pass has a
                fault where there is no other answer, of the ledger or of this run; otherwise these requests have.
        """
        key_of = {request["custom_id"]: key for key, request in new_requests.items()}
        responses: dict[str, Response] = {}
        left = list(new_requests)
        began = reported = time.monotonic()
        while any(not self._budget.refuses(self._worst_case(key, new_requests[key])) for key in left):
            refused: list[str] = []
            # Closed when the ledger fails, so that the engine stops.
            admitted = self._admitted(new_requests, left, refused)
            with closing(cast(Generator, self._engine.generate(admitted))) as answers:
                try:
                    for response in answers:
                        key = key_of[response["custom_id"]]
                        self._keep(response, key)
                        responses[key] = response
                        if time.monotonic() - reported >= PROGRESS_SECONDS:
                            reported = time.monotonic()
                            self._report_progress(len(responses), len(new_requests), reported - began)
                except RelandError:
                    any_answer = any_kept or self._account.inferences
                    if not any_answer or len(responses) + len(refused) < len(new_requests):
                        raise
            left = refused
        seconds = time.monotonic() - began
        self._account.hours += seconds / SECONDS_AN_HOUR
        if responses:
            self._report_progress(len(responses), len(new_requests), seconds)
        for key in left:
            self._account.ceiling = self._budget.refuses(self._worst_case(key, new_requests[key]))
            self._account.not_asked += 1
            message = f"not asked, because of the ceiling {self._account.ceiling}"
            responses[key] = make_failure(key, "ceiling", message)
        return responses

    def _admitted(self, new_requests: dict[str, Request], keys: list[str], refused: list[str]) -> Iterator[Request]:
        for key in keys:
            if self._budget.admit(new_requests[key]["custom_id"], self._worst_case(key, new_requests[key])):
                refused.append(key)
            else:
                yield new_requests[key]

    def _worst_case(self, key: str, request: Request) -> Usage:
        """One call, its prompt and the longest answer it allows."""
        return Usage(1, self._prompt_tokens[key], request["body"]["max_tokens"])

    def _keep(self, response: Response, key: str) -> None:
        answer = _charged_answer(response)
        if answer is None:
            code = (response["error"] or {}).get("code")
            if code == LOST:
                self._budget.lose(response["custom_id"])
            elif code != NOT_REPEATED:  # which is lost already
                self._budget.settle(response["custom_id"], 0, 0)
            return
        if answer.finish_reason != "error":  # which is a fault of the endpoint: another run may get an answer
            self._ledger.append(response, request_id=key)
            self._account.inferences += 1
            self._without_text += not answer.content
        self._budget.settle(response["custom_id"], answer.prompt_tokens, answer.completion_tokens)

    def _report_progress(self, done: int, total: int, seconds: float) -> None:
        without = f"; {self._without_text} answers so far have no text" if self._without_text else ""
        say(f"{done} of {total} responses, {done / max(seconds, 1e-3):.1f} a second{without}")

    def _may_repeat(self, custom_id: str) -> bool:
        ceiling = self._budget.repeat(custom_id)
        self._account.ceiling = ceiling or self._account.ceiling
        return not ceiling


def _charged_answer(response: Response) -> Answer | None:
    """What the model answered, with a text or without, which is paid for; None where it did not answer."""
    try:
        return read_answer(response)
    except NoAnswerError as error:
        return error.answer
