"""Rollouts under load: what users notice of promotions and aborts, and how soon a bad candidate is gone.

    python -m tests.performance.rollout [--quick] --json FILE

Two real Triton servers in the care that `reland serve` gives them, the gateway as a process, and 100 requests a second
of 200 users by a process of its own. First nothing is rolled out for half a minute: what the machine itself does to
answers. Then 10 rollouts are promoted and 10 aborted, in turn, each a start, a ramp and an end. Then four candidates
are started, each with the guard (`reland rollout guard`) beside it: one as good as the champion, which must be left
alone, and three whose ONNX graphs fail, or compute for long, for users with a rationale, so that they pass every check
before. The time until the guard has aborted one counts from the candidate's first list to its last.

What is expected of an answer is taken from the history: the state of each logged exposure gives the arms' record, and
that the user's arm and the version.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from threadpoolctl import threadpool_limits

from components.contracts.artifacts import ONNX_FILE
from components.contracts.registry import RANKER_MODEL, TAG_GENERATION, TAG_SLOT
from components.contracts.rollout_history import history_file, read_rollout_history
from components.contracts.serving import (
    EXPOSURES,
    EXPOSURES_FOLDER,
    Arm,
    RolloutRecord,
    assign_arm,
    item_collection,
    log_folder,
    read_log,
    read_rollout,
    rollout_file,
    write_rollout,
)
from components.feature_push.push import GenerationFeatures, push_features_to
from components.foundation.files import read_json, write_json
from components.foundation.loopback import without_proxy
from components.foundation.mlflow_client import open_registry
from components.foundation.settings import Settings, load_settings
from components.ranker_release.release import models_of
from feature_repo.definitions import user_service
from feature_repo.store import Assignment, History, Rationale, feature_store_folder, open_feature_store
from serving.rollout import controller
from serving.triton.repository import release_version
from serving.triton.server import free_ports
from serving.triton.supervisor import supervised_triton
from tests.integration.gateway.conftest import ITEM_IDS, TEXT, TEXT_ENCODER, release
from tests.performance.report import Figure, write_report

USERS = [f"user {number}" for number in range(200)]
RATE = 100
CANDIDATES = ITEM_IDS[:20]
STAGE_SECONDS = 1.0  # of each stage: some hundred requests
EQUAL = 2
BAD = {3: "fails", 4: "is slow beyond its budget", 5: "is slow within its budget"}
SLOW_SECONDS = {4: 0.3, 5: 0.025}
QUIET_SECONDS = 30.0  # without a rollout
GUARD_SECONDS = 120.0  # after which a guard is taken to have missed
EQUAL_SECONDS = 60.0  # that an equal candidate is watched
FIRST_RECORD = RolloutRecord(
    state=0,
    salt="salt",
    arms=(
        Arm(
            name="champion",
            version=1,
            generation="20260101t000000000",
            feature_service=user_service("blue"),
            slot="blue",
            item_collection=item_collection(1),
            weight=1.0,
        ),
    ),
)


@dataclass(frozen=True)
class Answer:
    """What the load saw of one request; `time` is of the machine's clock that only goes forward."""

    time: float
    user: str
    status: int
    arm: str
    version: int
    step: str


def prepare_home(home: Path, triton_environment: Path) -> Settings:
    """A home with users, version 1 as champion, and beside it version 2, which is as good, and the bad ones."""
    settings = Settings(home=home, triton_environment=triton_environment, rollout_grace_seconds=3.0)
    store = open_feature_store(settings)
    features = GenerationFeatures(
        {"r": Rationale([0.5] * TEXT, TEXT_ENCODER, "likes quiet films", "one", banned=False)},
        {user: Assignment(["r"], [0.75]) for user in USERS},
        {user: History([ITEM_IDS[number % 30], ITEM_IDS[number % 7]]) for number, user in enumerate(USERS)},
    )
    push_features_to(store, feature_store_folder(settings), "blue", features)
    repository = settings.resolved_model_repository
    for version in (1, EQUAL, *BAD):
        folder = home / "rankers" / str(version)
        if version in BAD:
            # The graph is spoiled before the release, whose files never change afterwards.
            release(folder, home / "unspoiled" / str(version), version, seed=version)
            spoil(folder / "reland" / ONNX_FILE, SLOW_SECONDS.get(version))
            release_version(repository, version, models_of(folder), served={1})
        else:
            release(folder, repository, version, seed=version)
        register(settings, version)
    write_rollout(rollout_file(settings), FIRST_RECORD)
    return settings


