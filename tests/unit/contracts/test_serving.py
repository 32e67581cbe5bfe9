import json
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.serving import (
    ALLOWED,
    EXPOSURES,
    HOLD_OUT,
    OUTCOME_EVENTS,
    Arm,
    RolloutRecord,
    assign_arm,
    check_features_have_a_slot,
    check_slot_is_free,
    read_log,
    read_rollout,
    rollout_file,
    write_rollout,
)
from components.contracts.tables import write_table
from components.foundation.errors import ConflictError, InputError
from components.foundation.settings import Settings


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


def record(candidate: float, salt: str = "salt") -> RolloutRecord:
    return RolloutRecord(state=1, salt=salt, arms=(arm("champion", 1 - candidate), arm("candidate", candidate, 2)))


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "rollout.json"
    write_rollout(path, record(0.25))
    assert read_rollout(path) == record(0.25)


def test_a_user_is_assigned_by_the_first_eight_bytes_of_the_salted_hash():
    # `printf salt:user | sha256sum` begins with 06 c9 14: 0x06c914 / 2^24 = 0.02651
    assert assign_arm(record(0.97), "user").name == "champion"
    assert assign_arm(record(0.98), "user").name == "candidate"


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_users_only_move_to_the_arm_that_grows(users, one, other):
    small, large = sorted((one, other))
    for user in users:
        if assign_arm(record(small), user).name == "candidate":
            assert assign_arm(record(large), user).name == "candidate"


def test_an_arm_gets_its_share_of_the_users_and_another_salt_other_users():
    users = [f"user {number}" for number in range(20_000)]
    chosen = {user for user in users if assign_arm(record(0.1), user).name == "candidate"}
    assert 0.09 < len(chosen) / len(users) < 0.11  # 4.7 standard deviations
    others = {user for user in users if assign_arm(record(0.1, salt="other"), user).name == "candidate"}
    assert 0.07 < len(chosen & others) / len(chosen) < 0.13  # independent: a tenth


def test_an_arm_of_weight_0_gets_nobody():
    ended = replace(record(0.5), arms=(arm("champion", 1.0), arm("candidate", 0.0, 2)))
    assert {assign_arm(ended, str(number)).name for number in range(1000)} == {"champion"}


def in_rollout(weight: float, held_out: float = 0.1, salt: str = "salt") -> RolloutRecord:
    """The arms of a rollout in their order."""
    weights = {HOLD_OUT: held_out, "control": weight, "champion": 1 - held_out - 2 * weight, "candidate": weight}
    arms = [arm(name, share, 2 if name == "candidate" else 1) for name, share in weights.items()]
    return RolloutRecord(state=1, salt=salt, arms=(*arms, arm(ALLOWED, 0.0, 2)), allow_list="a.npy", segment="s.npy")


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1), st.floats(0.001, 0.45), st.floats(0.001, 0.45))
def test_a_ramp_moves_users_from_the_champion_alone(users, one, other):
    small, large = sorted((one, other))
    for user in users:
        before, after = (assign_arm(in_rollout(weight), user).name for weight in (small, large))
        assert before == after or (before, after) in {("champion", "candidate"), ("champion", "control")}


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_the_hold_out_is_the_same_in_every_rollout_whoever_is_allowed_or_takes_part(user, salt, other):
    first, second = (assign_arm(in_rollout(0.3, salt=salt), user).name == HOLD_OUT for salt in (salt, other))
    assert first == second
    if first:
        assert assign_arm(in_rollout(0.3), user, takes_part=False, allowed=True).name == HOLD_OUT
        assert assign_arm(in_rollout(0.3, held_out=0.2), user).name == HOLD_OUT


def test_every_arm_of_a_rollout_gets_its_share():
    n = 40_000
    counts: dict[str, int] = {}
    for number in range(n):
        name = assign_arm(in_rollout(0.2), f"user {number}").name
        counts[name] = counts.get(name, 0) + 1
    for name, share in {HOLD_OUT: 0.1, "control": 0.2, "champion": 0.5, "candidate": 0.2}.items():
        assert abs(counts[name] - n * share) < 5 * (n * share * (1 - share)) ** 0.5, name


