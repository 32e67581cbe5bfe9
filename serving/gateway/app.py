"""The gateway's HTTP interface: routes, errors, and the OpenAPI document."""

import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Header, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException

from components.foundation.settings import Settings
from serving.gateway.admission import Admission, RateLimit
from serving.gateway.api import (
    API_VERSION,
    EventsRequest,
    EventsResponse,
    ExplanationResponse,
    Health,
    InvalidRequest,
    Problem,
    RankRequest,
    RankResponse,
    Readiness,
    RecommendRequest,
    RecommendResponse,
    UserId,
)
from serving.gateway.authentication import Principal, open_authenticator
from serving.gateway.documentation import CONTENT_SECURITY_POLICY, documentation_page, openapi_document
from serving.gateway.features import Explanation
from serving.gateway.gate import PRINCIPAL, Gate
from serving.gateway.gateway import Gateway
from serving.gateway.idempotency import KEY_CHARACTERS, IdempotencyKeys, KeyReusedError
from serving.gateway.ladder import POPULAR, Served
from serving.gateway.metrics import Metrics
from serving.gateway.problems import MEDIA_TYPE, problem_body

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request is no HTTP request that can be read."},
    401: {"model": Problem, "description": "No key or token, or one that is not known."},
    403: {"model": Problem, "description": "The token is of another user, or the key's scopes do not hold this."},
    408: {"model": Problem, "description": "The body did not come within 10 seconds."},
    413: {"model": Problem, "description": "The body is larger than 1 MiB."},
    422: {"model": InvalidRequest, "description": "The body or a parameter is not as described."},
    429: {"model": Problem, "description": "Busy, or too many requests of this key: try again after `Retry-After`."},
    421: {"model": Problem, "description": "The host that is asked for is not this machine."},
    431: {"model": Problem, "description": "The headers are larger than 16 KiB."},
    503: {"model": Problem, "description": "What was sent cannot be kept now, or too many are connected."},
}


class _StrictJson(Request):
    """Reads JSON as the standard has it: no NaN, no invalid UTF-8, no half of a surrogate pair."""

    async def json(self) -> Any:
        return orjson.loads(await self.body())


class _StrictJsonRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            return await handle(_StrictJson(request.scope, request.receive))

        return read_strictly


router = APIRouter(prefix="/v1", responses=_PROBLEMS, route_class=_StrictJsonRoute)


@router.post("/rank", tags=["lists"], response_model=RankResponse, summary="Rank given items for a user")
async def rank(asked: RankRequest, request: Request) -> Response:
    """Scores the candidates that the model knows; the others come back as `unknown_items`, or as `excluded_items` where
    an operator keeps them out.
    """
    gateway = _gateway(request, asked.user_id)
    served = await gateway.ladder.rank(asked.user_id, asked.candidates)
    gateway.log_exposure(served)
    gateway.log_access(_name(request), "rank", asked.user_id, served.request_id)
    return _json({**_list(served), "unknown_items": served.unknown_items, "excluded_items": served.excluded_items})


@router.post("/recommend", tags=["lists"], response_model=RecommendResponse, summary="Find and rank items for a user")
async def recommend(asked: RecommendRequest, request: Request) -> Response:
    """The best of the items near the user that are not in the user's history; fewer where there are not so many."""
    gateway = _gateway(request, asked.user_id)
    served = await gateway.ladder.recommend(asked.user_id, asked.count)
    gateway.log_exposure(served)
    gateway.log_access(_name(request), "recommend", asked.user_id, served.request_id)
    return _json({**_list(served), "candidates_from": served.candidates_from})