def register(settings: Settings, version: int) -> None:
    """What a run does for a ranker, without its files: serving reads those of the model repository."""
    client = open_registry(settings)
    if version == 1:
        client.create_registered_model(RANKER_MODEL)
    tags = {TAG_GENERATION: f"2026010{version}t000000000", TAG_SLOT: "blue"}
    client.create_model_version(RANKER_MODEL, str(settings.home / "rankers" / str(version)), tags=tags)
    if version == 1:
        client.set_registered_model_alias(RANKER_MODEL, "champion", "1")


def spoil(path: Path, seconds: float | None) -> None:
    """Make a ranker fail for every user with a rationale, or take about `seconds` of this machine longer."""
    model = onnx.load(path)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["honest_scores" if name == "scores" else name for name in node.output]
        node.input[:] = ["honest_scores" if name == "scores" else name for name in node.input]
    size = 256
    rounds = 1_000_000 if seconds is None else max(1, round(seconds / _matrix_product_seconds(size)))
    constants: dict[str, np.ndarray] = {
        "spoil_axes": np.array([0, 1, 2], np.int64),
        "spoil_nothing": np.array(0.0, np.float32),
        "spoil_rounds": np.array(rounds, np.int64),
        "spoil_matrix": np.full((size, size), 1 / size, np.float32),  # its square is itself
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Abs", ["rationale"], ["spoil_absolute"]),
            helper.make_node("ReduceSum", ["spoil_absolute", "spoil_axes"], ["spoil_sum"], keepdims=0),
            helper.make_node("Greater", ["spoil_sum", "spoil_nothing"], ["spoil_with"]),
            helper.make_node("Cast", ["spoil_with"], ["spoil_one"], to=TensorProto.INT64),
            helper.make_node("Mul", ["spoil_one", "spoil_rounds"], ["spoil_count"]),
        ]
    )
    if seconds is None:  # an index that is not there
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "spoil_zero"))
        graph.node.append(helper.make_node("Gather", ["spoil_zero", "spoil_count"], ["spoil_added"]))
    else:
        graph.initializer.append(numpy_helper.from_array(np.array(True), "spoil_go"))
        body = helper.make_graph(
            [
                helper.make_node("MatMul", ["matrix_in", "spoil_matrix"], ["matrix_out"]),
                helper.make_node("Identity", ["go_in"], ["go_out"]),
            ],
            "round",
            [
                helper.make_tensor_value_info("number", TensorProto.INT64, []),
                helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
                helper.make_tensor_value_info("matrix_in", TensorProto.FLOAT, [size, size]),
            ],
            [
                helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
                helper.make_tensor_value_info("matrix_out", TensorProto.FLOAT, [size, size]),
            ],
        )
        graph.node.extend(
            [
                helper.make_node("Loop", ["spoil_count", "spoil_go", "spoil_matrix"], ["spoil_product"], body=body),
                helper.make_node("ReduceMax", ["spoil_product"], ["spoil_largest"], keepdims=0),
                helper.make_node("Mul", ["spoil_largest", "spoil_nothing"], ["spoil_added"]),
            ]
        )
    graph.node.append(helper.make_node("Add", ["honest_scores", "spoil_added"], ["scores"]))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _matrix_product_seconds(size: int) -> float:
    matrix = np.full((size, size), 1 / size, np.float32)
    with threadpool_limits(1):
        began = time.perf_counter()
        for _ in range(50):
            matrix = matrix @ matrix
        return (time.perf_counter() - began) / 50