def test_the_allowed_get_the_candidate_and_who_takes_no_part_the_champion():
    for user in (f"user {number}" for number in range(50)):
        if assign_arm(in_rollout(0.2), user).name != HOLD_OUT:
            assert assign_arm(in_rollout(0.2), user, takes_part=False).name == "champion"
            allowed = assign_arm(in_rollout(0.2), user, takes_part=False, allowed=True)
            assert (allowed.name, allowed.version) == (ALLOWED, 2)


def test_a_record_with_lists_is_read_as_it_was_written_and_one_without_as_before(tmp_path):
    path = tmp_path / "rollout.json"
    write_rollout(path, in_rollout(0.2))
    assert read_rollout(path) == in_rollout(0.2)
    content = json.loads(path.read_text())
    del content["allow_list"], content["segment"]
    path.write_text(json.dumps(content))
    assert read_rollout(path) == replace(in_rollout(0.2), allow_list=None, segment=None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.pop("salt"), "state, salt and arms"),
        (lambda content: content.update(arms=[]), "a list of at least one"),
        (lambda content: content["arms"][0].update(weight=0.7), "sum to 1"),
        (lambda content: content["arms"][0].update(weight=float("nan")), "weight to be from 0 to 1"),
        (lambda content: content["arms"][0].update(weight=True), "weight to be a number"),
        (lambda content: content["arms"][0].update(version="1"), "'champion': version to be a number from 1"),
        (lambda content: content["arms"][0].update(slot="red"), "slot to be one of blue, green"),
        (lambda content: content["arms"][0].update(name="candidate"), "a name of its own"),
        (lambda content: content["arms"][0].update(name="a b"), "letters and digits"),
        (lambda content: content["arms"][0].pop("model"), "an arm to have"),
        (lambda content: content.update(segment="../users.npy"), "segment to name a file"),
        (lambda content: content.update(allow_list="users.npy"), "an arm 'allowed' beside allow_list"),
    ],
)
def test_a_bad_record_is_refused_with_what_is_wrong(tmp_path, change, told):
    path = tmp_path / "rollout.json"
    write_rollout(path, record(0.25))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=told):
        read_rollout(path)


def test_a_slot_that_an_arm_is_served_from_is_not_free(tmp_path):
    home = Settings(home=tmp_path)
    check_slot_is_free(home, "blue")  # nobody is served yet
    write_rollout(rollout_file(home), record(0.25))
    check_slot_is_free(home, "green")
    with pytest.raises(ConflictError, match="the arm 'champion' is served from the slot blue"):
        check_slot_is_free(home, "blue")


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(InputError, match=r"rollout\.json: no such file, the record of arms: `reland run` makes it"):
        read_rollout(tmp_path / "rollout.json")


def test_a_log_is_the_rows_of_its_files(tmp_path):
    assert read_log(tmp_path / "none", EXPOSURES).num_rows == 0
    for number in (2, 1):
        row = {"request_id": f"r{number}", "item_id": "i", "outcome": "click", "time": number}
        write_table(_table([row]), tmp_path / f"{number}.parquet", OUTCOME_EVENTS)
    assert read_log(tmp_path, OUTCOME_EVENTS)["request_id"].to_pylist() == ["r1", "r2"]
    with pytest.raises(InputError, match="has the columns"):
        read_log(tmp_path, EXPOSURES)


def _table(rows):
    return pa.Table.from_pylist(rows, OUTCOME_EVENTS)


def test_a_run_is_told_before_it_begins_that_no_slot_is_left_for_its_features(tmp_path):
    home = Settings(home=tmp_path)
    check_features_have_a_slot(home)  # nobody is served yet
    blue = record(0.25)
    write_rollout(rollout_file(home), blue)
    check_features_have_a_slot(home)
    (*first, last) = blue.arms
    held = replace(last, slot="green")
    write_rollout(rollout_file(home), replace(blue, arms=(*first, held)))
    with pytest.raises(ConflictError, match=rf"the arm '{last.name}' is served from the slot green"):
        check_features_have_a_slot(home)
