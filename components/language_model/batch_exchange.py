"""The batch exchange: from requests to one response each, through ledger, engine, validation and budget.

What the ledger holds is handed out; the rest is asked, and each answer is in the ledger before it counts. An invalid
answer is asked for again, with another seed: that is another request, with a `custom_id` and a line of the ledger of
its own, so that a job that is killed and run again goes the same way without asking anything twice.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from typing import cast

from components.contracts.batch_format import Request, Response, make_failure, make_request, read_answer
from components.foundation.errors import RelandError
from components.foundation.progress import say
from components.language_model.account import Account
from components.language_model.budget import SECONDS_AN_HOUR, Budget, Usage
from components.language_model.engine import LOST, NOT_REPEATED, RationaleEngine
from components.language_model.ledger import Ledger
from components.language_model.validator import InvalidAnswerError, Validator

AGAIN_TEMPERATURE = 0.7  # with temperature 0 another seed changes nothing
TOLD_SECONDS = 30.0


def ask_again(request: Request, attempt: int) -> Request:
    """The same request with `attempt`, which counts from 1, as its seed: one with a `custom_id` of its own."""
    return make_request({**request["body"], "seed": attempt, "temperature": AGAIN_TEMPERATURE})


def hand_out(engine: RationaleEngine, requests: list[Request]) -> tuple[list[Response], Account]:
    """The responses of an engine whose answers cost nothing, which is asked every time and once."""
    responses = list(engine.generate(requests))
    account = Account()
    for response in responses:
        with suppress(ValueError):
            answer = read_answer(response)
            account.behind += Usage(1, answer.prompt_tokens, answer.completion_tokens)
    if engine.infers:
        account.spent = account.behind
        account.inferences = account.new = account.behind.calls
    return responses, account


class BatchExchange:
    """Answers the requests of one shard by an engine that is paid, and keeps account of what that takes.

    Args:
        validator: what it does not accept is asked for again.
        ledger: where answers are kept.
        prompt_tokens: of each request, by `custom_id`.
        attempts: how often an invalid answer is asked for again.
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
        engine.may_repeat = self._may_repeat

    def answer(self, requests: list[Request]) -> tuple[list[Response], Account]:
        """One response to each request, in their order, under the request's own `custom_id`, and what they took.

        A response is the first valid answer, or else the last one, or else an error that says why there is none.

        Raises:
            RelandError: a fault of the engine or of the ledger; what was answered is kept.
        """
        originals = {request["custom_id"]: request for request in requests}
        kept = self._read_ledger(requests)
        self._tell_forecast([request for request in requests if request["custom_id"] not in kept], len(kept))
        responses: dict[str, Response] = {}
        new: set[str] = set()
        waiting = list(originals)
        for attempt in range(self._attempts + 1):
            asked = {key: ask_again(originals[key], attempt) if attempt else originals[key] for key in waiting}
            unknown = {key: request for key, request in asked.items() if request["custom_id"] not in kept}
            if unknown and attempt:
                say(f"{len(unknown)} answers are invalid: asking again ({attempt} of {self._attempts})")
            calls = self._budget.spent.calls
            answered = self._ask(unknown, any_kept=bool(kept))
            if attempt:
                self._account.asked_again += self._budget.spent.calls - calls
            invalid = []
            for key, request in asked.items():
                response = answered[key] if key in unknown else kept[request["custom_id"]]
                try:
                    answer = read_answer(response)
                except ValueError:
                    responses.setdefault(key, response)  # where there is an invalid answer it says more than an error
                    continue
                responses[key] = {**response, "custom_id": key}
                self._account.behind += Usage(1, answer.prompt_tokens, answer.completion_tokens)
                if key in unknown:
                    new.add(key)
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

    def _tell_forecast(self, unknown: list[Request], kept: int) -> None:
        self._account.forecast = sum((self._worst_case(request["custom_id"], request) for request in unknown), Usage())
        told = self._account.forecast.describe(self._budget.prices)
        say(f"forecast: at most {told}, and what is asked again on top; the ledger holds {kept} answers")
        if ceiling := self._budget.exceeded(self._account.forecast):
            say(f"that is above the ceiling {ceiling}: what it keeps out stays without an answer")

    def _ask(self, unknown: dict[str, Request], *, any_kept: bool) -> dict[str, Response]:
        """Responses of the engine by the keys of `unknown`; answers are in the ledger when this returns.

        A request that the budget refuses while others are under way is tried once more when they have cost what they
        cost, until nothing fits.

        Args:
            any_kept: whether the ledger held answers. An engine that answers none of the requests of a pass has a
                fault where there is no other answer, of the ledger or of this run; otherwise these requests have.
        """
        key_of = {request["custom_id"]: key for key, request in unknown.items()}
        responses: dict[str, Response] = {}
        left = list(unknown)
        began = told = time.monotonic()
        while any(not self._budget.refuses(self._worst_case(key, unknown[key])) for key in left):
            refused: list[str] = []
            # Closed when the ledger fails, so that the engine stops.
            with closing(cast(Generator, self._engine.generate(self._admitted(unknown, left, refused)))) as answers:
                try:
                    for response in answers:
                        key = key_of[response["custom_id"]]
                        self._keep(response, key)
                        responses[key] = response
                        if time.monotonic() - told >= TOLD_SECONDS:
                            told = time.monotonic()
                            _tell_progress(len(responses), len(unknown), told - began)
                except RelandError:
                    any_answer = any_kept or self._account.inferences
                    if not any_answer or len(responses) + len(refused) < len(unknown):
                        raise
            left = refused
        seconds = time.monotonic() - began
        self._account.hours += seconds / SECONDS_AN_HOUR
        if responses:
            _tell_progress(len(responses), len(unknown), seconds)
        for key in left:
            self._account.ceiling = self._budget.refuses(self._worst_case(key, unknown[key]))
            self._account.not_asked += 1
            message = f"not asked, because of the ceiling {self._account.ceiling}"
            responses[key] = make_failure(key, "ceiling", message)
        return responses

    def _admitted(self, unknown: dict[str, Request], keys: list[str], refused: list[str]) -> Iterator[Request]:
        for key in keys:
            if self._budget.admit(unknown[key]["custom_id"], self._worst_case(key, unknown[key])):
                refused.append(key)
            else:
                yield unknown[key]

    def _worst_case(self, key: str, request: Request) -> Usage:
        """One call, its prompt and the longest answer it allows."""
        return Usage(1, self._prompt_tokens[key], request["body"]["max_tokens"])

    def _keep(self, response: Response, key: str) -> None:
        try:
            answer = read_answer(response)
        except ValueError:
            code = (response["error"] or {}).get("code")
            if code == LOST:
                self._budget.lose(response["custom_id"])
            elif code != NOT_REPEATED:  # which is lost already
                self._budget.settle(response["custom_id"], 0, 0)
            return
        self._ledger.append(response, request_id=key)
        self._budget.settle(response["custom_id"], answer.prompt_tokens, answer.completion_tokens)
        self._account.inferences += 1

    def _may_repeat(self, custom_id: str) -> bool:
        option = self._budget.repeat(custom_id)
        self._account.ceiling = option or self._account.ceiling
        return not option


def _tell_progress(done: int, total: int, seconds: float) -> None:
    say(f"{done} of {total} responses, {done / max(seconds, 1e-3):.1f} a second")
