"""The rollout's commands: one at a time, each written down before it acts, finished by the next where it was killed.

A command makes ready what it needs, then appends the new desired state to the history, then brings it about. Killed
before the append, nothing is desired and nobody has moved; killed after it, the next command, or `resume`, goes on.
"""

import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.contracts.registry import CANDIDATE, CHAMPION, RANKER_MODEL, SLOTS, TAG_GENERATION, TAG_SLOT
from components.contracts.rollout_history import (
    DesiredState,
    append_state,
    champion_before,
    history_file,
    read_rollout_history,
)
from components.contracts.serving import Arm, item_collection, read_rollout, rollout_file, rollout_folder
from components.contracts.user_list import read_user_ids, write_user_list
from components.foundation.account import account
from components.foundation.errors import ConflictError, InputError, write_failure
from components.foundation.mlflow_client import aliases, open_registry
from components.foundation.progress import say
from components.foundation.settings import Settings
from serving.gateway.catalogue import read_catalogue
from serving.rollout import changes
from serving.rollout.reconciler import bring_about, make_ready
from serving.triton.repository import release_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_FILE = "lock"


class LockedError(ConflictError):
    """Another command runs."""


def start(
    settings: Settings,
    version: int | None,
    weight: float,
    reason: str = "",
    allow_list: Path | None = None,
    segment: Path | None = None,
) -> DesiredState:
    """Serve a share of the users by a candidate, and as many by a control.

    Args:
        version: of the registry's ranker; None: the one with the alias `candidate`.
        allow_list: file of the users who get the candidate whatever the weight is.
        segment: file of the users who take part; None: all.

    Raises:
        ConflictError: another command or a rollout runs.
        InputError: the record or the candidate does not allow it.
        EnvironmentFaultError: a replica does not serve the candidate.
    """
    with _controlling(settings):
        base = _finished(settings)
        client = open_registry(settings)
        candidate = _candidate(settings, client, version)
        digest = release_digest(settings.resolved_model_repository, candidate.version)
        state = changes.start(
            base,
            _change(base, reason),
            candidate,
            weight,
            salt=uuid.uuid4().hex,
            candidate_digest=digest,
            allow_list=_keep_users(settings, allow_list),
            segment=_keep_users(settings, segment),
        )
        _check_features(settings, candidate)
        return _change_to(settings, state)


def ramp(settings: Settings, weight: float, reason: str = "") -> DesiredState:
    """Give the candidate and the control more weight. Raises as `start`."""
    with _controlling(settings):
        base = _finished(settings)
        return _change_to(settings, changes.ramp(base, _change(base, reason), weight))


def promote(settings: Settings, reason: str = "") -> DesiredState:
    """Make the candidate the champion. Raises as `start`."""
    with _controlling(settings):
        base = _finished(settings)
        return _change_to(settings, changes.promote(base, _change(base, reason)))


def abort(settings: Settings, reason: str = "", rollout: str | None = None) -> DesiredState | None:
    """Give the candidate's users back to the champion, and so undo a change that has not moved anybody yet.

    Args:
        rollout: abort this one alone.

    Returns:
        the state; None where another rollout runs, or none any longer, than the one named.

    Raises:
        ConflictError: another command runs.
        InputError: no rollout runs.
    """
    with _controlling(settings):
        desired, effective = _states(settings)
        if rollout is not None and (effective.rollout, effective.stage > 0) != (rollout, True):
            return None
        # A start that was killed has moved nobody yet, and is taken back; a promotion that was, likewise.
        base = desired if effective.candidate is None else effective
        state = changes.abort(base, _change(desired, reason))
        append_state(history_file(settings), state)
        bring_about(settings, state)
        return state


def hold_out(settings: Settings, share: float, reason: str = "") -> DesiredState:
    """Keep a share of the users from the rollouts to come, with the present champion. Raises as `start`."""
    with _controlling(settings):
        base = _finished(settings)
        return _change_to(settings, changes.hold_out(base, _change(base, reason), share))


def rollback(settings: Settings, reason: str = "") -> DesiredState:
    """Make the champion before the champion again: pointers move, nothing is copied. Raises as `start`."""
    with _controlling(settings):
        base = _finished(settings)
        history = read_rollout_history(history_file(settings))
        found = champion_before(history)
        if found is None or history[-1].champion != base.champion:
            raise InputError(
                f"{history_file(settings)}: no rollout made version {base.champion.version} the champion, so there is "
                "none before it to go back to; `reland rollout start --version` tries another one"
            )
        before, digest = found
        state = changes.rollback(base, _change(base, reason), before, digest)
        _check_features(settings, state.champion)
        _change_to(settings, state)
        say(
            f"went back from version {base.champion.version} to version {before.version} (generation "
            f"{before.generation}, features of the slot {before.slot}); nothing was copied"
        )
        return state


def resume(settings: Settings) -> DesiredState:
    """Finish what a killed command has begun. Raises as `start`."""
    with _controlling(settings):
        return _finished(settings)


