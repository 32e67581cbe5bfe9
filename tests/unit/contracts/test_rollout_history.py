import json
from dataclasses import asdict, replace

import pytest

from components.contracts.rollout_history import DesiredState, append_state, champion_before, read_rollout_history
from components.contracts.serving import Arm
from components.foundation.errors import InputError


def arm(name: str, weight: float, version: int = 1) -> Arm:
    return Arm(
        name=name,
        version=version,
        generation="20260101t000000000",
        feature_service="reland_blue",
        slot="blue",
        item_collection=f"reland_items_{version}",
        weight=weight,
    )


def state(number: int) -> DesiredState:
    return DesiredState(
        state=number,
        action="start",
        time="2026-01-01T00:00:00.000+00:00",
        by="ann on host",
        reason="why „not“\nso",
        rollout="salt",
        stage=1,
        arms=(arm("control", 0.1), arm("champion", 0.8), arm("candidate", 0.1, 2)),
        allow_list=None,
        segment=None,
        candidate_digest="ab",
        ended=None,
    )


def test_states_are_read_as_they_were_appended(tmp_path):
    path = tmp_path / "folder" / "history.jsonl"
    assert read_rollout_history(path) == []
    for number in (1, 2):
        append_state(path, state(number))
    assert read_rollout_history(path) == [state(1), state(2)]
    assert state(1).record.arms == state(1).arms and state(1).candidate == arm("candidate", 0.1, 2)
    assert (state(1).champion.weight, state(1).hold_out) == (0.8, None)


def test_a_line_that_was_never_written_whole_was_never_desired(tmp_path):
    path = tmp_path / "history.jsonl"
    append_state(path, state(1))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole + whole[:length].replace(b"\n", b""))
        assert read_rollout_history(path) == [state(1)]
    append_state(path, state(2))
    assert read_rollout_history(path) == [state(1), state(2)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.pop("by"), r"history\.jsonl:2: no desired state, expected an object of action, "),
        (lambda content: content.update(action="jump"), r"history\.jsonl:2: no desired state"),
        (lambda content: content.update(state=1), "state 1 follows 1, expected states to grow"),
        (lambda content: content["arms"][0].update(weight=0.5), "the arms' weights to sum to 1"),
        (lambda content: content["arms"][1].update(name="other"), "expected an arm 'champion'"),
    ],
)
def test_a_line_that_is_no_state_is_named(tmp_path, change, told):
    path = tmp_path / "history.jsonl"
    append_state(path, state(1))
    content = json.loads(json.dumps(asdict(replace(state(2)))))
    change(content)
    with path.open("a") as file:
        file.write(json.dumps(content) + "\n")
    with pytest.raises(InputError, match=told):
        read_rollout_history(path)


def test_a_line_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"{\n")
    with pytest.raises(InputError, match=r"history\.jsonl:1: not readable as JSON"):
        read_rollout_history(path)


def changed_to(number: int, action: str, version: int, digest: str = "") -> DesiredState:
    return replace(
        state(number), action=action, arms=(arm("champion", 1.0, version),), candidate_digest=digest, stage=0
    )


def test_the_champion_before_is_that_of_the_last_promotion_that_was_not_taken_back():
    first = state(1)  # version 1 is the champion
    assert champion_before([]) is None and champion_before([first]) is None
    promoted = [first, changed_to(2, "promote", 2, "of 2")]
    assert champion_before(promoted) == (first.champion, "")
    again = [*promoted, changed_to(3, "hold_out", 2), changed_to(4, "promote", 3, "of 3")]
    assert champion_before(again) == (arm("champion", 1.0, 2), "of 2")
    back = [*again, changed_to(5, "rollback", 2, "of 2")]
    assert champion_before(back) == (first.champion, "")
    assert champion_before([*back, changed_to(6, "rollback", 1)]) is None
    # A promotion that was killed before it moved anybody, and aborted.
    assert champion_before([*promoted, changed_to(3, "abort", 1)]) is None
