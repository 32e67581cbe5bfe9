from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.contracts.rollout_history import DesiredState
from components.contracts.serving import Arm
from components.foundation.errors import ConflictError, InputError
from serving.rollout import changes
from serving.rollout.changes import Change

CHANGE = Change(state=8, time="now", by="ann", reason="why")


def arm(version: int, name: str = "champion", weight: float = 1.0) -> Arm:
    return Arm(
        name=name,
        version=version,
        generation=f"g{version}",
        feature_service="reland_blue",
        slot="blue",
        item_collection=f"reland_items_{version}",
        weight=weight,
    )


IDLE = DesiredState(
    state=7,
    action="hold_out",
    time="",
    by="",
    reason="",
    rollout="old salt",
    stage=0,
    arms=(arm(1),),
    allow_list=None,
    segment=None,
    candidate_digest="",
    ended=None,
)


def start(base: DesiredState = IDLE, version: int = 2, weight: float = 0.1, **users: str) -> DesiredState:
    lists = {"allow_list": None, "segment": None} | users
    return changes.start(base, CHANGE, arm(version), weight, salt="new salt", candidate_digest="digest", **lists)


def weights(state: DesiredState) -> dict[str, tuple[int, float]]:
    return {arm.name: (arm.version, round(arm.weight, 12)) for arm in state.arms}


def test_a_start_puts_a_control_as_large_beside_the_candidate():
    state = start()
    assert weights(state) == {"control": (1, 0.1), "champion": (1, 0.8), "candidate": (2, 0.1)}
    assert [arm.name for arm in state.arms] == ["control", "champion", "candidate"]
    assert (state.state, state.action, state.by, state.reason) == (8, "start", "ann", "why")
    assert (state.rollout, state.stage, state.candidate_digest, state.ended) == ("new salt", 1, "digest", None)


def test_a_ramp_is_a_stage_of_the_same_rollout_and_a_promotion_or_an_abort_ends_it():
    ramped = changes.ramp(start(), CHANGE, 0.5)
    assert weights(ramped) == {"control": (1, 0.5), "champion": (1, 0.0), "candidate": (2, 0.5)}
    assert (ramped.rollout, ramped.stage, ramped.action) == ("new salt", 2, "ramp")
    promoted, aborted = changes.promote(ramped, CHANGE), changes.abort(ramped, CHANGE)
    assert (weights(promoted), promoted.ended) == ({"champion": (2, 1.0)}, 1)
    assert (weights(aborted), aborted.ended) == ({"champion": (1, 1.0)}, 2)
    assert promoted.stage == aborted.stage == 0
    assert (promoted.candidate_digest, aborted.candidate_digest) == ("digest", "")  # of the champion's files now
    assert promoted.champion.generation == "g2"


def test_the_hold_out_stays_with_its_version_whatever_rollouts_do_until_it_is_set_anew():
    held = changes.hold_out(IDLE, CHANGE, 0.2)
    assert weights(held) == {"hold_out": (1, 0.2), "champion": (1, 0.8)} and held.ended is None
    started = start(held, weight=0.4)
    assert weights(started) == {"hold_out": (1, 0.2), "control": (1, 0.4), "champion": (1, 0.0), "candidate": (2, 0.4)}
    promoted = changes.promote(started, CHANGE)
    assert weights(promoted) == {"hold_out": (1, 0.2), "champion": (2, 0.8)}
    assert promoted.ended is None  # the hold-out has it still
    third = changes.promote(start(promoted, version=3), CHANGE)
    assert (weights(third), third.ended) == ({"hold_out": (1, 0.2), "champion": (3, 0.8)}, 2)
    anew = changes.hold_out(third, CHANGE, 0.1)
    assert (weights(anew), anew.ended) == ({"hold_out": (3, 0.1), "champion": (3, 0.9)}, 1)
    assert weights(changes.hold_out(anew, CHANGE, 0.0)) == {"champion": (3, 1.0)}