async def load(port: int, file: Path) -> None:
    """Ask `RATE` times a second, whatever comes back and when, until standard input ends; a line for each answer."""
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
    with file.open("w", encoding="utf-8") as lines:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False, limits=limits
        ) as client:

            async def ask(number: int) -> None:
                user = USERS[number % len(USERS)]
                try:
                    response = await client.post("/v1/rank", json={"user_id": user, "candidates": CANDIDATES})
                    body = response.json() if response.status_code == 200 else {}
                    status = response.status_code
                except httpx2.HTTPError as error:
                    body, status = {"ladder_step": type(error).__name__}, 0
                answer = Answer(
                    time=time.monotonic(),
                    user=user,
                    status=status,
                    arm=body.get("arm", ""),
                    version=body.get("model_version", 0),
                    step=body.get("ladder_step", ""),
                )
                lines.write(json.dumps(asdict(answer)) + "\n")
                lines.flush()

            asked: set[asyncio.Task[None]] = set()
            began, number = time.monotonic(), 0
            while not ended.done():
                while number < (time.monotonic() - began) * RATE:
                    task = asyncio.create_task(ask(number))
                    asked.add(task)
                    task.add_done_callback(asked.discard)
                    number += 1
                await asyncio.sleep(0.005)
            await asyncio.gather(*asked)


@contextmanager
def serving(settings: Settings, file: Path) -> Iterator[Settings]:
    """Two Triton servers, the gateway, and the load on it, whose answers come to stand in `file`."""
    with ExitStack() as stack:
        triton = [stack.enter_context(supervised_triton(settings)).grpc_address for _ in range(2)]
        (port,) = free_ports(0)
        # Feast, imported here, sets variables by which Prometheus would keep the gateway's values in files.
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS_")},
            "RELAND_HOME": str(settings.home),
            "RELAND_GATEWAY_PORT": str(port),
            "RELAND_TRITON_GRPC": triton[0],
            "RELAND_GATEWAY_CONCURRENCY": "64",
        }
        gateway = stack.enter_context(subprocess.Popen([sys.executable, "-m", "serving.gateway"], env=environment))
        stack.callback(gateway.terminate)
        _wait_until_ready(port)
        command = [sys.executable, "-m", "tests.performance.rollout", "--load", str(port), "--json", str(file)]
        asking = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
        assert asking.stdin is not None
        stack.callback(asking.wait)
        stack.callback(asking.stdin.close)
        time.sleep(3.0)
        yield settings.model_copy(update={"triton_replicas": ",".join(triton)})
        time.sleep(2.0)


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "the gateway does not answer"
        time.sleep(0.2)


@dataclass(frozen=True)
class Phase:
    """A stretch of time in which the load is told apart, of the clock of `Answer`."""

    name: str
    began: float
    ended: float


class Phases(list[Phase]):
    """The phases so far."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.append(Phase(name, began, time.monotonic()))

    def steps(self, answers: list[Answer]) -> dict[str, dict[str, int]]:
        """For each name the answers by the step of the ladder."""
        counts: dict[str, Counter[str]] = {phase.name: Counter() for phase in self}
        for phase in self:
            counts[phase.name].update(a.step for a in answers if phase.began <= a.time < phase.ended)
        return {name: dict(count) for name, count in counts.items()}


def roll(settings: Settings, number: int, phases: Phases) -> None:
    """`number` rollouts promoted and as many aborted, in turn; the versions 1 and 2 take turns as champion."""
    for _ in range(number):
        for end in (controller.abort, controller.promote):
            (served,) = {arm.version for arm in read_rollout(rollout_file(settings)).arms}
            with phases.phase("a candidate is loaded"):
                controller.start(settings, 3 - served, 0.1)
            with phases.phase("a candidate is served"):
                time.sleep(STAGE_SECONDS)
                controller.ramp(settings, 0.4)
                time.sleep(STAGE_SECONDS)
            with phases.phase("a version is unloaded"):
                end(settings)


@dataclass(frozen=True)
class Guarded:
    """How the guard ended that stood beside a candidate; `status` is 0 where it aborted nothing."""

    version: int
    status: int
    said: str
    began: float
    ended: float

    def seconds(self, answers: list[Answer]) -> float:
        """From the candidate's first list to its last."""
        times = [a.time for a in answers if a.arm == "candidate" and self.began < a.time < self.ended]
        return max(times) - min(times)


