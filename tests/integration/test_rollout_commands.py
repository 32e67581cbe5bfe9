"""The rollout's commands on real files and a real registry, killed wherever they act.

Triton is left out here, for it would make a few hundred attempts take an hour: the three calls of its replicas are
stood in for. `gateway/test_rollout.py` has it.
"""

import json
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import CONFIG_FILE, ITEM_INDEX_FILE, ONNX_FILE
from components.contracts.ranking_signature import MODEL_NAME, USER_INPUTS
from components.contracts.registry import RANKER_MODEL, TAG_GENERATION, TAG_SLOT
from components.contracts.rollout_history import append_state, history_file, read_rollout_history
from components.contracts.serving import (
    EXPOSURES,
    EXPOSURES_FOLDER,
    ITEM_VECTORS_FILE,
    OUTCOME_EVENTS,
    POPULAR_ITEMS,
    POPULAR_ITEMS_FILE,
    Arm,
    RolloutRecord,
    item_collection,
    log_folder,
    read_rollout,
    rollout_file,
    rollout_folder,
    write_rollout,
)
from components.contracts.tables import ITEM_INDEX, vectors, write_table
from components.foundation.errors import ConflictError, EnvironmentFaultError, InputError
from components.foundation.files import write_json
from components.foundation.mlflow_client import aliases, open_registry
from components.foundation.settings import Settings
from feature_repo.definitions import batch_file, user_view
from feature_repo.store import feature_store_folder
from pipelines.rollout import promote_rollout, ramp_rollout, start_rollout, watch_rollout
from serving.rollout import controller, guard, reconciler
from serving.rollout.guardrails import Limits
from serving.triton.repository import (
    RELEASED_MODELS,
    ModelFiles,
    SignatureDimensions,
    ranking_model,
    release_version,
    served_versions,
)

DIMENSIONS = SignatureDimensions(rationales=1, text=3, item_vector=4)
ITEMS = ["a", "b", "c"]


class KilledError(BaseException):
    """What SIGKILL is to the commands: nothing of theirs runs afterwards."""