def test_a_rollback_gives_everybody_but_the_hold_out_to_the_champion_before():
    held = changes.hold_out(IDLE, CHANGE, 0.2)
    second = changes.promote(start(held, weight=0.4), CHANGE)
    third = changes.promote(start(second, version=3), CHANGE)
    back = changes.rollback(third, CHANGE, second.champion, "digest of 2")
    assert weights(back) == {"hold_out": (1, 0.2), "champion": (2, 0.8)}
    assert (back.action, back.ended, back.candidate_digest, back.stage) == ("rollback", 3, "digest of 2", 0)
    further = changes.rollback(back, CHANGE, held.champion, "")
    assert (weights(further), further.ended) == ({"hold_out": (1, 0.2), "champion": (1, 0.8)}, 2)
    with pytest.raises(ConflictError, match="a rollout of version 3 runs: `reland rollout abort`"):
        changes.rollback(start(second, version=3), CHANGE, IDLE.champion, "")


def test_the_allowed_have_an_arm_of_their_own_while_the_rollout_runs():
    state = start(allow_list="a.npy", segment="s.npy")
    assert weights(state)["allowed"] == (2, 0.0)
    ramped = changes.ramp(state, CHANGE, 0.2)
    assert weights(ramped)["allowed"] == (2, 0.0) and (ramped.allow_list, ramped.segment) == ("a.npy", "s.npy")
    ended = changes.abort(ramped, CHANGE)
    assert (ended.allow_list, ended.segment) == (None, None) and "allowed" not in weights(ended)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: start(version=1), "version 1 is the champion"),
        (lambda: start(weight=0.0), "weight 0: expected more than 0 and at most 0.5"),
        (lambda: start(weight=-0.1), "weight -0.1: expected"),
        (lambda: start(weight=0.6), "weight 0.6: expected more than 0 and at most 0.5, because a control as large"),
        (lambda: start(weight=float("nan")), "weight nan: expected"),
        (lambda: start(changes.hold_out(IDLE, CHANGE, 0.2), weight=0.5), r"at most 0.4, .* 0.2 of the users are held"),
        (lambda: changes.ramp(start(), CHANGE, 0.1), "the candidate has 0.1 already, and a ramp only grows"),
        (lambda: changes.ramp(start(), CHANGE, 0.05), "the candidate has 0.1 already"),
        (lambda: changes.ramp(start(), CHANGE, 0.51), "at most 0.5"),
        (lambda: changes.ramp(start(), CHANGE, float("nan")), "weight nan"),
        (lambda: changes.ramp(IDLE, CHANGE, 0.1), "no rollout runs"),
        (lambda: changes.promote(IDLE, CHANGE), "no rollout runs"),
        (lambda: changes.abort(IDLE, CHANGE), "no rollout runs"),
        (lambda: changes.hold_out(IDLE, CHANGE, 0.6), "hold-out 0.6: expected a share from 0 to 0.5"),
        (lambda: changes.hold_out(IDLE, CHANGE, float("nan")), "hold-out nan: expected"),
    ],
)
def test_what_cannot_be_is_one_line(change, told):
    with pytest.raises(InputError, match=told):
        change()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: start(start(), 3), r"a rollout of version 2 runs \(stage 1\): promote or abort it first"),
        (lambda: changes.hold_out(start(), CHANGE, 0.1), "the hold-out is set between rollouts"),
    ],
)
def test_what_a_running_rollout_forbids_is_a_conflict(change, message):
    with pytest.raises(ConflictError, match=message):
        change()


@given(st.floats(0.001, 0.4), st.lists(st.floats(0.001, 0.5), min_size=1, max_size=5))
def test_weights_sum_to_one_and_the_control_is_as_large_as_the_candidate(held_out, ramps):
    state = changes.hold_out(IDLE, CHANGE, held_out)
    for step, weight in enumerate(sorted(set(ramps))):
        try:
            state = changes.ramp(state, CHANGE, weight) if step else start(state, weight=weight)
        except InputError:
            assert weight > (1 - held_out) / 2
            return
        arms = {arm.name: arm for arm in state.arms}
        assert sum(arm.weight for arm in state.arms) == pytest.approx(1.0, abs=1e-9)
        assert arms["control"].weight == arms["candidate"].weight == weight
        assert all(0 <= arm.weight <= 1 for arm in state.arms)
        assert arms["control"] == replace(arms["champion"], name="control", weight=weight)