@router.post(
    "/events",
    tags=["outcomes"],
    response_model=EventsResponse,
    status_code=202,
    summary="Say what became of served items",
)
async def events(
    asked: EventsRequest,
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=KEY_CHARACTERS,
            pattern="^[!-~]+$",
            description="a name of your own for this request, new for each body; where it is sent again, events that "
            "were taken in are not taken in again. Remembered are the latest 16,384, by each process of the gateway",
            examples=["7f2c9a54-0b1e-4a55-9a37-3d1f0a6b2c11"],
        ),
    ] = None,
) -> Response:
    """Takes in clicks, conversions and other behaviors, which are on disk within 10 seconds of the answer, or while the
    disk takes none are kept up to 4,096, beyond which the answer is 503. After 429 or 503 send all of them again: one
    that comes twice is counted once. The same `Idempotency-Key` and body get the same answer again and are not taken in
    again; the same key with another body is refused. An event of a request that was not answered here, or not for the
    token's user, is refused alone. Whether the item was in the list is checked when outcomes are counted.
    """
    gateway = _gateway(request, None)
    principal: Principal = request.scope[PRINCIPAL]
    keys: IdempotencyKeys = request.app.state.idempotency_keys
    body = await request.body()
    try:
        repeated = idempotency_key is not None and keys.is_known(principal.name, idempotency_key, body)
    except KeyReusedError:
        return _problem(422, "the idempotency key was used for another body", errors=[])
    if not repeated:
        request.app.state.rate_limit.charge(principal.name, len(asked.events) - 1)
    own = [gateway.request_ids.is_own(event.request_id, principal.user_id) for event in asked.events]
    reason = "no request of this gateway" if principal.user_id is None else "no request of this gateway for this user"
    if not any(own):
        faults = [{"location": ["body", "events", 0, "request_id"], "message": reason}]
        return _problem(422, "no event is of a request that was answered here", errors=faults)
    events = [event for event, is_own in zip(asked.events, own, strict=True) if is_own]
    accepted = len(events) if repeated else gateway.log_events(events)
    if accepted < len(events):
        if gateway.events_are_stuck:
            raise HTTPException(503, "events cannot be kept", {"Retry-After": "10"})
        raise HTTPException(429, "busy", {"Retry-After": "1"})
    gateway.log_access(principal.name, "events", principal.user_id)
    if idempotency_key is not None and not repeated:
        keys.remember(principal.name, idempotency_key, body)
    refused = [{"index": index, "reason": reason} for index, is_own in enumerate(own) if not is_own]
    return _json({"accepted": accepted, "refused": refused}, 202)


# An id of dots alone is no part of an address: clients take it out before they ask.
_NO_ADDRESS: dict[int | str, dict[str, Any]] = {404: {"description": "No user id in the address."}}


@router.get(
    "/explanations/{user_id:path}",
    tags=["lists"],
    response_model=ExplanationResponse,
    responses=_NO_ADDRESS,
    summary="Why a user is ranked so",
)
async def explanations(user_id: Annotated[UserId, Path()], request: Request) -> Response:
    """The borrowed reasoning that goes into the user's rankings."""
    gateway = _gateway(request, user_id)
    served_arm, features = await gateway.ladder.explain(user_id)
    gateway.log_access(_name(request), "explanations", user_id)
    known = features is not None and features.complete and not features.cold
    step = ("fresh" if features.fresh else "last_known") if features is not None and known else POPULAR
    return _json(
        {
            "arm": served_arm.arm.name,
            "model_version": served_arm.arm.version,
            "ladder_step": step,
            "cold_start": features is not None and features.cold,
            "explanation": _explanation(features.explanation) if features is not None and known else None,
        }
    )


open_router = APIRouter()


@open_router.get("/healthz", tags=["operation"], summary="Whether the process answers")
async def healthz() -> Health:
    """Whether the process is alive."""
    return Health(status="ok")


