"""Answers of an OpenAI-compatible endpoint: a vLLM server, KServe, a hosted model."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Self

import httpx2
from pydantic import SecretStr

from components.contracts.batch_format import (
    NoAnswerError,
    Request,
    Response,
    make_failure,
    read_answer,
    write_answer,
)
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.progress import say
from components.language_model.engine import LOST, NOT_REPEATED, REFUSED, EngineOptions, RationaleEngine
from components.prompting.catalogue import Catalogue

SHOWN_CHARACTERS = 300  # of what an endpoint says is wrong
# Codes and types of errors that no wait mends: the account has to be paid, whichever status comes with them.
NOTHING_LEFT = frozenset(
    (
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "insufficient_balance",
        "insufficient_credits",
    )
)


@dataclass(frozen=True)
class Endpoint:
    """Where an endpoint is, and how patiently requests are sent to it.

    Attributes:
        base_url: all that stands before `/chat/completions`.
        api_key: sent as a bearer token, unless it is empty.
        concurrency: requests that wait for an answer at a time.
        timeout: seconds without a whole answer after which a request counts as failed.
        attempts: how often a request is sent that fails for a reason that may pass: a connection that breaks, silence,
            a status of 500 and above, a body that is no answer. A request to slow down is no failure, and an answer
            without a text is an answer: it is paid for, and not requested again.
        first_wait: seconds before the second attempt; each further wait is twice as long, up to `longest_wait`, and all
            are shortened by chance to between a half and the whole, so that requests do not come back together.
        patience: seconds for which an endpoint may tell everybody to slow down and answer nobody.
        failures: requests in a row without an answer after which the endpoint counts as dead.
    """

    base_url: str
    api_key: SecretStr
    concurrency: int = 32
    timeout: float = 60.0
    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    patience: float = 600.0
    failures: int = 5


class OpenAIEngine(RationaleEngine):
    """Sends requests to an endpoint; they are drawn as there is room for them, at most `concurrency` at a time.

    Raises:
        InputError: no URL, or one that is none; a key that cannot be sent.
    """

    name = "openai"
    infers = True

    def __init__(self, model: str, endpoint: Endpoint):
        self.model = model
        self._endpoint = endpoint
        hint = "setting RELAND_OPENAI_BASE_URL: expected the URL of an endpoint, as http://vllm:8000/v1"
        try:
            url = httpx2.URL(endpoint.base_url)
        except httpx2.InvalidURL:
            raise InputError(f"{hint}, found {endpoint.base_url!r}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise InputError(f"{hint}, found {endpoint.base_url!r}")
        key = endpoint.api_key.get_secret_value()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InputError("setting RELAND_OPENAI_API_KEY: expected a key of printable characters without spaces")

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """As the contract says; nothing is sent."""
        cls._of(options)

    @classmethod
    def open(cls, options: EngineOptions, catalogue: Catalogue, seed_of_request: Mapping[str, str]) -> Self:
        """As the contract says."""
        return cls._of(options)

    @classmethod
    def _of(cls, options: EngineOptions) -> Self:
        settings = options.settings
        endpoint = Endpoint(
            settings.openai_base_url, settings.openai_api_key, settings.openai_concurrency, settings.openai_timeout
        )
        return cls(cls.answering_model(options).name, endpoint)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """As the contract says; between two responses that are drawn from the iterator, nothing is sent or received.

        Raises:
            InputError: the endpoint has no such model, or refuses the key or every request.
            EnvironmentFaultError: it does not answer, answers no request at all, or what was paid for is used up.
        """
        waiting = iter(requests)
        answered = 0
        first_failure: Response | None = None
        with asyncio.Runner() as runner:
            session = runner.run(_open_session(self._endpoint, self.model, self.may_repeat))
            running: set[asyncio.Task[Response]] = set()
            try:
                while True:
                    room = self._endpoint.concurrency - len(running)
                    tasks = (session.answer(request) for request in islice(waiting, room))
                    running |= {runner.get_loop().create_task(task) for task in tasks}
                    if not running:
                        break
                    done, running = runner.run(_first_of(running))
                    faults = [error for task in done if (error := task.exception()) is not None]
                    for task in done:
                        if task.exception() is None:
                            response = task.result()
                            answered += response["error"] is None
                            first_failure = first_failure or (response if response["error"] else None)
                            yield response
                    if faults:
                        raise faults[0]
            finally:
                for task in running:
                    task.cancel()
                runner.run(session.close())
        if first_failure and not answered:
            kind = InputError if first_failure["error"]["code"].startswith(REFUSED) else EnvironmentFaultError
            raise kind(f"{self._endpoint.base_url}: no request is answered: {first_failure['error']['message']}")


class _PassingError(Exception):
    """An attempt without an answer; another may get one.

    Attributes:
        wait: seconds, where the endpoint says how long.
        too_fast: whether the endpoint says to slow down.
        paid: whether an answer may have been made, and not have come through.
    """

    def __init__(self, reason: str, wait: float | None = None, too_fast: bool = False, paid: bool = False):
        super().__init__(reason)
        self.wait = wait
        self.too_fast = too_fast
        self.paid = paid


class _RefusedError(Exception):
    """The endpoint takes no such request.

    Attributes:
        status: of its reply.
    """

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.status = status


class _Session:
    """The connections of one generation, and the state of the endpoint while it lasts."""

    def __init__(self, endpoint: Endpoint, model: str, may_repeat: Callable[[str], bool]):
        self._endpoint = endpoint
        self._model = model
        self._may_repeat = may_repeat
        self._url = endpoint.base_url.rstrip("/") + "/chat/completions"
        key = endpoint.api_key.get_secret_value()
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx2.Limits(max_connections=endpoint.concurrency),
            timeout=None,  # that of a whole attempt is kept here: an endpoint that drips bytes has no end otherwise
        )
        self._loop = asyncio.get_running_loop()
        self._resume_at = self._last_answer = self._loop.time()
        self._failures_in_a_row = 0
        self._fault_reported = False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def answer(self, request: Request) -> Response:
        """The response to one request, after as many attempts as it takes or is allowed."""
        custom_id = request["custom_id"]
        failed = slowed_down = 0
        while True:
            while (rest := self._resume_at - self._loop.time()) > 0:
                await asyncio.sleep(rest + random.uniform(0, self._endpoint.first_wait))
            try:
                response = await self._attempt(custom_id, request["body"])
            except _RefusedError as refusal:
                return make_failure(custom_id, f"{REFUSED}{refusal.status}", str(refusal))
            except _PassingError as fault:
                if fault.too_fast:
                    slowed_down += 1
                else:
                    failed += 1
                if failed >= self._endpoint.attempts:
                    return self._give_up(custom_id, fault)
                if fault.paid and not self._may_repeat(custom_id):
                    return make_failure(custom_id, NOT_REPEATED, f"not sent again, because of a ceiling: {fault}")
                await self._wait(fault, failed + slowed_down)
                continue
            self._last_answer = self._loop.time()
            self._failures_in_a_row, self._fault_reported = 0, False
            return response

    async def _attempt(self, custom_id: str, body: dict[str, Any]) -> Response:
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                reply = await self._client.post(self._url, json=body)
        except TimeoutError:
            raise _PassingError(f"no answer for {self._endpoint.timeout:g} s", paid=True) from None
        except httpx2.HTTPError as error:
            paid = not isinstance(error, httpx2.ConnectError)
            raise _PassingError(f"{type(error).__name__} ({error})", paid=paid) from None
        if reply.status_code != 200:
            raise self._fault(reply.status_code, reply)
        try:
            response = _read(custom_id, self._model, reply)
        except NoAnswerError as error:
            # Some endpoints send the status of a fault in a body under status 200.
            if error.reason.isdigit() and int(error.reason) >= 400:
                raise self._fault(int(error.reason), reply) from None
            if error.reason in NOTHING_LEFT:
                raise self._fault(402, reply) from None
            raise _PassingError(f"the body is no answer ({error})", paid=True) from None
        return response

    def _fault(self, status: int, reply: httpx2.Response) -> Exception:
        """What a status other than 200 means: a fault of the run, of the request, or one that may pass."""
        shown = f"status {status}: {' '.join(reply.text.split())[:SHOWN_CHARACTERS]}"
        if status == 402 or not NOTHING_LEFT.isdisjoint(_error_words(reply)):
            fault = f"{self._url}: what was paid for is used up, or the account is not active ({shown})"
            return EnvironmentFaultError(fault)  # pay, and run the same command again
        if status in (401, 403):  # the body may repeat the key, and is not shown
            return InputError(f"setting RELAND_OPENAI_API_KEY: {self._url} refuses the key (status {status})")
        if status == 404:
            return InputError(f"{self._url}: no such address, or no model {self._model!r} there ({shown})")
        if status == 429:
            return _PassingError(shown, _retry_after(reply), too_fast=True)
        if status >= 500 or status in (408, 409, 425):
            return _PassingError(shown, _retry_after(reply))
        return _RefusedError(shown, status)

    async def _wait(self, fault: _PassingError, number: int) -> None:
        endpoint = self._endpoint
        wait = min(endpoint.longest_wait, endpoint.first_wait * 2 ** (number - 1)) * random.uniform(0.5, 1)
        if fault.wait is not None:
            wait = min(fault.wait, endpoint.patience)
        if fault.too_fast:
            if self._loop.time() - self._last_answer > endpoint.patience:
                raise EnvironmentFaultError(f"{self._url}: no answer for {endpoint.patience:g} s, only {fault}")
            # All requests wait, not only this one: the others would get the same reply.
            self._resume_at = max(self._resume_at, self._loop.time() + wait)
        if not self._fault_reported:
            self._fault_reported = True
            say(f"{self._url}: {fault}; sent again in {wait:.1f} s")
        if not fault.too_fast:
            await asyncio.sleep(wait)

    def _give_up(self, custom_id: str, fault: _PassingError) -> Response:
        self._failures_in_a_row += 1
        reason = f"{fault} ({self._endpoint.attempts} attempts)"
        if self._failures_in_a_row >= self._endpoint.failures:
            raise EnvironmentFaultError(
                f"{self._url}: {self._failures_in_a_row} requests in a row without an answer; {reason}"
            )
        return make_failure(custom_id, LOST if fault.paid else "unavailable", reason)


async def _open_session(endpoint: Endpoint, model: str, may_repeat: Callable[[str], bool]) -> _Session:
    return _Session(endpoint, model, may_repeat)


async def _first_of(
    tasks: set[asyncio.Task[Response]],
) -> tuple[set[asyncio.Task[Response]], set[asyncio.Task[Response]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _read(custom_id: str, model: str, reply: httpx2.Response) -> Response:
    """The response of a body, without what differs from call to call: the endpoint's own id, the date.

    Args:
        model: that the request names; an endpoint that leaves it out of the body answers as that.

    Raises:
        NoAnswerError: the body is no answer, with or without a text.
    """
    try:
        body = reply.json()
    except (ValueError, RecursionError) as error:
        raise NoAnswerError("no_body", str(error)) from None
    try:
        answer = read_answer({"response": {"status_code": 200, "body": body}}, model)
    except NoAnswerError as error:
        if error.answer is None:
            raise
        answer = error.answer
    return write_answer(custom_id, answer)


def _error_words(reply: httpx2.Response) -> set[str]:
    """Code and type of the error that a body holds."""
    try:
        body = reply.json()
    except (ValueError, RecursionError):
        return set()
    error = body.get("error") if isinstance(body, dict) else None
    words = [error.get("code"), error.get("type")] if isinstance(error, dict) else [error]
    return {word.lower() for word in words if isinstance(word, str)}


def _retry_after(reply: httpx2.Response) -> float | None:
    """Seconds that the header `Retry-After` asks for: it is a number of them or a date.

    A date is one of the endpoint's clock, so it counts from what the reply says the time is. Ours may be wrong.
    """
    value = reply.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    date = _read_date(value)
    if date is None:
        return None
    return max(0.0, (date - (_read_date(reply.headers.get("Date", "")) or datetime.now(UTC))).total_seconds())


def _read_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
