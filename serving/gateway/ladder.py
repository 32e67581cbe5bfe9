"""Answering a request with the best that answers within its time: the ladder of `contracts.serving.LADDER`.

===============  =========================================  ==========================================================
step             features                                   scores
===============  =========================================  ==========================================================
`fresh`          read now, or within the bound on their age the arm's ranker
`last_known`     of an earlier read                         the arm's ranker
`id_only`        the history is known                       `reland_id_only` of the arm's version
`similar`        the history is known                       what others visited after the items of the history
`popular`        none, or the user is new                   training visits of the arm's version
===============  =========================================  ==========================================================

No step gives an item that operators exclude (`contracts.exclusions`).

A request's time is divided beforehand (`Budget`), so that a stage that takes too long is cancelled while there is time
for the step below. Candidates of a recommendation have a ladder of their own: the item index, the exact index in this
process, what others visited after the items of the history, popular items.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from components.contracts.ranking_signature import CANDIDATES, HISTORY, RATIONALE
from components.contracts.serving import ID_ONLY_MODEL
from serving.gateway.arms import Arms, ServedArm
from serving.gateway.breaker import CircuitBreaker, DependencyError
from serving.gateway.features import Explanation, FeatureReader, Features
from serving.gateway.metrics import Metrics
from serving.gateway.ranker_client import RankerClient
from serving.gateway.request_ids import RequestIds

POPULAR = "popular"  # the name of the step, of the source of candidates, and of what stands for a model there
SIMILAR = "similar"  # likewise
RECOMMENDED_FROM = 200  # how many a recommendation ranks


@dataclass(frozen=True)
class Budget:
    """Seconds that each stage may take; together they are what a request may take."""

    features: float
    user_vector: float
    item_index: float
    ranking: float
    id_only: float

    @staticmethod
    def of(total: float) -> "Budget":
        """The shares of a total: most for what goes over the network twice or searches, enough for the step below."""
        return Budget(0.25 * total, 0.15 * total, 0.25 * total, 0.2 * total, 0.15 * total)


@dataclass(frozen=True)
class RankedRequest:
    """What a model was asked about one user and what it answered.

    Attributes:
        features: that the inputs were made of.
        inputs: the model's, with a batch dimension of 1.
        scores: float32[C], in the order of the candidates.
    """

    features: Features
    inputs: dict[str, np.ndarray]
    scores: np.ndarray


@dataclass(frozen=True)
class Served:
    """A list as it is served, and how it came about; items best first, equal scores in the candidates' order."""

    request_id: str
    user_id: str
    endpoint: str
    served_arm: ServedArm
    state: int
    model: str
    step: str
    cold_start: bool
    items: list[str]
    scores: list[float]
    unknown_items: list[str]
    excluded_items: list[str]
    explanation: Explanation | None
    candidates_from: str | None
    seconds: dict[str, float]  # by stage, and `total`
    asked: RankedRequest | None  # None where no model answered


@dataclass
class _Request:
    """The state of one request on its way down."""

    user_id: str
    endpoint: str
    served_arm: ServedArm
    state: int
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class _Scores:
    scores: np.ndarray
    model: str
    step: str
    asked: RankedRequest | None


