"""Reading features at request time, many keys in one read, through Feast's own asynchronous API.

Feast 0.67 reads Redis asynchronously, all views of a service in one pipeline. Its SQLite store has no asynchronous
read, so there a thread reads; it is one thread, because a connection of SQLite answers one query at a time.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore


@dataclass(frozen=True)
class OnlineUser:
    """The features of a user; what the store does not have is empty or None.

    Attributes:
        history: item ids of the latest visits, oldest first.
        rationale_ids: by rank, with `similarities`.
        pool: the collection that the user was matched in.
        pushed: time of the oldest push among these features, in seconds since 1970; None where there is no feature.
    """

    history: list[str]
    rationale_ids: list[str]
    similarities: list[float]
    pushed: float | None
    pool: str = ""


@dataclass(frozen=True)
class OnlineRationale:
    """A row of `rationale_embedding`; `embedding` is float32[t]."""

    embedding: np.ndarray
    text_encoder: str
    explanation: str
    banned: bool


class OnlineFeatures:
    """Reads of users and rationales, for one event loop."""

    def __init__(self, store: "FeatureStore"):
        self._store = store
        self._services: dict[str, FeatureService] = {}
        # Feast's own feature server decides by the same attribute.
        self._asynchronous = store._get_provider().async_supported.online.read
        self._thread = None if self._asynchronous else ThreadPoolExecutor(1, "feast")

    async def start(self, services: Sequence[str]) -> None:
        """Resolve the feature services and read from each once, so that the first request finds everything ready.

        Raises:
            feast.errors.FeatureServiceNotFoundException: there is no service of a name.
            Exception: what the store raises where it does not answer.
        """
        for service in services:
            self._service(service)
        for service in services:
            await self.users(service, [""])
        await self.rationales([""])

    def _service(self, name: str) -> "FeatureService":
        if name not in self._services:
            self._services[name] = self._store.get_feature_service(name)
        return self._services[name]

    async def users(self, service: str, user_ids: Sequence[str]) -> dict[str, OnlineUser]:
        """The features of each user in `service`; every user is in the answer."""
        columns, times = await self._read(service, "user_id", user_ids)
        users = {}
        for row, user_id in enumerate(user_ids):
            values = {name: column[row] for name, column in columns.items()}
            pushed = [times[name][row] for name, value in values.items() if value.WhichOneof("val") is not None]
            users[user_id] = OnlineUser(
                history=list(values["items"].string_list_val.val),
                rationale_ids=list(values["rationale_ids"].string_list_val.val),
                similarities=list(values["similarities"].float_list_val.val),
                pushed=min(pushed) if pushed else None,
                pool=values["pool"].string_val,
            )
        return users

    async def rationales(self, rationale_ids: Sequence[str]) -> dict[str, OnlineRationale]:
        """Those of the rationales that the store holds, the banned ones included."""
        from feature_repo.definitions import RATIONALE_SERVICE

        columns, _ = await self._read(RATIONALE_SERVICE, "rationale_id", rationale_ids)
        return {
            rationale_id: OnlineRationale(
                embedding=_vector(columns["embedding"][row]),
                text_encoder=columns["text_encoder"][row].string_val,
                explanation=columns["explanation"][row].string_val,
                banned=columns["banned"][row].bool_val,
            )
            for row, rationale_id in enumerate(rationale_ids)
            if columns["embedding"][row].WhichOneof("val") is not None
        }

    async def close(self) -> None:
        """Close the connections; reads that run end first."""
        await self._store.close()
        if self._thread is not None:
            self._thread.shutdown()

    async def _read(self, name: str, key: str, values: Sequence[str]) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """The values (Feast's protocol buffers) by feature, and when each was pushed, both in the order of `values`."""
        features, rows = self._service(name), {key: list(values)}
        if self._asynchronous:
            response = await self._store.get_online_features_async(features, rows)
        else:
            read = self._store.get_online_features
            response = await asyncio.get_running_loop().run_in_executor(self._thread, read, features, rows)
        names = response.proto.metadata.feature_names.val
        columns = {name: result.values for name, result in zip(names, response.proto.results, strict=True)}
        times = {
            name: [time.seconds + time.nanos / 1e9 for time in result.event_timestamps]
            for name, result in zip(names, response.proto.results, strict=True)
        }
        return {n: c for n, c in columns.items() if n != key}, {n: t for n, t in times.items() if n != key}


def _vector(value: Any) -> np.ndarray:
    return np.array(value.float_list_val.val, np.float32)
