"""A client of the ranking gateway: typed requests and answers, timeouts, and patience where it is asked for.

    with Client("http://127.0.0.1:8080") as gateway:
        answer = gateway.recommend("u-104", count=10)
        gateway.send_events([Event(answer.request_id, answer.items[0].item_id, "click")])

It needs httpx2 alone, and may be used by several threads at once.

What is refused for now (429, 503) is sent again, not before the gateway's `Retry-After`. What may have been carried out
already, because the connection broke or the answer did not come in time, is sent again only where that changes nothing:
explanations, and events, which go under an `Idempotency-Key`. A list is asked for once: who needs one cannot wait for
a second timeout.
"""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx2

Outcome = Literal["click", "conversion", "cart", "favourite", "rating"]
Step = Literal["fresh", "last_known", "id_only", "similar", "popular"]

Answer = TypeVar("Answer")

MAX_EVENTS = 1_000  # in a request
RETRIED = (429, 503)


@dataclass(frozen=True)
class ScoredItem:
    """An item of a list; scores are comparable within one answer only."""

    item_id: str
    score: float


@dataclass(frozen=True)
class Explanation:
    """The borrowed reasoning that went into a ranking.

    Attributes:
        rationale_id: opaque; names no user.
        similarity: of the user and whoever was reasoned about.
    """

    preference_summary: str
    rationale_id: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class UserExplanation:
    """Why a user is ranked so.

    Attributes:
        arm: the group of the rollout that the user is in.
        model_version: the version that answered.
        ladder_step: the step of the ladder that answered, `fresh` being the best.
        cold_start: nothing is known of the user.
        explanation: None where no rationale goes into the ranking, or none is known.
    """

    arm: str
    model_version: int
    ladder_step: Step
    cold_start: bool
    explanation: Explanation | None


@dataclass(frozen=True, kw_only=True)
class RankedList(UserExplanation):
    """Candidates, ranked.

    Attributes:
        request_id: what events name.
        model: that scored, or `popular`.
        items: best first.
        unknown_items: candidates that the model does not know.
        excluded_items: candidates that an operator keeps out.
    """

    request_id: str
    model: str
    items: tuple[ScoredItem, ...]
    unknown_items: tuple[str, ...]
    excluded_items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recommendation(UserExplanation):
    """Items that were found and ranked.

    Attributes:
        request_id: what events name.
        model: that scored, or `popular`.
        items: best first.
        candidates_from: `item_index`, `exact`, `similar` or `popular`.
    """

    request_id: str
    model: str
    items: tuple[ScoredItem, ...]
    candidates_from: str


@dataclass(frozen=True)
class Event:
    """What became of a served item.

    Attributes:
        request_id: of the answer that showed it.
        time: when it happened, with its offset from UTC; None: when the gateway takes it in.
    """

    request_id: str
    item_id: str
    outcome: Outcome
    time: datetime | None = None


@dataclass(frozen=True)
class RefusedEvent:
    """An event that was not taken in; sent again it is refused again.

    Attributes:
        index: of the event among those that were sent, from 0.
    """

    index: int
    reason: str


@dataclass(frozen=True)
class EventsAnswer:
    """How many events were taken in, and which were not."""

    accepted: int
    refused: tuple[RefusedEvent, ...]


class GatewayError(Exception):
    """The gateway did not do what it was asked.

    Attributes:
        status: of its answer; None where none came.
        detail: what stands in the way.
        errors: what is wrong with which part of the request (status 422), as `{"location": […], "message": "…"}`.
    """

    def __init__(self, status: int | None, detail: str, errors: Sequence[dict[str, Any]] = ()):
        faults = "; ".join(f"{'.'.join(map(str, fault['location']))}: {fault['message']}" for fault in errors)
        super().__init__(": ".join(filter(None, (f"status {status}" if status else "", detail, faults))))
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)