class Ladder:
    """Answers requests, on one event loop; no failure of a dependency reaches its callers."""

    def __init__(
        self,
        arms: Arms,
        features: FeatureReader,
        ranker: RankerClient,
        breaker: Callable[[str], CircuitBreaker],
        metrics: Metrics,
        budget: Budget,
        request_ids: RequestIds,
        excluded_items: Callable[[], frozenset[str]] = frozenset,
    ):
        """`breaker` gives the circuit breaker of a dependency's name, always the same for the same name;
        `excluded_items` those that no list may hold now."""
        self._arms = arms
        self._features = features
        self._ranker = ranker
        self._breaker = breaker
        self._metrics = metrics
        self._budget = budget
        self._request_ids = request_ids
        self._excluded_items = excluded_items

    async def rank(self, user_id: str, candidates: list[str]) -> Served:
        """The candidates that the ranker knows, ranked; the others are listed as unknown, or as excluded."""
        request = self._begin(user_id, "rank")
        known_items = request.served_arm.catalogue.index_of
        excluded = self._excluded_items()
        known = [item for item in candidates if item in known_items and item not in excluded]
        unknown = [item for item in candidates if item not in known_items]
        kept_out = [item for item in candidates if item in known_items and item in excluded]
        features = await self._read_features(request)
        # What finding candidates would take is the ranker's here.
        seconds = self._budget.user_vector + self._budget.item_index + self._budget.ranking
        served = await self._rank(request, features, known, len(known), None, seconds)
        return replace(served, unknown_items=unknown, excluded_items=kept_out)

    async def recommend(self, user_id: str, count: int) -> Served:
        """The best `count` items among the candidates of the user's item index that are not in the history."""
        request = self._begin(user_id, "recommend")
        features = await self._read_features(request)
        began = time.perf_counter()
        candidates, source = await self._find_candidates(request.served_arm, features, max(RECOMMENDED_FROM, count))
        request.seconds["candidates"] = time.perf_counter() - began
        self._metrics.candidates.labels(source).inc()
        return await self._rank(request, features, candidates, count, source, self._budget.ranking)

    async def explain(self, user_id: str) -> tuple[ServedArm, Features | None]:
        """The features that hold a user's explanation, None where the store does not answer and nothing is known."""
        request = self._begin(user_id, "explain")
        return request.served_arm, await self._read_features(request)

    def _begin(self, user_id: str, endpoint: str) -> _Request:
        return _Request(user_id, endpoint, self._arms.of(user_id), self._arms.record.state)

    async def _read_features(self, request: _Request) -> Features | None:
        began = time.perf_counter()
        arm = request.served_arm
        try:
            return await self._features.read(arm.arm.feature_service, request.user_id, arm.catalogue)
        except DependencyError:
            return None
        finally:
            request.seconds["features"] = time.perf_counter() - began

    async def _find_candidates(self, arm: ServedArm, features: Features | None, count: int) -> tuple[list[str], str]:
        """At most `count` items that are neither in the history nor excluded, and where they came from."""
        left_out = {item for item in self._excluded_items() if item in arm.catalogue.index_of}
        left_out |= set(features.history) if features is not None else set()
        vector = await self._search_vector(arm, features) if features is not None and not features.cold else None
        if vector is not None:
            for name, index in arm.indexes.items():
                search = partial(index.search, vector, count + len(left_out))
                try:
                    found = await self._breaker(f"{name}:{arm.arm.version}").call(search, self._budget.item_index)
                except DependencyError:
                    continue
                # An index of another version would name items that the ranker does not know.
                known = [item for item in found if item not in left_out and item in arm.catalogue.index_of]
                return known[:count], name
        popular = [item for item in arm.catalogue.popular[: count + len(left_out)] if item not in left_out]
        similar = arm.catalogue.similar_scores(features.history) if features is not None else None
        if similar is None:
            return popular[:count], POPULAR
        numbers = np.flatnonzero(similar)
        best = numbers[np.argsort(-similar[numbers], kind="stable")]
        found = [item for number in best if (item := arm.catalogue.item_ids[number - 1]) not in left_out]
        return list(dict.fromkeys([*found, *popular]))[:count], SIMILAR

    async def _search_vector(self, arm: ServedArm, features: Features) -> np.ndarray | None:
        """float32[e], what the item index is searched with; None where Triton does not give it."""
        inputs = _inputs(arm, features)
        breaker = self._breaker(f"user_vector:{arm.arm.version}")
        try:
            vector = await breaker.call(
                partial(self._ranker.user_vector, arm.arm.version, inputs), self._budget.user_vector
            )
        except DependencyError:
            return None
        return vector[0]

    async def _rank(
        self,
        request: _Request,
        features: Features | None,
        candidates: list[str],
        count: int,
        source: str | None,
        seconds: float,
    ) -> Served:
        began = time.perf_counter()
        arm = request.served_arm
        scored = await self._score(arm, features, candidates, seconds)
        request.seconds["ranking"] = time.perf_counter() - began
        order = np.argsort(-scored.scores, kind="stable")[:count]
        with_rationale = features is not None and scored.step in ("fresh", "last_known")
        request.seconds["total"] = time.perf_counter() - request.began
        for stage, seconds in request.seconds.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        self._metrics.arm_seconds.labels(arm.arm.name).observe(request.seconds["total"])
        if candidates:  # a list of unknown items alone has no step, so it is no degraded one
            self._metrics.answers.labels(request.endpoint, scored.step, arm.arm.name).inc()
        cold = features is not None and features.cold
        if cold:
            self._metrics.cold_starts.labels(arm.arm.name).inc()
        explanation = features.explanation if features is not None and with_rationale else None
        if explanation is not None:
            self._metrics.similarity.labels(arm.arm.name).observe(explanation.similarity)
        return Served(
            request_id=self._request_ids.new(request.user_id),
            user_id=request.user_id,
            endpoint=request.endpoint,
            served_arm=arm,
            state=request.state,
            model=scored.model,
            step=scored.step,
            cold_start=cold,
            items=[candidates[row] for row in order],
            scores=scored.scores[order].tolist(),
            unknown_items=[],
            excluded_items=[],
            explanation=explanation,
            candidates_from=source,
            seconds=request.seconds,
            asked=scored.asked,
        )

    async def _score(self, arm: ServedArm, features: Features | None, candidates: list[str], seconds: float) -> _Scores:
        """float32[C], by the best step that answers; `seconds` is what the arm's ranker may take."""
        if candidates and features is not None and not features.cold:
            numbers = np.array([[arm.catalogue.index_of[item] for item in candidates]], np.int64)
            if features.complete:
                step = "fresh" if features.fresh else "last_known"
                scored = await self._ask(arm, arm.arm.model, step, features, numbers, seconds)
                if scored is not None:
                    return scored
            without = replace(features, rationale=np.zeros_like(features.rationale))
            scored = await self._ask(arm, ID_ONLY_MODEL, "id_only", without, numbers, self._budget.id_only)
            if scored is not None:
                return scored
        visits = np.array([arm.catalogue.visits[item] for item in candidates], np.float32)
        similar = arm.catalogue.similar_scores(features.history) if features is not None else None
        if similar is None or not candidates:
            return _Scores(visits, POPULAR, POPULAR, None)
        of_candidates = similar[[arm.catalogue.index_of[item] for item in candidates]]
        # Those that nobody visited after the history come after the others, by their visits.
        least = of_candidates.min(where=of_candidates > 0, initial=np.inf)
        behind = (least if np.isfinite(least) else 1.0) / 2 * visits / max(float(visits.max()), 1.0)
        return _Scores(np.where(of_candidates > 0, of_candidates, behind).astype(np.float32), SIMILAR, SIMILAR, None)

    async def _ask(
        self, arm: ServedArm, model: str, step: str, features: Features, numbers: np.ndarray, seconds: float
    ) -> _Scores | None:
        """The scores of a model, None where it gives none."""
        version = arm.arm.version
        inputs = _inputs(arm, features) | {CANDIDATES: numbers}
        try:
            scores = await self._breaker(f"{model}:{version}").call(
                partial(self._ranker.rank, model, version, inputs), seconds
            )
        except DependencyError:
            return None
        return _Scores(scores[0], model, step, RankedRequest(features, inputs, scores[0]))


def _inputs(arm: ServedArm, features: Features) -> dict[str, np.ndarray]:
    """The inputs of a user that the arm's ranker declares: no other is sent."""
    inputs = {HISTORY: arm.catalogue.history(features.history), RATIONALE: features.rationale}
    return {name: inputs[name] for name in arm.catalogue.inputs}