def write_release(settings: Settings, version: int, served: set[int]) -> None:
    """A version as serving reads it; its graph is no graph, for nobody loads it here."""
    folder = settings.home / "rankers" / str(version)
    folder.mkdir(parents=True)
    (folder / ONNX_FILE).write_text(f"graph {version}")
    described = {"rationales_per_user": 1, "text_dimension": 3, "text_encoder": "tiny", "inputs": list(USER_INPUTS)}
    described["pool"] = "pool_one"
    write_json(folder / CONFIG_FILE, described)
    write_table(pa.table([ITEMS, [1, 2, 3]], schema=ITEM_INDEX), folder / ITEM_INDEX_FILE, ITEM_INDEX)
    schema = vectors("item_id", 4)
    rows = [{"item_id": item, "vector": np.zeros(4).tolist()} for item in ITEMS]
    write_table(pa.Table.from_pylist(rows, schema), folder / ITEM_VECTORS_FILE, schema)
    popular = pa.table([ITEMS, [3, 2, 1]], schema=POPULAR_ITEMS)
    write_table(popular, folder / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    files = {path.name: path for path in folder.iterdir()}
    models = [ModelFiles(ranking_model(name, USER_INPUTS, DIMENSIONS), files) for name in RELEASED_MODELS]
    release_version(settings.resolved_model_repository, version, models, served)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Settings:
    """A home with the versions 1 to 3 in the repository and the registry."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), rollout_grace_seconds=0.0, triton_replicas="127.0.0.1:1")
    client = open_registry(settings)
    client.create_registered_model(RANKER_MODEL)
    for version in (1, 2, 3):
        write_release(settings, version, served=set())
        tags = {TAG_GENERATION: f"g{version}", TAG_SLOT: "blue"} if version < 3 else {}
        client.create_model_version(RANKER_MODEL, "nowhere", tags=tags)
    fill_slot(settings, "pool_one")
    return settings


def fill_slot(settings: Settings, pool: str) -> None:
    """What a push leaves: every user of the slot was matched in a pool."""
    path = batch_file(feature_store_folder(settings), user_view("blue"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user_id": ["gone", "here"], "pool": ["pool_zero", pool]}), path)


@pytest.fixture
def settings(released, monkeypatch) -> Settings:
    """Version 1 serves, version 2 is released beside it, and every replica of Triton answers for everything."""
    monkeypatch.setattr(reconciler, "confirm_everywhere", lambda *_: None)
    monkeypatch.setattr(reconciler, "unload_everywhere", lambda *_: None)
    put_back(released)
    return released


def put_back(settings: Settings) -> None:
    history_file(settings).unlink(missing_ok=True)
    for path in log_folder(settings, EXPOSURES_FOLDER).glob("*"):
        path.unlink()
    arm = Arm(
        name="champion",
        version=1,
        generation="g1",
        feature_service="reland_blue",
        slot="blue",
        item_collection=item_collection(1),
        weight=1.0,
    )
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="first", arms=(arm,)))
    client = open_registry(settings)
    client.set_registered_model_alias(RANKER_MODEL, "champion", "1")
    client.set_registered_model_alias(RANKER_MODEL, "candidate", "2")
    reconciler.change_served_versions(settings.resolved_model_repository, {1, 2}, {3})


def seen(settings: Settings) -> dict:
    """What the platform is like, without the numbers of states and the salts, which every attempt has its own of."""
    return {
        "arms": [(arm.name, arm.version, arm.weight) for arm in read_rollout(rollout_file(settings)).arms],
        "aliases": aliases(open_registry(settings), RANKER_MODEL),
        "served": served_versions(settings.resolved_model_repository),
    }


COMMANDS = {
    "start": ([], lambda settings: controller.start(settings, 2, 0.1)),
    "ramp": (["start"], lambda settings: controller.ramp(settings, 0.2)),
    "promote": (["start"], controller.promote),
    "abort": (["start"], controller.abort),
    "rollback": (["start", "promote"], controller.rollback),
    "hold_out": ([], lambda settings: controller.hold_out(settings, 0.1)),
}


class Killer:
    """Kills before or after the n-th call of what changes anything."""

    def __init__(self, monkeypatch, at: int):
        self.moments = 0
        self._at = at
        actions = [(controller, "append_state"), (controller, "make_ready"), (reconciler, "change_served_versions")]
        actions += [(reconciler, name) for name in ("confirm_everywhere", "write_rollout", "move_aliases")]
        actions += [(reconciler, "unload_everywhere")]
        for module, name in actions:
            monkeypatch.setattr(module, name, self._around(getattr(module, name)))

    def _around(self, action):
        def act(*arguments):
            self._moment()
            result = action(*arguments)
            self._moment()
            return result

        return act

    def _moment(self) -> None:
        self.moments += 1
        if self.moments == self._at:
            raise KilledError


@pytest.mark.services  # a hundred kills
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_anywhere_it_ends_with_all_old_or_all_new(settings, command):
    before, act = COMMANDS[command]

    def prepare() -> None:
        put_back(settings)
        for other in before:
            COMMANDS[other][1](settings)

    prepare()
    old = seen(settings)
    with pytest.MonkeyPatch.context() as patch:
        moments = Killer(patch, at=0)
        act(settings)
    new = seen(settings)
    assert new != old and moments.moments >= 6
    ends = set()
    for moment in range(1, moments.moments + 1):
        prepare()
        with pytest.MonkeyPatch.context() as patch:
            Killer(patch, moment)
            with pytest.raises(KilledError):
                act(settings)
        # At every moment, what users are dealt to is served.
        dealt = {arm.version for arm in read_rollout(rollout_file(settings)).arms}
        assert all(dealt <= served for served in served_versions(settings.resolved_model_repository).values())
        controller.resume(settings)
        controller.resume(settings)  # there is nothing left to do
        assert seen(settings) in (old, new), moment
        ends.add("old" if seen(settings) == old else "new")
        assert controller.status(settings).effective
    assert ends == {"old", "new"}


def test_a_killed_promotion_whose_candidate_no_replica_serves_any_longer_is_aborted(settings, monkeypatch):
    controller.start(settings, 2, 0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciler, "write_rollout", lambda *_: (_ for _ in ()).throw(KilledError()))
        with pytest.raises(KilledError):
            controller.promote(settings)
    assert not controller.status(settings).effective

    def refuse(replicas, version, catalogue) -> None:
        if version == 2:
            raise EnvironmentFaultError("Triton does not serve version 2")

    monkeypatch.setattr(reconciler, "confirm_everywhere", refuse)
    with pytest.raises(EnvironmentFaultError, match="does not serve version 2"):
        controller.resume(settings)
    controller.abort(settings)
    assert seen(settings)["arms"] == [("champion", 1, 1.0)] and seen(settings)["aliases"] == {"champion": "1"}
    assert served_versions(settings.resolved_model_repository)[MODEL_NAME] == {1}
    assert [state.action for state in read_rollout_history(history_file(settings))] == ["start", "promote", "abort"]


def test_a_killed_start_can_be_aborted(settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciler, "write_rollout", lambda *_: (_ for _ in ()).throw(KilledError()))
        with pytest.raises(KilledError):
            controller.start(settings, 2, 0.1)
    controller.abort(settings)
    assert seen(settings)["arms"] == [("champion", 1, 1.0)]


def test_two_commands_at_once_are_refused(settings, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()

    def wait(*_) -> None:
        entered.set()
        assert go_on.wait(60)

    monkeypatch.setattr(reconciler, "confirm_everywhere", wait)
    thread = threading.Thread(target=controller.start, args=(settings, 2, 0.1))
    thread.start()
    try:
        assert entered.wait(60)
        with pytest.raises(ConflictError, match=r"rollout/lock: another rollout command runs \(process \d+ of "):
            controller.hold_out(settings, 0.1)
        assert controller.status(settings).desired.state == 0  # looking is allowed
    finally:
        go_on.set()
        thread.join()
    assert controller.status(settings).desired.candidate is not None


def test_a_version_that_was_released_meanwhile_stays_the_registrys_candidate(settings):
    client = open_registry(settings)
    controller.start(settings, None, 0.1)
    client.set_registered_model_alias(RANKER_MODEL, "candidate", "3")
    reconciler.change_served_versions(settings.resolved_model_repository, {3}, set())
    controller.promote(settings)
    assert seen(settings)["aliases"] == {"champion": "2", "candidate": "3"}
    assert served_versions(settings.resolved_model_repository)[MODEL_NAME] == {2, 3}


def test_lists_of_users_are_copied_to_where_gateways_read_them(settings, tmp_path):
    users = tmp_path / "users.txt"
    users.write_text("ann\nbob\n")
    state = controller.start(settings, 2, 0.1, allow_list=users, segment=users)
    assert state.allow_list == state.segment
    assert (rollout_folder(settings) / str(state.segment)).stat().st_mode & 0o777 == 0o600
    controller.abort(settings)
    users.write_text("\n")
    with pytest.raises(InputError, match=r"users\.txt: no user in it"):
        controller.start(settings, 2, 0.1, segment=users)
    assert not [path for path in rollout_folder(settings).iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda s: controller.start(s, 9, 0.1), r"reland-ranker version 9: not in the registry"),
        (lambda s: controller.start(s, 3, 0.1), r"version 3: its tags lack generation or feast_slot"),
        (lambda s: controller.start(s, 2, 0.1, segment=Path("none.txt")), r"none\.txt: no such file"),
        (lambda s: controller.start(s, 2, 0.7), r"weight 0\.7: expected more than 0 and at most 0\.5"),
        (lambda s: controller.promote(s), "no rollout runs"),
        (lambda s: controller.abort(s), "no rollout runs"),
        (lambda s: controller.rollback(s), "no rollout made version 1 the champion, so there is none before it"),
        (lambda s: guard.watch(s, Limits()), "no rollout runs"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(settings, act, told):
    old = seen(settings)
    with pytest.raises(InputError, match=told):
        act(settings)
    assert seen(settings) == old and read_rollout_history(history_file(settings)) == []


def test_without_the_alias_or_the_files_a_version_is_no_candidate(settings):
    model = settings.resolved_model_repository / MODEL_NAME / "2" / ONNX_FILE
    model.rename(model.with_suffix(".away"))
    try:
        with pytest.raises(InputError, match=r"reland_ranker/2/model\.onnx: no such file, expected a release"):
            controller.start(settings, 2, 0.1)
    finally:
        model.with_suffix(".away").rename(model)
    open_registry(settings).delete_registered_model_alias(RANKER_MODEL, "candidate")
    with pytest.raises(InputError, match="no version with the alias 'candidate': name a version"):
        controller.start(settings, None, 0.1)


def test_a_rollback_goes_back_one_promotion_at_a_time(settings, capsys):
    old = seen(settings)
    controller.start(settings, 2, 0.1)
    with pytest.raises(ConflictError, match="a rollout of version 2 runs"):
        controller.rollback(settings)
    promoted = controller.promote(settings)
    state = controller.rollback(settings, "worse at night")
    assert (state.action, state.reason, state.ended) == ("rollback", "worse at night", 2)
    assert seen(settings)["arms"] == old["arms"] and seen(settings)["aliases"] == {"champion": "1"}
    assert served_versions(settings.resolved_model_repository)[MODEL_NAME] == {1}
    assert "went back from version 2 to version 1 (generation g1, features of the slot blue)" in capsys.readouterr().out
    with pytest.raises(InputError, match="no rollout made version 1 the champion"):
        controller.rollback(settings)
    # Further on from there, and back again: what was promoted keeps the digest of its files.
    controller.start(settings, 2, 0.1)
    assert controller.promote(settings).candidate_digest == promoted.candidate_digest
    assert controller.rollback(settings).champion.version == 1


def test_a_promotion_that_was_aborted_on_the_way_is_none_to_go_back_from(settings):
    controller.start(settings, 2, 0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciler, "write_rollout", lambda *_: (_ for _ in ()).throw(KilledError()))
        with pytest.raises(KilledError):
            controller.promote(settings)
    controller.abort(settings)
    with pytest.raises(InputError, match="no rollout made version 1 the champion"):
        controller.rollback(settings)


@pytest.mark.parametrize("pool", ["pool_two", ""])
def test_a_version_whose_features_were_overwritten_is_neither_gone_back_to_nor_started(settings, pool):
    controller.start(settings, 2, 0.1)
    controller.promote(settings)
    promoted, history = seen(settings), history_file(settings).read_bytes()
    fill_slot(settings, pool)
    try:
        expected = f"features of the pool pool_one, and the slot blue holds features of the pool {pool or 'without'}"
        for act in (controller.rollback, lambda s: controller.start(s, 1, 0.1)):
            with pytest.raises(InputError, match=f"reland-ranker version 1: reads {expected}"):
                act(settings)
    finally:
        fill_slot(settings, "pool_one")
    assert seen(settings) == promoted and history_file(settings).read_bytes() == history


def test_a_record_of_other_hands_is_what_is_gone_on_from(settings):
    controller.start(settings, 2, 0.1)
    controller.abort(settings)
    record = read_rollout(rollout_file(settings))
    content = json.loads(rollout_file(settings).read_text()) | {"state": record.state + 5, "salt": "by hand"}
    rollout_file(settings).write_text(json.dumps(content))
    assert controller.start(settings, 2, 0.1).state == record.state + 6


def test_the_steps_of_the_pipeline_can_be_tried_again(settings, monkeypatch):
    for name in ("home", "triton_replicas", "rollout_grace_seconds"):
        monkeypatch.setenv(f"RELAND_{name.upper()}", str(getattr(settings, name)))
    for _ in range(2):
        start_rollout.python_func(version=2, weight=0.1, reason="daily")
    for _ in range(2):
        ramp_rollout.python_func(weight=0.2, reason="daily")
    watch_rollout.python_func(seconds=0.0)
    for _ in range(2):
        promote_rollout.python_func(version=2, reason="daily")
    history = read_rollout_history(history_file(settings))
    assert [state.action for state in history] == ["start", "ramp", "promote"]
    assert seen(settings)["arms"] == [("champion", 2, 1.0)]
    with pytest.raises(InputError, match="no rollout runs"):
        watch_rollout.python_func(seconds=0.0)


# The guard


def exposures(arm: str, state: int, number: int, step: str = "fresh") -> list[dict]:
    row = {
        "request_id": "r",
        "user_id": "u",
        "endpoint": "recommend",
        "arm": arm,
        "state": state,
        "model": MODEL_NAME,
        "model_version": 1,
        "generation": "g",
        "items": ITEMS,
        "positions": [1, 2, 3],
        "scores": [0.0] * 3,
        "ladder_step": step,
        "cold_start": False,
        "rationale_id": "r1",
        "seconds_total": 0.01,
        "time": 0,
    }
    return [row | {"request_id": f"{arm} {user}", "user_id": f"{arm} {user}"} for user in range(number)]


def log(settings: Settings, name: str, *rows: list[dict]) -> None:
    table = pa.Table.from_pylist([row for some in rows for row in some], EXPOSURES)
    write_table(table, log_folder(settings, EXPOSURES_FOLDER) / f"{name}.parquet", EXPOSURES)


def test_the_guard_aborts_for_what_is_served_in_this_stage_whatever_the_clocks_say(settings, monkeypatch):
    monkeypatch.setattr(guard, "LOOK_SECONDS", 0.01)
    controller.start(settings, 2, 0.1)
    state = controller.ramp(settings, 0.2).state
    # The stage before was bad, this one is not.
    log(settings, "9" * 20 + "-1", exposures("candidate", state - 1, 200, "id_only"))
    log(settings, "9" * 20 + "-2", exposures("candidate", state, 200), exposures("control", state, 200))
    (log_folder(settings, EXPOSURES_FOLDER) / ("9" * 20 + "-3.parquet")).write_text("damaged")
    watched = guard.watch(settings, Limits(), seconds=0.2)
    assert (watched.breached, watched.ended) == ([], False)

    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(guard.watch(settings, Limits(), seconds=60)))
    thread.start()
    threading.Event().wait(0.3)
    # A gateway whose clock was set back by decades, and whose candidate fails only now.
    log(
        settings,
        "0" * 20 + "-4",
        exposures("candidate", state, 100, "id_only"),
        exposures("control", state, 100),
    )
    thread.join(60)
    (watched,) = outcome
    assert [guardrail.name for guardrail in watched.breached] == ["fallen_steps"] and not watched.ended
    assert seen(settings)["arms"] == [("champion", 1, 1.0)]
    last = read_rollout_history(history_file(settings))[-1]
    assert last.action == "abort" and last.reason.startswith("guardrails: fallen_steps 0.3333, limit 0.05 (control 0)")


def test_a_fault_that_begins_late_is_not_outweighed_by_what_was_good(settings):
    measures = guard.StageMeasures()
    good = [*exposures("candidate", 1, 3_000), *exposures("control", 1, 3_000)]
    bad = [*exposures("candidate", 1, 60, "id_only"), *exposures("control", 1, 60)]
    events = OUTCOME_EVENTS.empty_table()
    measures.add(pa.Table.from_pylist(good, EXPOSURES), events, now=0.0)
    measures.add(pa.Table.from_pylist(bad, EXPOSURES), events, now=5.0)
    assert measures.breached(Limits()) == []
    measures.add(pa.Table.from_pylist(bad, EXPOSURES), events, now=15.0)
    assert [guardrail.name for guardrail in measures.breached(Limits())] == ["fallen_steps"]


def test_the_guard_ends_with_the_rollout_and_follows_a_ramp(settings, monkeypatch, capsys):
    monkeypatch.setattr(guard, "LOOK_SECONDS", 0.01)
    controller.start(settings, 2, 0.1)
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(guard.watch(settings, Limits())))
    thread.start()
    controller.ramp(settings, 0.2)
    threading.Event().wait(0.3)
    controller.promote(settings)
    thread.join(60)
    (watched,) = outcome
    assert watched.ended and not watched.breached and watched.state.stage == 2
    assert "watching stage 2, at weight 0.2" in capsys.readouterr().out


def test_a_guard_that_comes_late_aborts_no_other_rollout(settings):
    first = controller.start(settings, 2, 0.1)
    controller.abort(settings)
    second = controller.start(settings, 2, 0.1)
    assert controller.abort(settings, "late", rollout=first.rollout) is None
    assert controller.status(settings).desired == second
    append_state(history_file(settings), second.__class__(**(vars(second) | {"state": second.state + 1})))
    assert controller.abort(settings, "in time", rollout=second.rollout) is not None
