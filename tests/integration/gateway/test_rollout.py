"""A rollout over two real Triton replicas, a real registry and a running gateway."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from tritonclient.grpc import InferenceServerClient

from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.registry import RANKER_MODEL, TAG_GENERATION, TAG_SLOT
from components.contracts.rollout_history import history_file, read_rollout_history
from components.contracts.serving import (
    RolloutRecord,
    assign_arm,
    rollout_file,
    write_rollout,
)
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.mlflow_client import aliases, open_registry
from components.foundation.settings import Settings
from serving.rollout import controller
from serving.triton.repository import RELEASED_MODELS, served_versions
from serving.triton.server import TritonServer, running_triton

pytestmark = pytest.mark.services  # some minutes of loading and unloading real models

USERS = [f"user {number}" for number in range(40)]


@dataclass
class Place:
    """A home with version 1 as champion, and the Triton replicas over its model repository."""

    settings: Settings
    replicas: list[TritonServer]

    def ready(self, version: int) -> list[bool]:
        """On each replica, whether all models of a version are."""
        found = []
        for replica in self.replicas:
            with InferenceServerClient(replica.grpc_address) as client:
                found.append(all(client.is_model_ready(model, str(version)) for model in RELEASED_MODELS))
        return found

    def aliases(self) -> dict[str, str]:
        return aliases(open_registry(self.settings), RANKER_MODEL)


def register(settings: Settings, version: int) -> None:
    """What a run does for a ranker, without its files: serving reads those of the model repository."""
    client = open_registry(settings)
    if version == 1:
        client.create_registered_model(RANKER_MODEL)
    tags = {TAG_GENERATION: f"2026010{version}t000000000", TAG_SLOT: "blue"}
    made = client.create_model_version(RANKER_MODEL, str(settings.home / "rankers" / str(version)), tags=tags)
    assert int(made.version) == version
    client.set_registered_model_alias(RANKER_MODEL, "champion" if version == 1 else "candidate", str(version))


@pytest.fixture(scope="module")
def place(tmp_path_factory, triton_environment, release_ranker, push_features, make_arm) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("rollout")
    settings = Settings(home=home, rollout_grace_seconds=2.5)
    push_features(settings)
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(make_arm(),)))
    for version in (1, 2):
        release_ranker(home / "rankers" / str(version), settings.resolved_model_repository, version, seed=version * 3)
        register(settings, version)
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(
                running_triton(triton_environment, settings.resolved_model_repository, home / f"{n}.log")
            )
            for n in range(2)
        ]
        for replica in replicas:
            for model in RELEASED_MODELS:
                replica.wait_until_ready(model, [1, 2])
        addresses = ",".join(replica.grpc_address for replica in replicas)
        yield Place(settings.model_copy(update={"triton_replicas": addresses}), replicas)


@dataclass
class Asking:
    """Users who ask without a pause, in a thread; what they were answered."""

    gateway: object
    answers: list[tuple[str, str, int, str]] = field(default_factory=list)  # user, arm, version, ladder step
    failures: list[object] = field(default_factory=list)

    def __enter__(self) -> "Asking":
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            for user in USERS:
                response = self.gateway.post("/v1/rank", {"user_id": user, "candidates": ["item 03", "item 12"]})
                if response.status_code != 200:
                    self.failures.append(response.text)
                    continue
                answer = response.json()
                self.answers.append((user, answer["arm"], answer["model_version"], answer["ladder_step"]))
                time.sleep(0.005)

    def wait_until(self, condition) -> list[tuple[str, str, int, str]]:
        """The answers of one later round of all users, once it fulfils the condition."""
        deadline = time.monotonic() + 240
        while True:
            begun = len(self.answers)
            while len(self.answers) < begun + 2 * len(USERS):
                assert time.monotonic() < deadline and not self.failures, (self.failures, self.answers[-1:])
                time.sleep(0.05)
            if condition(found := self.answers[-len(USERS) :]):
                return found
            assert time.monotonic() < deadline, found


def arms_of(answers) -> set[str]:
    return {arm for _, arm, _, _ in answers}


def test_a_candidate_is_started_ramped_and_promoted_and_no_request_fails(place, start_gateway):
    settings = place.settings
    gateway = start_gateway(settings, RELAND_TRITON_GRPC=place.replicas[0].grpc_address)
    with Asking(gateway) as asking:
        asking.wait_until(lambda answers: {version for _, _, version, _ in answers} == {1})
        started = controller.start(settings, None, 0.2, "a first look")
        assert place.ready(2) == [True, True] and place.aliases() == {"champion": "1", "candidate": "2"}
        few = asking.wait_until(lambda answers: arms_of(answers) == {"champion", "control", "candidate"})
        ramped = controller.ramp(settings, 0.5)
        many = asking.wait_until(lambda answers: arms_of(answers) == {"control", "candidate"})
        for user, arm, version, _ in many:
            assert version == (2 if arm == "candidate" else 1)
            assert arm == assign_arm(ramped.record, user).name
        moved = {(before[1], after[1]) for before, after in zip(sorted(few), sorted(many), strict=True)}
        assert moved <= {("champion", "candidate"), ("champion", "control")} | {
            (a, a) for a in ("candidate", "control")
        }

        controller.promote(settings, "better")
        asking.wait_until(lambda answers: {(arm, version) for _, arm, version, _ in answers} == {("champion", 2)})
        assert place.ready(1) == [False, False] and place.ready(2) == [True, True]
        assert place.aliases() == {"champion": "2"}
        assert served_versions(settings.resolved_model_repository) == {model: {2} for model in RELEASED_MODELS}

        # Back again: an older version is a candidate like any other, and this one is aborted.
        controller.start(settings, 1, 0.3)
        asking.wait_until(lambda answers: "candidate" in arms_of(answers))
        controller.abort(settings, "worse")
        asking.wait_until(lambda answers: {(arm, version) for _, arm, version, _ in answers} == {("champion", 2)})
        assert place.ready(1) == [False, False] and place.aliases() == {"champion": "2"}
    assert not asking.failures
    assert {step for *_, step in asking.answers} <= {"fresh", "popular"}  # popular: users nothing is known of
    history = read_rollout_history(history_file(settings))
    assert [(state.action, state.stage) for state in history] == [
        ("start", 1),
        ("ramp", 2),
        ("promote", 0),
        ("start", 1),
        ("abort", 0),
    ]
    assert history[0] == started and history[0].reason == "a first look"


def test_a_candidate_that_is_not_served_everywhere_moves_nobody(place):
    settings = place.settings
    before = rollout_file(settings).read_bytes()
    unreachable = settings.model_copy(update={"triton_replicas": f"{settings.triton_replicas},127.0.0.1:1"})
    with pytest.raises(EnvironmentFaultError, match=r"Triton 127\.0\.0\.1:1 does not serve version 1: "):
        controller.start(unreachable, 1, 0.1)
    with pytest.raises(InputError, match=r"RELAND_TRITON_REPLICAS: not set"):
        controller.start(settings.model_copy(update={"triton_replicas": ""}), 1, 0.1)
    with pytest.raises(InputError, match=r"RELAND_TRITON_REPLICAS: nonsense: .*expected host:port"):
        controller.start(settings.model_copy(update={"triton_replicas": "nonsense"}), 1, 0.1)
    assert rollout_file(settings).read_bytes() == before
    assert served_versions(settings.resolved_model_repository)[MODEL_NAME] == {2}


def test_a_damaged_candidate_is_not_promoted_and_can_be_aborted(place):
    settings = place.settings
    controller.start(settings, 1, 0.1)
    before = rollout_file(settings).read_bytes()
    model = settings.resolved_model_repository / MODEL_NAME / "1" / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    try:
        for change in (lambda: controller.promote(settings), lambda: controller.ramp(settings, 0.2)):
            with pytest.raises(InputError, match=r"files of version 1 have changed since its rollout started"):
                change()
            assert rollout_file(settings).read_bytes() == before
        controller.abort(settings)
        with pytest.raises(EnvironmentFaultError, match=r"Triton .* does not serve version 1: "):
            controller.start(settings, 1, 0.1)
    finally:
        model.write_bytes(whole)
    assert place.aliases() == {"champion": "2"}