class Client:
    """A gateway at an address; close it, or use it as a context manager."""

    def __init__(
        self,
        address: str,
        key: str | None = None,
        timeout: float = 2.0,
        attempts: int = 4,
        first_wait: float = 0.1,
        longest_wait: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
    ):
        """
        Args:
            address: as `http://127.0.0.1:8080`.
            key: the API key or the OIDC token; None where the gateway asks for none.
            timeout: seconds for connecting, and for each part of an answer.
            attempts: how often a request is sent at most.
            first_wait: seconds before the second attempt; each further wait is twice as long, and each is shortened by
                chance to between a half and the whole, so that clients do not come back together.
            longest_wait: seconds; where the gateway asks for a longer wait, its refusal is raised at once.
            transport: of httpx2, for proxies and tests.
        """
        self._attempts = attempts
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._client = httpx2.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def rank(self, user_id: str, candidates: Sequence[str]) -> RankedList:
        """Rank 1 to 1,000 distinct items for a user.

        Raises:
            GatewayError: the gateway refuses it, or does not answer.
        """
        body = {"user_id": user_id, "candidates": list(candidates)}
        return self._ask("POST", "/v1/rank", _ranked_list, json=body)

    def recommend(self, user_id: str, count: int = 10) -> Recommendation:
        """Find and rank 1 to 100 items for a user; fewer come where there are not so many.

        Raises:
            GatewayError: the gateway refuses it, or does not answer.
        """
        return self._ask("POST", "/v1/recommend", _recommendation, json={"user_id": user_id, "count": count})

    def explain(self, user_id: str) -> UserExplanation:
        """Why a user is ranked so.

        Raises:
            GatewayError: the gateway refuses it, or does not answer.
        """
        # A user id may hold slashes, which are escaped like all else.
        return self._ask("GET", f"/v1/explanations/{quote(user_id, safe='')}", _user_explanation, may_repeat=True)

    def send_events(self, events: Sequence[Event]) -> EventsAnswer:
        """Say what became of served items, in requests of at most 1,000 events.

        An event of a request that the gateway did not answer is among the refused ones.

        Raises:
            GatewayError: the gateway refuses all of a request's events, or does not answer; of more than 1,000 events,
                earlier requests may have been taken in. To send the same events again later is safe: what comes twice
                is counted once.
            ValueError: an event's time has no offset from UTC.
        """
        for event in events:
            if event.time is not None and event.time.tzinfo is None:
                raise ValueError(f"{event}: expected a time with its offset from UTC")
        accepted, refused = 0, []
        for start in range(0, len(events), MAX_EVENTS):
            body = {"events": [_event_body(event) for event in events[start : start + MAX_EVENTS]]}
            key = {"Idempotency-Key": str(uuid.uuid4())}
            answer = self._ask("POST", "/v1/events", _events_answer, may_repeat=True, json=body, headers=key)
            accepted += answer.accepted
            refused += [RefusedEvent(start + event.index, event.reason) for event in answer.refused]
        return EventsAnswer(accepted, tuple(refused))

    def _ask(
        self, method: str, path: str, read: Callable[[Any], Answer], may_repeat: bool = False, **options: Any
    ) -> Answer:
        """The answer to a request, after as many attempts as it takes or is allowed."""
        for attempt in range(1, self._attempts + 1):
            wait = min(self._longest_wait, self._first_wait * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
            try:
                answer = self._client.request(method, path, **options)
            except httpx2.TransportError as error:
                failure = GatewayError(None, f"{self._client.base_url}: {type(error).__name__} ({error})")
                if not may_repeat and not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                    raise failure from error
            else:
                if answer.is_success:
                    return read(answer.json())
                failure = _failure(answer)
                if answer.status_code not in RETRIED:
                    raise failure
                wait = max(wait, _retry_after(answer))
            if attempt == self._attempts or wait > self._longest_wait:
                break
            time.sleep(wait)
        raise failure


def _retry_after(answer: httpx2.Response) -> float:
    """Seconds that the gateway asks for; what stands before it may send a date, which is left to the usual wait."""
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0


def _failure(answer: httpx2.Response) -> GatewayError:
    try:
        problem = answer.json()
        return GatewayError(answer.status_code, problem["detail"], problem.get("errors", ()))
    except (ValueError, KeyError, TypeError):  # of something that stands before the gateway
        return GatewayError(answer.status_code, answer.reason_phrase)


def _event_body(event: Event) -> dict[str, Any]:
    return asdict(event) | {"time": None if event.time is None else event.time.isoformat()}


def _common(content: dict[str, Any]) -> dict[str, Any]:
    # Fields that a newer gateway adds are passed over.
    explanation = content["explanation"]
    return {name: content[name] for name in ("arm", "model_version", "ladder_step", "cold_start")} | {
        "explanation": None
        if explanation is None
        else Explanation(**{name: explanation[name] for name in Explanation.__dataclass_fields__})
    }


def _items(content: dict[str, Any]) -> dict[str, Any]:
    items = tuple(ScoredItem(item["item_id"], item["score"]) for item in content["items"])
    return {"request_id": content["request_id"], "model": content["model"], "items": items}


def _user_explanation(content: dict[str, Any]) -> UserExplanation:
    return UserExplanation(**_common(content))


def _ranked_list(content: dict[str, Any]) -> RankedList:
    others: dict[str, Any] = {name: tuple(content[name]) for name in ("unknown_items", "excluded_items")}
    return RankedList(**_common(content), **_items(content), **others)


def _recommendation(content: dict[str, Any]) -> Recommendation:
    return Recommendation(**_common(content), **_items(content), candidates_from=content["candidates_from"])


def _events_answer(content: dict[str, Any]) -> EventsAnswer:
    refused = tuple(RefusedEvent(event["index"], event["reason"]) for event in content["refused"])
    return EventsAnswer(content["accepted"], refused)