def guard(settings: Settings, version: int, seconds: float) -> Guarded:
    """Start a candidate with the guard beside it, for `seconds` at most; what the guard said and when it ended."""
    began = time.monotonic()
    controller.start(settings, version, 0.25)
    environment = {
        **os.environ,
        **{f"RELAND_{name.upper()}": str(getattr(settings, name)) for name in ("home", "triton_replicas")},
        "RELAND_ROLLOUT_GRACE_SECONDS": str(settings.rollout_grace_seconds),
    }
    command = [sys.executable, "-c", "from reland.main import main; main()", "rollout", "guard"]
    command += ["--seconds", str(seconds)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if controller.status(settings).desired.candidate is not None:
        controller.abort(settings, "the guard has aborted nothing")
    said = (ended.stderr.strip().splitlines() or [""])[-1]
    return Guarded(version, ended.returncode, said, began, time.monotonic())


def wrong_exposures(settings: Settings) -> tuple[int, int, int]:
    """Exposures, those of another arm than the record gives the user, and those of another version than the arm's."""
    records = {state.state: state.record for state in read_rollout_history(history_file(settings))}
    records[0] = FIRST_RECORD
    columns = ["user_id", "arm", "state", "model_version"]
    rows = read_log(log_folder(settings, EXPOSURES_FOLDER), EXPOSURES).select(columns).to_pylist()
    wrong_arm = wrong_version = 0
    for (user, arm, state, version), count in Counter(tuple(row.values()) for row in rows).items():
        expected = assign_arm(records[state], user)
        wrong_arm += count * (arm != expected.name)
        wrong_version += count * (version != expected.version)
    return len(rows), wrong_arm, wrong_version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one rollout of each kind, and one bad candidate alone")
    parser.add_argument("--rollouts", type=int, default=10, help="how many are promoted, and how many aborted")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.update(no_grpc_proxy=without_proxy(os.environ))
    if arguments.load is not None:
        asyncio.run(load(arguments.load, arguments.json))
        return
    number = 1 if arguments.quick else arguments.rollouts
    phases = Phases()
    with tempfile.TemporaryDirectory(prefix="reland-rollout-") as folder:
        settings = prepare_home(Path(folder) / "home", load_settings().triton_environment)
        file = Path(folder) / "answers.jsonl"
        with serving(settings, file) as served:
            with phases.phase("nothing is rolled out"):
                time.sleep(QUIET_SECONDS)
            roll(served, number, phases)
            equal = None if arguments.quick else guard(served, EQUAL, EQUAL_SECONDS)
            bad = [guard(served, version, GUARD_SECONDS) for version in list(BAD)[: 1 if arguments.quick else None]]
        answers = [Answer(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
        exposures, wrong_arm, wrong_version = wrong_exposures(settings)
    answered = sum(answer.status == 200 for answer in answers)
    of = f"of {exposures} exposures"
    figures = [
        Figure(
            f"requests answered with 200, of {len(answers)} before, during and after {2 * number} rollouts",
            answered,
            len(answers),
            "higher",
            1.0,
        ),
        Figure(
            f"exposures of the arm that the record deals the user to, {of}",
            exposures - wrong_arm,
            exposures,
            "higher",
            1.0,
        ),
        Figure(
            f"exposures of the version of the user's arm, {of}", exposures - wrong_version, exposures, "higher", 1.0
        ),
    ]
    if equal is not None:
        name = f"a candidate equal to the champion: aborts by the guard in {EQUAL_SECONDS:g} s (peer: none)"
        figures.append(Figure(name, equal.status != 0, 0, "lower", 1.0))
    for guarded in bad:
        # One that the guard has missed took at least as long as it watched.
        seconds = guarded.seconds(answers) if guarded.status == 1 else float("inf")
        name = f"a candidate that {BAD[guarded.version]}: seconds from its first list to its last (peer: the bound)"
        figures.append(Figure(name, seconds, 30.0, "lower", 1.0))
    write_report(arguments.json, figures, "tests.performance.rollout", sys.argv[1:], ["tritonclient", "fastapi"])
    content = {
        "requests": len(answers),
        "failed": len(answers) - answered,
        "lists_by_step_while": phases.steps(answers),
        "guards": [
            {"candidate": BAD.get(guarded.version, "is equal to the champion"), "said": guarded.said}
            for guarded in ([equal] if equal else []) + bad
        ],
    }
    write_json(arguments.json, read_json(arguments.json) | {"outcome": content})


if __name__ == "__main__":
    main()
