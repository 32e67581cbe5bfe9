"""The guard: follows the exposure log of a running rollout and aborts it when a guardrail is breached.

It judges what was served since the stage began and, so that a fault that begins late is not outweighed by the good days
before it, what came in of late: within 10 seconds, which is what a gateway writes at a time, and within a minute where
requests are few. Time is told by the clock that only goes forward, and stages by the number of the arms' record in
every exposure, so a clock that is set, here or at a gateway, changes nothing.

A gateway writes its log every 10 seconds; the guard looks once a second, and the gateways take over the record of the
abort within a second or two.
"""

import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.registry import CANDIDATE
from components.contracts.rollout_history import DesiredState
from components.contracts.serving import CONTROL, EXPOSURES, EXPOSURES_FOLDER, log_folder
from components.contracts.tables import read_table
from components.foundation.errors import InputError, RelandError
from components.foundation.progress import say
from components.foundation.settings import Settings
from serving.rollout.controller import LockedError, abort, status
from serving.rollout.guardrails import MEASURED_COLUMNS, ArmMeasures, Guardrail, Limits, judge, measure

LOOK_SECONDS = 1.0
RECENT_SECONDS = (10.0, 60.0)
SAY_SECONDS = 60.0
LOCKED_SECONDS = 60.0  # how long a guard that wants to abort waits for another command's end
# Files are named by the time they were written. Of those that were there before the guard, older ones are passed over.
EARLIER = timedelta(hours=1)


@dataclass(frozen=True)
class Watched:
    """How watching ended.

    Attributes:
        state: the rollout's last state that was watched.
        breached: what the rollout was aborted for; nothing where it was not.
        ended: the rollout was promoted or aborted by others.
    """

    state: DesiredState
    breached: list[Guardrail]
    ended: bool


class ExposureReader:
    """The exposures of one state as the log grows; every file is read once."""

    def __init__(self, folder: Path, state: DesiredState):
        self._folder = folder
        self._state = state.state
        self._seen: set[str] = set()
        if state.time:
            earliest = int((datetime.fromisoformat(state.time) - EARLIER).timestamp() * 1_000_000)
            self._seen = {path.name for path in folder.glob("*.parquet") if path.name < f"{earliest:020d}"}

    def read(self) -> pa.Table:
        """The rows of the files that have come since the last call, of `MEASURED_COLUMNS` and `state`."""
        columns = [*MEASURED_COLUMNS, "state"]
        tables = [pa.schema([EXPOSURES.field(name) for name in columns]).empty_table()]
        for path in sorted(self._folder.glob("*.parquet")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            try:
                tables.append(read_table(path, EXPOSURES, columns).filter(pc.field("state") == self._state))
            except RelandError as error:
                say(f"a file of the exposure log is passed over: {error}")
        return pa.concat_tables(tables)


class StageMeasures:
    """What a stage's exposures add up to, all of them and those that came in of late."""

    def __init__(self) -> None:
        self.total = (ArmMeasures(), ArmMeasures())  # candidate, control
        self._now = 0.0
        self._recent: deque[tuple[float, tuple[ArmMeasures, ArmMeasures]]] = deque()

    def add(self, exposures: pa.Table, now: float) -> None:
        """`now` is in seconds of any clock that only goes forward."""
        self._now = now
        while self._recent and self._recent[0][0] < now - max(RECENT_SECONDS):
            self._recent.popleft()
        if exposures.num_rows == 0:
            return
        arms = measure(exposures)
        added = arms.get(CANDIDATE, ArmMeasures()), arms.get(CONTROL, ArmMeasures())
        self._recent.append((now, added))
        self.total = _sum(self.total, added)

    def breached(self, limits: Limits) -> list[Guardrail]:
        """The guardrails that are breached in any of these, each once, as the shortest time shows it."""
        parts = [self.total]
        for seconds in sorted(RECENT_SECONDS, reverse=True):
            recent = [added for moment, added in self._recent if moment >= self._now - seconds]
            parts.append(reduce(_sum, recent, (ArmMeasures(), ArmMeasures())))
        found = [guardrail for part in parts for guardrail in judge(*part, limits) if guardrail.breached]
        return list({guardrail.name: guardrail for guardrail in found}.values())


def _sum(
    one: tuple[ArmMeasures, ArmMeasures], other: tuple[ArmMeasures, ArmMeasures]
) -> tuple[ArmMeasures, ArmMeasures]:
    return one[0] + other[0], one[1] + other[1]


def watch(settings: Settings, limits: Limits, seconds: float | None = None) -> Watched:
    """Watch the rollout that runs until it ends, for `seconds` at most, and abort it when a guardrail is breached.

    Raises:
        InputError: no rollout runs.
        LockedError: another command does not end.
    """
    began = said = time.monotonic()
    state = status(settings).desired
    if state.candidate is None:
        raise InputError("no rollout runs: `reland rollout start` starts one")
    folder = log_folder(settings, EXPOSURES_FOLDER)
    reader, measures = ExposureReader(folder, state), StageMeasures()
    say(f"watching version {state.candidate.version} at weight {state.candidate.weight:g}, stage {state.stage}")
    while seconds is None or time.monotonic() - began < seconds:
        current = status(settings).desired
        if current.rollout != state.rollout or current.candidate is None:
            return Watched(state, [], ended=True)
        if current.state != state.state:
            state = current
            reader, measures = ExposureReader(folder, state), StageMeasures()
            said = time.monotonic()
            say(f"watching stage {state.stage}, at weight {current.candidate.weight:g}")
        measures.add(reader.read(), time.monotonic())
        breached = measures.breached(limits)
        if breached:
            reason = "guardrails: " + "; ".join(map(str, breached))
            ended = _abort(settings, state, reason) is None
            return Watched(state, [] if ended else breached, ended)
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            say("; ".join(map(str, judge(*measures.total, limits))))
        time.sleep(LOOK_SECONDS)
    return Watched(state, [], ended=False)


def _abort(settings: Settings, state: DesiredState, reason: str) -> DesiredState | None:
    """Abort the rollout, after a command that runs; None where that has ended it."""
    deadline = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return abort(settings, reason, state.rollout)
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)