@dataclass(frozen=True)
class Status:
    """What is desired, and whether the arms' record is that already."""

    desired: DesiredState
    effective: bool


def status(settings: Settings) -> Status:
    """Look, without waiting for a command that runs.

    Raises:
        InputError: there is no record of arms, or a file is damaged.
    """
    desired, effective = _states(settings)
    return Status(desired, desired.state == effective.state)


@contextmanager
def _controlling(settings: Settings) -> Iterator[None]:
    """Be the one who controls for the length of the block; the kernel ends it with the process.

    Raises:
        LockedError: another command does.
    """
    path = rollout_folder(settings) / LOCK_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise write_failure(f"{path}: cannot be written ({error.strerror})", error) from error
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LockedError(
                f"{path}: another rollout command runs ({lock.read().strip()}), wait for its end"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} of {account()} since {_now()}\n")
        lock.flush()
        yield


def _states(settings: Settings) -> tuple[DesiredState, DesiredState]:
    """What is desired, and what the arms' record has brought about; the same where no command was killed."""
    record = read_rollout(rollout_file(settings))
    history = read_rollout_history(history_file(settings))
    known = {state.state: state for state in history}
    effective = known.get(record.state)
    if effective is None or effective.record != record:
        # Before the first rollout, or written by other hands.
        arms = {arm.name: arm for arm in record.arms}
        if CHAMPION not in arms:
            raise InputError(f"{rollout_file(settings)}: no record of a rollout, expected an arm {CHAMPION!r}")
        effective = DesiredState(
            state=record.state,
            action="start" if CANDIDATE in arms else "hold_out",
            time="",
            by="",
            reason="",
            rollout=record.salt,
            stage=1 if CANDIDATE in arms else 0,
            arms=record.arms,
            allow_list=record.allow_list,
            segment=record.segment,
            candidate_digest="",
            ended=None,
        )
    return (history[-1] if history and history[-1].state > record.state else effective), effective


def _finished(settings: Settings) -> DesiredState:
    """What is desired, brought about."""
    desired, effective = _states(settings)
    if desired.state != effective.state:
        say(f"finishing what was begun at {desired.time}: {desired.action}, state {desired.state}")
        if desired.action != "abort":
            make_ready(settings, desired)
    bring_about(settings, desired)
    return desired


def _change_to(settings: Settings, state: DesiredState) -> DesiredState:
    make_ready(settings, state)
    append_state(history_file(settings), state)
    bring_about(settings, state)
    return state


def _change(base: DesiredState, reason: str) -> changes.Change:
    return changes.Change(base.state + 1, _now(), account(), reason)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _candidate(settings: Settings, client: "MlflowClient", version: int | None) -> Arm:
    """What a version of the registry is served by."""
    from mlflow.exceptions import MlflowException

    from feature_repo.definitions import user_service  # imports Feast, which the other commands do without

    if version is None:
        found = aliases(client, RANKER_MODEL).get(CANDIDATE)
        if found is None:
            raise InputError(f"{RANKER_MODEL} has no version with the alias {CANDIDATE!r}: name a version")
        version = int(found)
    try:
        tags = client.get_model_version(RANKER_MODEL, str(version)).tags
    except MlflowException as error:
        raise InputError(f"{RANKER_MODEL} version {version}: not in the registry ({error.error_code})") from error
    generation, slot = tags.get(TAG_GENERATION), tags.get(TAG_SLOT)
    if not generation or slot not in SLOTS:
        raise InputError(f"{RANKER_MODEL} version {version}: its tags lack {TAG_GENERATION} or {TAG_SLOT}")
    return Arm(
        name=CANDIDATE,
        version=version,
        generation=generation,
        feature_service=user_service(slot),
        slot=slot,
        item_collection=item_collection(version),
        weight=0.0,
    )


def _check_features(settings: Settings, arm: Arm) -> None:
    """
    Raises:
        InputError: the arm's slot holds features of another pool than the ranker of its version was trained on.
    """
    from feature_repo.store import pool_of_slot

    wanted = read_catalogue(settings.resolved_model_repository / arm.model / str(arm.version)).pool
    pool = pool_of_slot(settings, arm.slot)
    if pool != wanted:
        held = "no features" if pool is None else f"features of the pool {pool or 'without a name'}"
        raise InputError(
            f"{RANKER_MODEL} version {arm.version}: reads features of the pool {wanted or 'without a name'}, and the "
            f"slot {arm.slot} holds {held}: a later run has filled it. `reland run` makes a version for what is there"
        )


def _keep_users(settings: Settings, path: Path | None) -> str | None:
    """Copy a set of users to where gateways read it, under a name that its content gives."""
    if path is None:
        return None
    folder = rollout_folder(settings)
    temporary = folder / f".users-{uuid.uuid4().hex}.npy"
    try:
        users = write_user_list(temporary, read_user_ids(path))
        if len(users) == 0:
            raise InputError(f"{path}: no user in it")
        name = f"users-{hashlib.sha256(temporary.read_bytes()).hexdigest()[:16]}.npy"
        temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name
