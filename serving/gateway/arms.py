"""The arms that are served: the arms' record with what each arm needs loaded, taken over while requests run.

A record is looked at once a second. One that cannot be served, because it is no record or a file of a version is
missing, leaves the one before it in place, is counted and is tried again; at the start it ends the gateway.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from components.contracts.generation import generation_begun
from components.contracts.serving import ROLLOUT_FOLDER, Arm, RolloutRecord, assign_arm, read_rollout
from components.contracts.user_list import UserList, read_user_list
from components.foundation.errors import InputError, RelandError
from components.foundation.progress import say
from feature_repo.definitions import user_service
from serving.gateway.catalogue import Catalogue, read_catalogue
from serving.gateway.item_index import ExactIndex, ItemIndex, MilvusIndex
from serving.gateway.metrics import Metrics

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class ServedArm:
    """An arm, the items of its ranker, and its item indexes, best first, each by the name that answers give it."""

    arm: Arm
    catalogue: Catalogue
    indexes: dict[str, ItemIndex]


class Arms:
    """The record in use; `of` a user never waits."""

    def __init__(self, file: Path, repository: Path, milvus_uri: str, metrics: Metrics):
        """`repository` is Triton's model repository; without `milvus_uri` the exact index is the only one.

        Raises:
            InputError: the record, or a file that it needs, is missing or wrong.
        """
        self._file = file
        self._repository = repository
        self._milvus_uri = milvus_uri
        self._metrics = metrics
        self._seen: tuple[int, int] | None = None
        self.refused: str | None = None  # why the newest record is not the one in use
        self._arms: dict[str, ServedArm] = {}
        self._lists: dict[str, UserList] = {}  # by file
        self.record, self._arms, self._lists = self._read()

    @property
    def served(self) -> list[ServedArm]:
        """Every arm, with what serves it."""
        return list(self._arms.values())

    def of(self, user_id: str) -> ServedArm:
        """The arm of a user."""
        record = self.record
        takes_part = record.segment is None or user_id in self._lists[record.segment]
        allowed = record.allow_list is not None and user_id in self._lists[record.allow_list]
        return self._arms[assign_arm(record, user_id, takes_part, allowed).name]

    def _read(self) -> tuple[RolloutRecord, dict[str, ServedArm], dict[str, UserList]]:
        seen = _state_of(self._file)
        record = read_rollout(self._file)
        known = {(served.arm.model, served.arm.version): served.catalogue for served in self._arms.values()}
        arms = {}
        for arm in record.arms:
            if arm.feature_service != user_service(arm.slot):
                raise InputError(f"{self._file}: arm {arm.name!r} names {arm.feature_service}, not the slot {arm.slot}")
            catalogue = known.get((arm.model, arm.version))
            if catalogue is None:
                catalogue = read_catalogue(self._repository / arm.model / str(arm.version))
                known[arm.model, arm.version] = catalogue
            arms[arm.name] = ServedArm(arm, catalogue, self._indexes(arm, catalogue))
        # A list's file is named by its content, so the same name is the same list.
        folder = self._file.parent / ROLLOUT_FOLDER
        files = {file for file in (record.allow_list, record.segment) if file is not None}
        lists = {file: self._lists[file] if file in self._lists else read_user_list(folder / file) for file in files}
        self._metrics.record_state.set(record.state)
        self._metrics.generation_begun.clear()
        for arm in record.arms:
            begun = generation_begun(arm.generation)
            if begun is not None:
                self._metrics.generation_begun.labels(arm.name).set(begun.timestamp())
        self._seen = seen
        return record, arms, lists

    async def follow(self) -> None:
        """Take over every new record, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if _state_of(self._file) == self._seen:
                continue
            try:
                before = self._milvus_indexes()
                self.record, self._arms, self._lists = await asyncio.to_thread(self._read)
                for index in before - self._milvus_indexes():
                    await index.close()
            except Exception as error:  # whatever it is, the next look may find it mended
                self._metrics.record_errors.inc()
                reason = str(error) if isinstance(error, RelandError) else f"{type(error).__name__}: {error}"
                if reason != self.refused:
                    self.refused = reason
                    say(f"the arms stay as they are: {reason}")
            else:
                self.refused = None
                weights = ", ".join(f"{arm.name} {arm.weight:g}" for arm in self.record.arms)
                say(f"took over the arms' record, state {self.record.state}: {weights}")

    async def close(self) -> None:
        """Close the connections."""
        for index in self._milvus_indexes():
            await index.close()

    def _indexes(self, arm: Arm, catalogue: Catalogue) -> dict[str, ItemIndex]:
        exact: dict[str, ItemIndex] = {"exact": ExactIndex(catalogue)}
        if not self._milvus_uri:
            return exact
        known = {index.collection: index for index in self._milvus_indexes()}
        milvus = known.get(arm.item_collection) or MilvusIndex(self._milvus_uri, arm.item_collection)
        return {"item_index": milvus, **exact}

    def _milvus_indexes(self) -> set[MilvusIndex]:
        indexes = (index for served in self._arms.values() for index in served.indexes.values())
        return {index for index in indexes if isinstance(index, MilvusIndex)}


def _state_of(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
