"""The features of a user at request time: read now, or remembered for a bounded time, or the last that are known.

A read goes from the user to rationale ids to rationales. Users are remembered for `user_seconds`. A rationale never
changes under its id, so its vector could be kept for ever; its row is read again after `rationale_seconds` for the mark
of a ban that is in no decision of `contracts.exclusions`. Those decisions are asked at every request. Where a read
fails, what was read before is used, however old, and the features say so.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from components.contracts.exclusions import Exclusions
from feature_repo.online import OnlineFeatures, OnlineRationale, OnlineUser
from serving.gateway.batching import BatchReader
from serving.gateway.breaker import CircuitBreaker, DependencyError
from serving.gateway.catalogue import Catalogue
from serving.gateway.metrics import Metrics
from serving.gateway.recent import Recent

Value = TypeVar("Value")

REMEMBERED_USERS = 20_000  # with 50 visits, about 5 kB each
REMEMBERED_RATIONALES = 20_000  # at 384 numbers each, 30 MB


@dataclass(frozen=True)
class Explanation:
    """Why a user is ranked as it is: the borrowed rationale; never whose it is."""

    preference_summary: str
    rationale_id: str
    similarity: float


@dataclass(frozen=True)
class Features:
    """What the models are asked with, of one user.

    Attributes:
        history: item ids of the latest visits, oldest first.
        rationale: float32[1, K, t], a zero row is no rationale.
        explanation: of the first rationale, None without one.
        fresh: False where a part is what an earlier read gave.
        complete: False where a rationale could not be read at all, or where a part was made by another text encoder,
            has another length or was matched in another pool than the ranker's, so that only a model which does not
            look at them may answer.
        cold: nothing is known of the user.
    """

    history: list[str]
    rationale: np.ndarray
    explanation: Explanation | None
    fresh: bool
    complete: bool
    cold: bool


class FeatureReader:
    """Reads features for one event loop; concurrent reads share a request to the store."""

    def __init__(
        self,
        online: OnlineFeatures,
        breaker: CircuitBreaker,
        metrics: Metrics,
        seconds: float,
        user_seconds: float,
        exclusions: Callable[[], Exclusions] = Exclusions,
        rationale_seconds: float = 30.0,
    ):
        """`seconds` bounds a whole read: of the user, then of the rationales in what is left; `exclusions` gives those
        in force."""
        self._online = online
        self._breaker = breaker
        self._metrics = metrics
        self._seconds = seconds
        self._exclusions = exclusions
        self._users: Recent[tuple[str, str], OnlineUser] = Recent(REMEMBERED_USERS, user_seconds)
        self._rationales: Recent[str, OnlineRationale] = Recent(REMEMBERED_RATIONALES, rationale_seconds)
        self._user_reads: dict[str, BatchReader[str, OnlineUser]] = {}
        self._rationale_reads = BatchReader(self._read_rationales)

    async def read(self, service: str, user_id: str, catalogue: Catalogue) -> Features:
        """The features of a user in the shape that a ranker reads.

        Raises:
            DependencyError: the store does not answer, and nothing is known of the user from before.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        user, fresh = await self._user(service, user_id, deadline)
        chosen: list[tuple[str, float, OnlineRationale]] = []
        complete = True
        exclusions = self._exclusions()
        read = await asyncio.gather(*(self._rationale(rationale_id, deadline) for rationale_id in user.rationale_ids))
        for rationale_id, similarity, found in zip(user.rationale_ids, user.similarities, read, strict=True):
            if found is None:
                complete = False
                continue
            rationale, newly = found
            fresh = fresh and newly
            if rationale is None or exclusions.ban(rationale_id, rationale.explanation, rationale.banned):
                continue
            if len(chosen) < catalogue.rationales_per_user:
                chosen.append((rationale_id, similarity, rationale))
        return self._shape(user, chosen, fresh, complete, catalogue)

    async def _user(self, service: str, user_id: str, deadline: float) -> tuple[OnlineUser, bool]:
        key = service, user_id
        found = self._users.fresh(key)
        self._metrics.cache.labels("user", "miss" if found is None else "hit").inc()
        if found is not None:
            return found, True
        if service not in self._user_reads:
            self._user_reads[service] = BatchReader(lambda users: self._read_users(service, users))
        try:
            user = await self._within(deadline, self._user_reads[service].get(user_id))
        except DependencyError:
            last = self._users.last(key)
            if last is None:
                raise
            return last, False
        assert user is not None, "a read gives every user"
        self._users.put(key, user)
        if user.pushed is not None:
            self._metrics.feature_age.observe(max(0.0, time.time() - user.pushed))
        return user, True

    async def _rationale(self, rationale_id: str, deadline: float) -> tuple[OnlineRationale | None, bool] | None:
        """The rationale where there is one, and whether it is fresh; None where the store does not answer."""
        found = self._rationales.fresh(rationale_id)
        self._metrics.cache.labels("rationale", "miss" if found is None else "hit").inc()
        if found is not None:
            return found, True
        try:
            rationale = await self._within(deadline, self._rationale_reads.get(rationale_id))
        except DependencyError:
            last = self._rationales.last(rationale_id)
            return None if last is None else (last, False)
        if rationale is not None:
            self._rationales.put(rationale_id, rationale)
        return rationale, True

    async def _within(self, deadline: float, read: Awaitable[Value]) -> Value:
        """The breaker ends a read in time; this also bounds the wait for a place in one."""
        try:
            async with asyncio.timeout_at(deadline):
                return await read
        except TimeoutError as error:
            raise DependencyError("feature_store: no answer in time") from error

    async def _read_users(self, service: str, users: Sequence[str]) -> dict[str, OnlineUser]:
        return await self._breaker.call(lambda: self._online.users(service, users), self._seconds)

    async def _read_rationales(self, ids: Sequence[str]) -> dict[str, OnlineRationale]:
        return await self._breaker.call(lambda: self._online.rationales(ids), self._seconds)

    def _shape(
        self,
        user: OnlineUser,
        chosen: list[tuple[str, float, OnlineRationale]],
        fresh: bool,
        complete: bool,
        catalogue: Catalogue,
    ) -> Features:
        rationale = np.zeros((1, catalogue.rationales_per_user, catalogue.text_dimension), np.float32)
        for row, (_, _, found) in enumerate(chosen):
            if found.text_encoder == catalogue.text_encoder and len(found.embedding) == catalogue.text_dimension:
                rationale[0, row] = found.embedding
            else:
                complete = self._refuse("rationale")
        if user.rationale_ids and user.pool != catalogue.pool:
            complete = self._refuse("assignment")
        explanation = None
        if chosen:
            rationale_id, similarity, first = chosen[0]
            explanation = Explanation(first.explanation, rationale_id, similarity)
        cold = not user.history and not user.rationale_ids
        return Features(user.history, rationale, explanation, fresh, complete, cold)

    def _refuse(self, feature: str) -> bool:
        self._metrics.mismatches.labels(feature).inc()
        return False
