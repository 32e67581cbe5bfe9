"""The rollout's state machine: from what is desired and what is asked to what is desired next, or why that cannot be.

    start      a candidate beside the champion, at a weight, with a control as large
    ramp       more weight; users only move from the champion to the candidate and to the control
    promote    the candidate becomes the champion of everybody but the hold-out
    abort      the champion serves everybody again but the hold-out
    rollback   the champion before is that of everybody but the hold-out again; between rollouts alone
    hold_out   who is held out from the rollouts to come; between rollouts alone

A rollout deals users by a salt of its own, so its groups are independent of those of the last one. The hold-out is
served by what was the champion when it was set up, by its users of all times, until it is set anew.
"""

from dataclasses import dataclass, replace

from components.contracts.registry import CANDIDATE, CHAMPION
from components.contracts.rollout_history import DesiredState
from components.contracts.serving import ALLOWED, CONTROL, HOLD_OUT, Arm
from components.foundation.errors import ConflictError, InputError

LARGEST_HOLD_OUT = 0.5


@dataclass(frozen=True)
class Change:
    """Who wants a change, when (UTC, ISO form) and why, and the number that the new state has."""

    state: int
    time: str
    by: str
    reason: str


def start(
    base: DesiredState,
    change: Change,
    candidate: Arm,
    weight: float,
    *,
    salt: str,
    candidate_digest: str,
    allow_list: str | None,
    segment: str | None,
) -> DesiredState:
    """
    Args:
        candidate: what it is served by; its name and weight are set here.
        weight: share of the users who take part; the control gets as much.

    Raises:
        ConflictError: a rollout runs.
        InputError: the candidate is the champion, or the weight is out of range.
    """
    if base.candidate is not None:
        raise ConflictError(
            f"a rollout of version {base.candidate.version} runs (stage {base.stage}): promote or abort it first"
        )
    if candidate.version == base.champion.version:
        raise InputError(f"version {candidate.version} is the champion, expected another as candidate")
    return replace(
        _changed(base, change, "start"),
        rollout=salt,
        stage=1,
        arms=_arms(base.hold_out, base.champion, candidate, weight, allow_list is not None),
        allow_list=allow_list,
        segment=segment,
        candidate_digest=candidate_digest,
    )


def ramp(base: DesiredState, change: Change, weight: float) -> DesiredState:
    """The state in which the candidate has another share.

    Raises:
        InputError: no rollout runs, or the weight is out of range or no more than it is.
    """
    candidate = _running(base)
    if weight <= candidate.weight:
        raise InputError(
            f"weight {weight:g}: the candidate has {candidate.weight:g} already, and a ramp only grows; "
            "`reland rollout abort` gives its users back"
        )
    arms = _arms(base.hold_out, base.champion, candidate, weight, base.allow_list is not None)
    return replace(_changed(base, change, "ramp"), stage=base.stage + 1, arms=arms)


def promote(base: DesiredState, change: Change) -> DesiredState:
    """The state in which the candidate is the champion.

    Raises:
        InputError: no rollout runs.
    """
    promoted = _end(base, change, "promote", _running(base), base.champion)
    return replace(promoted, candidate_digest=base.candidate_digest)


def abort(base: DesiredState, change: Change) -> DesiredState:
    """The state in which the champion serves alone again.

    Raises:
        InputError: no rollout runs.
    """
    return _end(base, change, "abort", base.champion, _running(base))


def hold_out(base: DesiredState, change: Change, share: float) -> DesiredState:
    """
    Args:
        share: of all users, 0 ends the hold-out. A larger one holds out the same users and more.

    Raises:
        ConflictError: a rollout runs.
        InputError: the share is out of range.
    """
    if base.candidate is not None:
        raise ConflictError(f"a rollout of version {base.candidate.version} runs: the hold-out is set between rollouts")
    if not 0 <= share <= LARGEST_HOLD_OUT:
        raise InputError(f"hold-out {share:g}: expected a share from 0 to {LARGEST_HOLD_OUT:g}")
    held_out = replace(base.champion, name=HOLD_OUT, weight=share) if share else None
    champion = replace(base.champion, weight=1 - share)
    before = base.hold_out
    ended = before.version if before is not None and before.version != champion.version else None
    arms = (champion,) if held_out is None else (held_out, champion)
    return replace(_changed(base, change, "hold_out"), arms=arms, ended=ended)


def rollback(base: DesiredState, change: Change, before: tuple[Arm, str] | None) -> DesiredState:
    """
    Args:
        before: the champion that the present one took the place of, and the digest of its files
            (`contracts.rollout_history.champion_before`).

    Raises:
        ConflictError: a rollout runs.
        InputError: there is no champion before.
    """
    if base.candidate is not None:
        raise ConflictError(
            f"a rollout of version {base.candidate.version} runs: `reland rollout abort` gives its users back first"
        )
    if before is None:
        raise InputError(
            f"no rollout made version {base.champion.version} the champion, so there is none before it to go back to; "
            "`reland rollout start --version` tries another one"
        )
    champion, digest = before
    return replace(_end(base, change, "rollback", champion, base.champion), candidate_digest=digest)


def _running(base: DesiredState) -> Arm:
    if base.candidate is None:
        raise InputError("no rollout runs: `reland rollout start` starts one")
    return base.candidate


def _changed(base: DesiredState, change: Change, action: str) -> DesiredState:
    return replace(
        base, state=change.state, action=action, time=change.time, by=change.by, reason=change.reason, ended=None
    )


def _end(base: DesiredState, change: Change, action: str, winner: Arm, ended: Arm) -> DesiredState:
    held_out = base.hold_out
    champion = replace(winner, name=CHAMPION, weight=1 - (held_out.weight if held_out else 0.0))
    return replace(
        _changed(base, change, action),
        stage=0,
        arms=(champion,) if held_out is None else (held_out, champion),
        allow_list=None,
        segment=None,
        candidate_digest="",
        ended=None if held_out is not None and held_out.version == ended.version else ended.version,
    )


def _arms(held_out: Arm | None, champion: Arm, candidate: Arm, weight: float, with_allowed: bool) -> tuple[Arm, ...]:
    """Hold-out, control, the champion's rest, candidate: a growing weight takes users from either end of the champion's
    share, and from nobody else."""
    left = 1 - (held_out.weight if held_out else 0.0)
    if not 0 < weight <= left / 2:
        raise InputError(
            f"weight {weight:g}: expected more than 0 and at most {left / 2:g}, because a control as large is served "
            "beside the candidate" + (f" and {held_out.weight:g} of the users are held out" if held_out else "")
        )
    arms = [
        replace(champion, name=CONTROL, weight=weight),
        replace(champion, name=CHAMPION, weight=max(left - 2 * weight, 0.0)),
        replace(candidate, name=CANDIDATE, weight=weight),
    ]
    if with_allowed:
        arms.append(replace(candidate, name=ALLOWED, weight=0.0))
    return (*([held_out] if held_out else []), *arms)
