"""What a rollout was to bring about, change by change: the log from which exposures learn their stage.

`history.jsonl` holds one desired state a line, each whole; the last one is what is to be brought about, and the ones
before are the audit. A line is appended at once and reaches the disk before anything acts on it, so a state is desired
or it is not. The rollout alone writes it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

from components.contracts.registry import CANDIDATE, CHAMPION
from components.contracts.serving import HOLD_OUT, Arm, RolloutRecord, read_arms, rollout_folder
from components.foundation.errors import InputError
from components.foundation.settings import Settings

HISTORY_FILE = "history.jsonl"
ACTIONS = ("start", "ramp", "promote", "abort", "hold_out", "rollback")


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """One line: the arms that are desired, and who wants them, when and why.

    Attributes:
        state: number of the arms' record that brings it about: exposures name it. It only grows.
        action: one of `ACTIONS`.
        time: when the change was requested, UTC, in ISO form.
        by: the account that requested it.
        reason: the one that account gave.
        rollout: the salt of the arms' record: one for each rollout.
        stage: 0 where no rollout runs; else from 1, and each ramp is a stage of its own.
        arms: in the order of the arms' record.
        allow_list: see `RolloutRecord`, as for `segment`.
        candidate_digest: of the candidate's files when the rollout started, which a promotion makes the champion's;
            empty where no rollout has run, and after an abort.
        ended: the version that no arm has any longer, to be unloaded and to lose its alias; None where there is none.
    """

    state: int
    action: str
    time: str
    by: str
    reason: str
    rollout: str
    stage: int
    arms: tuple[Arm, ...]
    allow_list: str | None
    segment: str | None
    candidate_digest: str
    ended: int | None

    @property
    def record(self) -> RolloutRecord:
        """The arms' record that brings the state about."""
        return RolloutRecord(
            state=self.state, salt=self.rollout, arms=self.arms, allow_list=self.allow_list, segment=self.segment
        )

    @property
    def champion(self) -> Arm:
        """The arm that serves where no other does; there always is one."""
        return next(arm for arm in self.arms if arm.name == CHAMPION)

    @property
    def candidate(self) -> Arm | None:
        """The arm that is tried, None where no rollout runs."""
        return next((arm for arm in self.arms if arm.name == CANDIDATE), None)

    @property
    def hold_out(self) -> Arm | None:
        """The arm that is kept as it was for comparison, None where there is none."""
        return next((arm for arm in self.arms if arm.name == HOLD_OUT), None)


def champion_before(history: Sequence[DesiredState]) -> tuple[Arm, str] | None:
    """The champion that the present one took the place of, and the digest of its files; None where there is none.

    A rollback takes back the last promotion that none took back yet, so that another one goes further back. The digest
    is empty where the champion came by no rollout.
    """
    replaced: list[tuple[Arm, str]] = []
    digests: dict[int, str] = {}
    for before, after in pairwise(history):
        if after.champion.version == before.champion.version:
            continue
        if after.action != "promote":  # a rollback, or the abort of a promotion that was killed
            replaced[-1:] = []
            continue
        replaced.append((before.champion, digests.get(before.champion.version, "")))
        digests[after.champion.version] = after.candidate_digest
    return replaced[-1] if replaced else None


def history_file(settings: Settings) -> Path:
    """Where the history is."""
    return rollout_folder(settings) / HISTORY_FILE


def append_state(path: Path, state: DesiredState) -> None:
    """Make `state` what is desired; on disk when this returns. For one writer at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(state), ensure_ascii=False).encode() + b"\n"
    with path.open("a+b") as file:
        # A writer that was killed on the way may have left a part of a line: it was never desired.
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_rollout_history(path: Path) -> list[DesiredState]:
    """Every desired state, oldest first; none where there is no history yet.

    Raises:
        InputError: a line is no state; the message names it.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last end of a line was never written whole
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error
    states = [_read_state(line, f"{path}:{number}", path) for number, line in enumerate(lines, start=1)]
    for before, after in pairwise(states):
        if after.state <= before.state:
            raise InputError(f"{path}: state {after.state} follows {before.state}, expected states to grow")
    return states


def _read_state(line: bytes, place: str, path: Path) -> DesiredState:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise InputError(f"{place}: not readable as JSON ({error})") from error
    names = {field.name for field in fields(DesiredState)}
    if not isinstance(content, dict) or set(content) != names or content["action"] not in ACTIONS:
        raise InputError(f"{place}: no desired state, expected an object of {', '.join(sorted(names))}")
    arms = read_arms(content["arms"], path)
    if CHAMPION not in {arm.name for arm in arms}:
        raise InputError(f"{place}: expected an arm {CHAMPION!r}")
    return DesiredState(**(content | {"arms": arms}))
