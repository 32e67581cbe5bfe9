"""The guard: follows the logs of a running rollout and aborts it when a guardrail is breached.

It judges what was served since the stage began and, so that a fault that begins late is not outweighed by the good days
before it, what came in of late: within 10 seconds, which is what a gateway writes at a time, and within a minute where
requests are few. Time is told by the clock that only goes forward, and stages by the number of the arms' record in
every exposure, so a clock that is set, here or at a gateway, changes nothing.

Events are joined to the lists that the guard has seen in the last hour, so outcomes that come later count for nothing:
in neither arm. Files of either log are read once.

A gateway writes its log every 10 seconds; the guard looks once a second, and the gateways take over the record of the
abort within a second or two.
"""

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.registry import CANDIDATE
from components.contracts.rollout_history import DesiredState
from components.contracts.serving import (
    CONTROL,
    EVENTS_FOLDER,
    EXPOSURES,
    EXPOSURES_FOLDER,
    OUTCOME_EVENTS,
    OUTCOMES,
    log_folder,
)
from components.contracts.tables import read_table
from components.foundation.errors import InputError, RelandError
from components.foundation.progress import say
from components.foundation.settings import Settings
from serving.rollout.controller import LockedError, abort, status
from serving.rollout.guardrails import (
    MEASURED_COLUMNS,
    ArmMeasures,
    Guardrail,
    Limits,
    Outcomes,
    group_of,
    judge,
    measure,
)

LOOK_SECONDS = 1.0
RECENT_SECONDS = (10.0, 60.0)
SAY_SECONDS = 60.0
LOCKED_SECONDS = 60.0  # how long a guard that wants to abort waits for another command's end
# Files are named by the time they were written. Of those that were there before the guard, older ones are passed over.
EARLIER = timedelta(hours=1)
# How long, and how many, lists wait for their outcomes.
OUTCOME_SECONDS = 3_600.0
MOST_LISTS = 1_000_000


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


