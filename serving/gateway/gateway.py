"""The parts of a running gateway: made from the settings, started, and closed together."""

import asyncio
import time
from typing import Any

from components.contracts.exclusions import exclusions_file
from components.contracts.ranking_signature import CANDIDATES, HISTORY, RATIONALE
from components.contracts.serving import (
    ACCESSES,
    ACCESSES_FOLDER,
    EVENTS_FOLDER,
    EXPOSURES,
    EXPOSURES_FOLDER,
    OUTCOME_EVENTS,
    RANKED_REQUESTS,
    RANKED_REQUESTS_FOLDER,
    log_folder,
    rollout_file,
)
from components.foundation.errors import InputError
from components.foundation.progress import say
from components.foundation.settings import Settings
from feature_repo.online import OnlineFeatures
from feature_repo.store import open_feature_store
from serving.gateway.api import Event, moment_of
from serving.gateway.arms import Arms
from serving.gateway.breaker import CircuitBreaker
from serving.gateway.exclusions import FollowedExclusions
from serving.gateway.features import FeatureReader
from serving.gateway.ladder import Budget, Ladder, Served
from serving.gateway.metrics import Metrics
from serving.gateway.ranker_client import RankerClient
from serving.gateway.request_ids import open_request_ids
from serving.gateway.retention import keep_days
from serving.gateway.row_log import Row, RowLog

START_SECONDS = 60.0  # what the feature store gets to answer for the first time