@open_router.get("/readyz", tags=["operation"], summary="Whether requests can be answered, and what of it is degraded")
async def readyz(request: Request) -> Readiness:
    """Whether requests can be answered, and what is degraded."""
    gateway: Gateway = request.app.state.gateway
    arms = {served.arm.name: served.arm.version for served in gateway.arms.served}
    state = gateway.arms.record.state
    circuits, refused = gateway.open_circuits, gateway.arms.refused is not None
    unread = gateway.exclusions.refused is not None
    return Readiness(
        status="degraded" if circuits or refused or unread else "ready",
        state=state,
        arms=arms,
        open_circuits=circuits,
        newer_record_refused=refused,
        newer_exclusions_refused=unread,
    )


@open_router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The page that shows the OpenAPI document, without scripts."""
    page = documentation_page(request.app.openapi())
    return Response(page, media_type="text/html", headers={"content-security-policy": CONTENT_SECURITY_POLICY})


@open_router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """The metrics, in the form that Prometheus reads."""
    return Response(generate_latest(request.app.state.gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def create_app(settings: Settings) -> FastAPI:
    """The application, which connects when it starts.

    Raises:
        InputError: a setting is missing or wrong, or the arms cannot be served.
    """
    authenticator = open_authenticator(settings)
    measured = Metrics()
    gateway = Gateway(settings, measured)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        try:
            await gateway.start()
            gc.collect()
            gc.freeze()  # what is here now stays: a collection need not look at it
            yield
        finally:
            await gateway.close()

    app = FastAPI(
        title="RELAND ranking gateway",
        version=API_VERSION,
        description="Ranks and recommends items, with the borrowed reasoning that went into it.",
        lifespan=running,
        docs_url=None,  # FastAPI's page loads its scripts from a public host
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.state.idempotency_keys = IdempotencyKeys()
    app.openapi = lambda: openapi_document(app, settings.gateway_auth)  # type: ignore[method-assign]
    app.include_router(router)
    app.include_router(open_router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _refused)
    places = settings.gateway_concurrency
    local = settings.gateway_auth == "none"
    # Without keys and tokens all are one principal, whose rate says nothing.
    app.state.rate_limit = RateLimit(0.0 if local else settings.gateway_requests_per_second)
    app.add_middleware(
        Gate,
        authenticator=authenticator,
        rate_limit=app.state.rate_limit,
        # Half as many wait, so that a request which is taken in is answered within its budget.
        admission=Admission(places, (places + 1) // 2, settings.gateway_budget_ms / 1_000, measured),
        metrics=measured,
        local=local,
    )
    return app


def _gateway(request: Request, user_id: str | None) -> Gateway:
    """The gateway, for whoever may ask for this user."""
    principal: Principal = request.scope[PRINCIPAL]
    if user_id is not None and principal.user_id is not None and principal.user_id != user_id:
        raise HTTPException(403, "the token is of another user")
    gateway: Gateway = request.app.state.gateway
    return gateway


def _name(request: Request) -> str:
    principal: Principal = request.scope[PRINCIPAL]
    return principal.name


def _list(served: Served) -> dict[str, Any]:
    return {
        "request_id": served.request_id,
        "arm": served.served_arm.arm.name,
        "model": served.model,
        "model_version": served.served_arm.arm.version,
        "ladder_step": served.step,
        "cold_start": served.cold_start,
        "items": [{"item_id": item, "score": score} for item, score in zip(served.items, served.scores, strict=True)],
        "explanation": _explanation(served.explanation),
    }


def _explanation(explanation: Explanation | None) -> dict[str, Any] | None:
    return None if explanation is None else vars(explanation)


async def _invalid(request: Request, error: Exception) -> Response:
    """Says what is wrong where, and not what was sent: it may be large, or no JSON could hold it."""
    assert isinstance(error, RequestValidationError)
    faults = [{"location": fault["loc"], "message": fault["msg"]} for fault in error.errors()[:20]]
    return _problem(422, "the request is not as described", errors=faults)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return _problem(error.status_code, error.detail, error.headers)


def _problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: list[dict[str, Any]] | None = None
) -> Response:
    return Response(problem_body(status, detail, errors), status, headers, media_type=MEDIA_TYPE)


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
