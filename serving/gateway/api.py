"""What the gateway is asked and what it answers, typed; the OpenAPI document is made from this.

Types are strict: a number is no text. Ids are as long as the platform's tables allow.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from components.contracts.tables import IDENTIFIER_BYTES

# Of the interface, in every answer and in the OpenAPI document. The first number counts up, and with it that in the
# paths, with what a client would stumble on; the second with what is added.
API_VERSION = "1.1"
VERSION_HEADER = "API-Version"

MAX_CANDIDATES = 1_000
MAX_COUNT = 100
MAX_EVENTS = 1_000
_LAST_SECOND = 99_999_999_999  # of a number that means seconds; a larger one means milliseconds
_LAST_MILLISECOND = 253_402_300_799_000  # of the year 9999


def _bounded(identifier: str) -> str:
    # What is ASCII has as many bytes as characters, which are counted already.
    if not identifier.isascii() and len(identifier.encode()) > IDENTIFIER_BYTES:
        raise ValueError(f"longer than {IDENTIFIER_BYTES} bytes")
    return identifier


def _distinct(items: list[str]) -> list[str]:
    if len(set(items)) != len(items):
        raise ValueError("an item is there twice")
    return items


def moment_of(value: int | str) -> int:
    """Microseconds since 1970 of a time in seconds, in milliseconds, or in ISO form with its offset from UTC."""
    if isinstance(value, int):
        return value * (1_000_000 if value <= _LAST_SECOND else 1_000)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("expected an offset from UTC, as in 2026-01-31T12:00:00Z")
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if microseconds < 0:
        raise ValueError("before 1970")
    return microseconds


def _checked_moment(value: int | str | None) -> int | str | None:
    if value is not None:
        moment_of(value)
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=IDENTIFIER_BYTES), AfterValidator(_bounded)]
UserId = Annotated[Identifier, Field(description="the user, as the platform's tables call it", examples=["u-104"])]
ItemId = Annotated[Identifier, Field(examples=["i-17"])]
Step = Annotated[
    Literal["fresh", "last_known", "id_only", "similar", "popular"],
    Field(description="the step of the ladder that answered, `fresh` being the best"),
]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RankRequest(_Request):
    """Rank given items for a user."""

    user_id: UserId
    candidates: Annotated[
        list[ItemId],
        Field(
            min_length=1,
            max_length=MAX_CANDIDATES,
            description="item ids, each once",
            examples=[["i-17", "i-4", "i-230"]],
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_distinct),
    ]


class RecommendRequest(_Request):
    """Find and rank items for a user."""

    user_id: UserId
    count: Annotated[int, Field(ge=1, le=MAX_COUNT, description="items wanted", examples=[10])] = 10


class ScoredItem(BaseModel):
    """An item of a list with its score."""

    item_id: ItemId
    score: Annotated[float, Field(description="comparable within this answer only", examples=[4.71])]


class Explanation(BaseModel):
    """The borrowed reasoning that went into the ranking."""

    preference_summary: Annotated[str, Field(examples=["Prefers slow films about families, and old ones."])]
    rationale_id: Annotated[str, Field(description="opaque; names no user", examples=["9c1f2ab0"])]
    similarity: Annotated[float, Field(description="of the user and whoever was reasoned about", examples=[0.87])]


class _Answer(BaseModel):
    arm: Annotated[str, Field(description="the group of the rollout that the user is in", examples=["champion"])]
    model_version: Annotated[int, Field(description="the version that answered", examples=[3])]
    ladder_step: Step
    cold_start: Annotated[bool, Field(description="nothing is known of the user")]
    explanation: Annotated[
        Explanation | None, Field(description="null where no rationale went into the ranking, or none is known")
    ]


class RankResponse(_Answer):
    """The candidates of a request, best first."""

    request_id: Annotated[str, Field(description="what outcome events name", examples=["5f0c2d1e"])]
    model: Annotated[
        str, Field(description="the model that scored, or `similar` or `popular`", examples=["reland_ranker"])
    ]
    items: Annotated[list[ScoredItem], Field(description="best first")]
    unknown_items: Annotated[list[str], Field(description="candidates that the model does not know: not scored")]
    excluded_items: Annotated[list[str], Field(description="candidates that an operator keeps out: not scored")]


class RecommendResponse(_Answer):
    """The best items for a user, best first."""

    request_id: Annotated[str, Field(description="what outcome events name", examples=["5f0c2d1e"])]
    model: Annotated[
        str, Field(description="the model that scored, or `similar` or `popular`", examples=["reland_ranker"])
    ]
    items: Annotated[list[ScoredItem], Field(description="best first")]
    candidates_from: Annotated[
        Literal["item_index", "exact", "similar", "popular"],
        Field(description="where the items that were ranked came from"),
    ]


class ExplanationResponse(_Answer):
    """What is known of a user's taste; `ladder_step` is `popular` where the features cannot be read."""


class Event(_Request):
    """What became of a served item."""

    request_id: Annotated[str, Field(min_length=1, max_length=64, description="of the answer that showed the item")]
    item_id: ItemId
    outcome: Annotated[
        Literal["click", "conversion", "cart", "favourite", "rating"],
        Field(
            description="experiments count clicks and conversions; the others are logged for you", examples=["click"]
        ),
    ]
    time: Annotated[
        Annotated[int, Field(ge=0, le=_LAST_MILLISECOND)]
        | Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
        | None,
        Field(
            description="when it happened: seconds or milliseconds since 1970, or ISO 8601 with an offset from UTC; "
            "default: now",
            examples=[None],
        ),
        AfterValidator(_checked_moment),
    ] = None


class EventsRequest(_Request):
    """Events of lists that this gateway has answered with."""

    events: Annotated[list[Event], Field(min_length=1, max_length=MAX_EVENTS)]


class RefusedEvent(BaseModel):
    """One event that was not taken in, by its place in the request."""

    index: Annotated[int, Field(description="of the event in the request, from 0", examples=[3])]
    reason: Annotated[str, Field(examples=["no request of this gateway"])]


class EventsResponse(BaseModel):
    """How many events were taken in, and which were refused."""

    accepted: Annotated[int, Field(description="events that were taken in", examples=[1])]
    refused: Annotated[list[RefusedEvent], Field(description="the others; sent again they are refused again")]


class Problem(BaseModel):
    """Why a request was not answered: `application/problem+json` of RFC 9457."""

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(description="of the status", examples=["Too Many Requests"])]
    status: Annotated[int, Field(examples=[429])]
    detail: Annotated[str, Field(description="what stands in the way", examples=["busy"])]


class Fault(BaseModel):
    """One fault of a request: where it is and what is wrong."""

    location: Annotated[list[str | int], Field(examples=[["body", "candidates"]])]
    message: Annotated[str, Field(examples=["List should have at least 1 item after validation, not 0"])]


class InvalidRequest(Problem):
    """What is wrong with a request; it does not repeat what was sent."""

    errors: list[Fault]


class Health(BaseModel):
    """Whether the process is alive or ready."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Ready as long as there are arms: the ladder answers whatever else is down, and `degraded` says that it has to."""

    status: Literal["ready", "degraded"]
    state: Annotated[int, Field(description="of the arms' record")]
    arms: dict[str, int]
    open_circuits: Annotated[list[str], Field(description="dependencies that do not answer")]
    newer_record_refused: Annotated[bool, Field(description="the arms' record on disk cannot be served")]
    newer_exclusions_refused: Annotated[bool, Field(description="the exclusions on disk cannot be read")]