class Gateway:
    """Everything that requests share. What a setting or a file can be at fault for is found when it is made."""

    def __init__(self, settings: Settings, metrics: Metrics):
        """
        Raises:
            InputError: a setting is missing or wrong, or the arms cannot be served.
        """
        if not settings.triton_grpc:
            raise InputError(
                "setting RELAND_TRITON_GRPC: not set, expected host:port of Triton (or use `reland serve`)"
            )
        self.metrics = metrics
        self._share = settings.ranked_requests_share
        self._breakers: dict[str, CircuitBreaker] = {}
        self._online = OnlineFeatures(open_feature_store(settings))
        self._ranker = RankerClient(settings.triton_grpc)
        # Without a Milvus server there is the exact index alone: Milvus Lite's file is for one process, not this one.
        self.arms = Arms(rollout_file(settings), settings.resolved_model_repository, settings.milvus_uri, metrics)
        budget = Budget.of(settings.gateway_budget_ms / 1_000)
        self.exclusions = FollowedExclusions(exclusions_file(settings), metrics)
        features = FeatureReader(
            self._online,
            self.breaker("feature_store"),
            metrics,
            budget.features,
            settings.gateway_feature_seconds,
            lambda: self.exclusions.current,
        )
        self.request_ids = open_request_ids(rollout_file(settings).parent)
        self.ladder = Ladder(
            self.arms,
            features,
            self._ranker,
            self.breaker,
            metrics,
            budget,
            self.request_ids,
            lambda: self.exclusions.current.items,
        )
        self._exposures = self._open_log(settings, EXPOSURES_FOLDER, EXPOSURES)
        self._events = self._open_log(settings, EVENTS_FOLDER, OUTCOME_EVENTS)
        self._ranked = self._open_log(settings, RANKED_REQUESTS_FOLDER, RANKED_REQUESTS)
        self._logs = [self._exposures, self._events, self._ranked]
        self._accesses: RowLog | None = None
        if settings.gateway_auth != "none":
            self._accesses = self._open_log(settings, ACCESSES_FOLDER, ACCESSES)
            self._logs.append(self._accesses)
        self._log_days = settings.gateway_log_days
        self._following: list[asyncio.Task[None]] = []

    def _open_log(self, settings: Settings, name: str, schema: Any) -> RowLog:
        lost, failures = self.metrics.log_lost.labels(name), self.metrics.log_failures.labels(name)
        return RowLog(log_folder(settings, name), schema, lost.inc, failures.inc)

    def breaker(self, dependency: str) -> CircuitBreaker:
        """The circuit breaker of a dependency."""
        if dependency not in self._breakers:
            is_open = self.metrics.circuit_open.labels(dependency)

            def changed(reason: str | None) -> None:
                is_open.set(reason is not None)
                say(f"{dependency}: {'answers again' if reason is None else f'is left alone for a moment: {reason}'}")

            failed = self.metrics.failures.labels(dependency).inc
            self._breakers[dependency] = CircuitBreaker(dependency, on_failure=failed, on_change=changed)
        return self._breakers[dependency]

    @property
    def open_circuits(self) -> list[str]:
        """Names of the dependencies that are not called now."""
        return sorted(name for name, breaker in self._breakers.items() if breaker.is_open)

    @property
    def events_are_stuck(self) -> bool:
        """Whether the disk takes no events now."""
        return self._events.is_stuck

    async def start(self) -> None:
        """Connect, inside the event loop that serves; a feature store that does not answer yet is no hindrance."""
        self._ranker.connect()
        for log in self._logs:
            log.start()
        self._following = [asyncio.create_task(each.follow()) for each in (self.arms, self.exclusions)]
        if self._log_days:
            folders = [log.folder for log in self._logs]
            self._following.append(asyncio.create_task(keep_days(folders, self._log_days)))
        services = sorted({served.arm.feature_service for served in self.arms.served})
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._online.start(services)
        except Exception as error:
            say(f"the feature store does not answer yet: {type(error).__name__}: {error}")

    async def close(self) -> None:
        """Write the logs and close the connections."""
        for task in self._following:
            task.cancel()
        for log in self._logs:
            await asyncio.to_thread(log.close)
        await self._ranker.close()
        await self._online.close()
        await self.arms.close()

    def log_access(self, principal: str, endpoint: str, user_id: str | None, request_id: str | None = None) -> None:
        """Log who asked for what, where keys or tokens say who it is."""
        if self._accesses is not None:
            row = {"principal": principal, "endpoint": endpoint, "user_id": user_id, "request_id": request_id}
            self._accesses.append(row | {"time": time.time_ns() // 1_000})

    def log_exposure(self, served: Served) -> None:
        """Log what was served, and of a share of it also what the model was asked."""
        now = time.time_ns() // 1_000
        arm = served.served_arm.arm
        explanation = served.explanation
        self._exposures.append(
            {
                "request_id": served.request_id,
                "user_id": served.user_id,
                "endpoint": served.endpoint,
                "arm": arm.name,
                "state": served.state,
                "model": served.model,
                "model_version": arm.version,
                "generation": arm.generation,
                "items": served.items,
                "positions": list(range(1, len(served.items) + 1)),
                "scores": served.scores,
                "ladder_step": served.step,
                "cold_start": served.cold_start,
                "rationale_id": explanation.rationale_id if explanation else None,
                "time": now,
                **{f"seconds_{stage}": seconds for stage, seconds in served.seconds.items()},
            }
        )
        if served.asked is not None and int(served.request_id[:8], 16) < self._share * 2**32:
            self._ranked.append(_ranked_request(served, now))

    def log_events(self, events: list[Event]) -> int:
        """Log outcomes; how many of them were taken in, from the first on."""
        now = time.time_ns() // 1_000
        for number, event in enumerate(events):
            happened = now if event.time is None else moment_of(event.time)
            row = {"request_id": event.request_id, "item_id": event.item_id, "outcome": event.outcome}
            if not self._events.append(row | {"time": happened}):
                return number
            self.metrics.events.labels(event.outcome).inc()
        return len(events)


def _ranked_request(served: Served, now: int) -> Row:
    asked, arm = served.asked, served.served_arm.arm
    assert asked is not None
    rationale = asked.inputs[RATIONALE]
    explanation = asked.features.explanation if rationale.any() else None
    return {
        "request_id": served.request_id,
        "user_id": served.user_id,
        "model": served.model,
        "model_version": arm.version,
        "slot": arm.slot,
        "history": asked.inputs[HISTORY][0],
        "rationale_id": explanation.rationale_id if explanation else None,
        "rationale": rationale.ravel(),
        "candidates": asked.inputs[CANDIDATES][0],
        "scores": asked.scores,
        "time": now,
    }
