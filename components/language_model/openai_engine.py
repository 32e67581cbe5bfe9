"""Answers of an OpenAI-compatible endpoint: a vLLM server, KServe, a hosted model."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import httpx2
from pydantic import SecretStr

from components.contracts.batch_format import Request, Response, make_failure, make_response, read_answer
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.progress import say
from components.language_model.engine import LOST, NOT_REPEATED, REFUSED, RationaleEngine

TOLD_CHARACTERS = 300  # of what an endpoint says is wrong


@dataclass(frozen=True)
class Endpoint:
    """Where an endpoint is, and how patiently it is asked.

    Attributes:
        base_url: all that stands before `/chat/completions`.
        api_key: sent as a bearer token, unless it is empty.
        concurrency: requests that wait for an answer at a time.
        timeout: seconds without a whole answer after which a request counts as failed.
        attempts: how often a request is asked that fails for a reason that may pass: a connection that breaks, silence,
            a status of 500 and above, a body that is no answer. To be told to slow down is no failure.
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
    """Asks an endpoint; requests are drawn as there is room for them, at most `concurrency` at a time.

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

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """As the contract says; between two responses that are drawn from the iterator, nothing is sent or received.

        Raises:
            InputError: the endpoint knows no such model, refuses the key, or refuses every request.
            EnvironmentFaultError: it does not answer, or answers no request at all.
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
            kind = InputError if first_failure["error"]["code"] == REFUSED else EnvironmentFaultError
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
    """The endpoint takes no such request."""


class _Session:
    """The connections of one generation, and what is known of the endpoint while it lasts."""

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
        self._told = False

    async def close(self) -> None:
        await self._client.aclose()

    async def answer(self, request: Request) -> Response:
        """The response to one request, after as many attempts as it takes or is allowed."""
        custom_id = request["custom_id"]
        failed = slowed = 0
        while True:
            while (rest := self._resume_at - self._loop.time()) > 0:
                await asyncio.sleep(rest + random.uniform(0, self._endpoint.first_wait))
            try:
                response = await self._attempt(custom_id, request["body"])
            except _RefusedError as refusal:
                return make_failure(custom_id, REFUSED, str(refusal))
            except _PassingError as fault:
                failed, slowed = (failed, slowed + 1) if fault.too_fast else (failed + 1, slowed)
                if failed >= self._endpoint.attempts:
                    return self._give_up(custom_id, fault)
                if fault.paid and not self._may_repeat(custom_id):
                    return make_failure(custom_id, NOT_REPEATED, f"not asked again, because of a ceiling: {fault}")
                await self._wait(fault, failed + slowed)
                continue
            self._last_answer = self._loop.time()
            self._failures_in_a_row, self._told = 0, False
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
        status = reply.status_code
        if status == 200:
            return _read(custom_id, reply)
        told = f"status {status}: {' '.join(reply.text.split())[:TOLD_CHARACTERS]}"
        if status in (401, 403):  # what is told may repeat the key
            raise InputError(f"setting RELAND_OPENAI_API_KEY: {self._url} refuses the key (status {status})")
        if status == 404:
            raise InputError(f"{self._url}: no such address, or no model {self._model!r} there ({told})")
        if status == 429:
            raise _PassingError(told, _retry_after(reply), too_fast=True)
        if status >= 500 or status in (408, 409, 425):
            raise _PassingError(told, _retry_after(reply))
        raise _RefusedError(told)

    async def _wait(self, fault: _PassingError, number: int) -> None:
        endpoint = self._endpoint
        wait = min(endpoint.longest_wait, endpoint.first_wait * 2 ** (number - 1)) * random.uniform(0.5, 1)
        if fault.wait is not None:
            wait = min(fault.wait, endpoint.patience)
        if fault.too_fast:
            if self._loop.time() - self._last_answer > endpoint.patience:
                raise EnvironmentFaultError(f"{self._url}: no answer for {endpoint.patience:g} s, only {fault}")
            # Everybody waits, not only this request: the others would be told the same.
            self._resume_at = max(self._resume_at, self._loop.time() + wait)
        if not self._told:
            self._told = True
            say(f"{self._url}: {fault}; asked again in {wait:.1f} s")
        if not fault.too_fast:
            await asyncio.sleep(wait)

    def _give_up(self, custom_id: str, fault: _PassingError) -> Response:
        self._failures_in_a_row += 1
        told = f"{fault} ({self._endpoint.attempts} attempts)"
        if self._failures_in_a_row >= self._endpoint.failures:
            raise EnvironmentFaultError(
                f"{self._url}: {self._failures_in_a_row} requests in a row without an answer; {told}"
            )
        return make_failure(custom_id, LOST if fault.paid else "unavailable", told)


async def _open_session(endpoint: Endpoint, model: str, may_repeat: Callable[[str], bool]) -> _Session:
    return _Session(endpoint, model, may_repeat)


async def _first_of(
    tasks: set[asyncio.Task[Response]],
) -> tuple[set[asyncio.Task[Response]], set[asyncio.Task[Response]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _read(custom_id: str, reply: httpx2.Response) -> Response:
    """The response of a body, without what differs from time to time: the endpoint's own id, the date."""
    try:
        body = reply.json()
        answer = read_answer({"response": {"status_code": 200, "body": body}})
        reason = body["choices"][0].get("finish_reason")
    except (ValueError, RecursionError) as error:
        raise _PassingError(f"the body is no answer ({error})", paid=True) from None
    return make_response(
        custom_id,
        answer.model,
        answer.content,
        answer.prompt_tokens,
        answer.completion_tokens,
        reason if isinstance(reason, str) else "stop",
    )


def _retry_after(reply: httpx2.Response) -> float | None:
    """Seconds that the header `Retry-After` asks for: it is a number of them or a date.

    A date is one of the endpoint's clock, so it counts from what the reply says the time is. Ours may be wrong.
    """
    told = reply.headers.get("Retry-After")
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    date = _read_date(told)
    if date is None:
        return None
    return max(0.0, (date - (_read_date(reply.headers.get("Date", "")) or datetime.now(UTC))).total_seconds())


def _read_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