class LogReader:
    """The rows of a log as it grows; every file is read once.

    Args:
        columns: those that are wanted.
        started: when the stage was wanted, in ISO form; empty: every file counts.
    """

    def __init__(self, folder: Path, schema: pa.Schema, columns: Sequence[str], started: str):
        self._folder, self._schema, self._columns = folder, schema, list(columns)
        self._seen: set[str] = set()
        if started:
            earliest = int((datetime.fromisoformat(started) - EARLIER).timestamp() * 1_000_000)
            self._seen = {path.name for path in folder.glob("*.parquet") if path.name < f"{earliest:020d}"}

    def read(self) -> pa.Table:
        """The rows of the files that have come since the last call."""
        tables = [pa.schema([self._schema.field(name) for name in self._columns]).empty_table()]
        for path in sorted(self._folder.glob("*.parquet")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            try:
                tables.append(read_table(path, self._schema, self._columns))
            except RelandError as error:
                say(f"a file of the log is passed over: {error}")
        return pa.concat_tables(tables)


class OutcomeJoin:
    """Which arm and group of users the events of a stage belong to."""

    def __init__(self) -> None:
        # By request id, oldest first: when it was seen, place of its arm (0: candidate), group, items, outcomes so far.
        self._lists: dict[str, tuple[float, int, int, tuple[str, ...], set[tuple[str, str]]]] = {}
        self._waiting: pa.Table = OUTCOME_EVENTS.empty_table()

    def add(self, exposures: pa.Table, events: pa.Table, now: float) -> tuple[Outcomes, Outcomes]:
        """What new lists and events add to the candidate's and the control's outcomes.

        As in an experiment's analysis, events of another behavior, and of an item that is not in the list, add nothing.
        An event may be written before its list is: one whose list is not seen yet waits for the next call.
        """
        outcomes = Outcomes(), Outcomes()
        arms = {CANDIDATE: 0, CONTROL: 1}
        columns = (exposures[name].to_pylist() for name in ("request_id", "arm", "user_id", "items"))
        for request_id, arm, user_id, items in zip(*columns, strict=True):
            if arm in arms and request_id not in self._lists:
                group = group_of(user_id)
                # Many lists hold the same items: each id is kept once.
                self._lists[request_id] = now, arms[arm], group, tuple(map(sys.intern, items)), set()
                outcomes[arms[arm]].impressions[group] += len(items)
        unknown = []
        events = events.filter(pc.is_in(events["outcome"], pa.array(OUTCOMES)))
        waited = pa.concat_tables([self._waiting, events])
        columns = (waited[name].to_pylist() for name in ("request_id", "item_id", "outcome"))
        for row, (request_id, item_id, outcome) in enumerate(zip(*columns, strict=True)):
            if request_id not in self._lists:
                if row >= self._waiting.num_rows:
                    unknown.append(row)
                continue
            _, arm, group, items, counted = self._lists[request_id]
            if item_id in items and (item_id, outcome) not in counted:
                counted.add((item_id, outcome))
                counts = outcomes[arm].clicks if outcome == "click" else outcomes[arm].conversions
                counts[group] += 1
        self._waiting = waited.take(pa.array(unknown, pa.int64()))
        while self._lists:
            oldest = next(iter(self._lists))
            if len(self._lists) <= MOST_LISTS and self._lists[oldest][0] >= now - OUTCOME_SECONDS:
                break
            del self._lists[oldest]
        return outcomes


class StageMeasures:
    """What a stage's exposures add up to, all of them and those that came in of late."""

    def __init__(self) -> None:
        self.total = (ArmMeasures(), ArmMeasures())  # candidate, control
        self._now = 0.0
        self._outcomes = OutcomeJoin()
        self._recent: deque[tuple[float, tuple[ArmMeasures, ArmMeasures]]] = deque()

    def add(self, exposures: pa.Table, events: pa.Table, now: float) -> None:
        """`now` is in seconds of any clock that only goes forward."""
        self._now = now
        while self._recent and self._recent[0][0] < now - max(RECENT_SECONDS):
            self._recent.popleft()
        if exposures.num_rows == 0 and events.num_rows == 0:
            return
        arms, outcomes = measure(exposures), self._outcomes.add(exposures, events, now)
        added = (
            replace(arms.get(CANDIDATE, ArmMeasures()), outcomes=outcomes[0]),
            replace(arms.get(CONTROL, ArmMeasures()), outcomes=outcomes[1]),
        )
        self._recent.append((now, added))
        self.total = _sum(self.total, added)

    def breached(self, limits: Limits) -> list[Guardrail]:
        """The guardrails that are breached in any of these, each once, as the shortest time shows it."""
        parts = [self.total]
        for seconds in sorted(RECENT_SECONDS, reverse=True):
            recent = [added for moment, added in self._recent if moment >= self._now - seconds]
            parts.append(reduce(_sum, recent, (ArmMeasures(), ArmMeasures())))
        breached = [guardrail for part in parts for guardrail in judge(*part, limits) if guardrail.breached]
        return list({guardrail.name: guardrail for guardrail in breached}.values())


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
    logs, measures = _stage_logs(settings, state), StageMeasures()
    say(f"watching version {state.candidate.version} at weight {state.candidate.weight:g}, stage {state.stage}")
    while seconds is None or time.monotonic() - began < seconds:
        current = status(settings).desired
        if current.rollout != state.rollout or current.candidate is None:
            return Watched(state, [], ended=True)
        if current.state != state.state:
            state = current
            logs, measures = _stage_logs(settings, state), StageMeasures()
            said = time.monotonic()
            say(f"watching stage {state.stage}, at weight {current.candidate.weight:g}")
        exposures, events = (log.read() for log in logs)
        measures.add(exposures.filter(pc.field("state") == state.state), events, time.monotonic())
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


def _stage_logs(settings: Settings, state: DesiredState) -> tuple[LogReader, LogReader]:
    """The logs of exposures and of events, from a stage's beginning on."""
    columns = ["request_id", "state", *MEASURED_COLUMNS]
    return (
        LogReader(log_folder(settings, EXPOSURES_FOLDER), EXPOSURES, columns, state.time),
        LogReader(log_folder(settings, EVENTS_FOLDER), OUTCOME_EVENTS, OUTCOME_EVENTS.names, state.time),
    )


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
