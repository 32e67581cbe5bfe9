"""What serving does while its parts die, hang, or are damaged, and how soon it is back at the top step.

    python -m tests.performance.serving_faults [--only FAULT ...] --json FILE

`reland serve` as a user starts it (Triton in its supervisor's care, Milvus Lite, the gateway) with features in a real
Redis, under a steady load of `/v1/rank` and `/v1/recommend`. One fault at a time:

- kill -9 of Redis, Triton, Triton's Python stubs, Milvus Lite, the gateway. Redis is started again by this command,
  over the data that it had; the others by what takes care of them;
- the same processes stopped (SIGSTOP), so that they hang; Redis, Milvus Lite and the gateway go on after a while, as
  nothing here ends what hangs there; Triton is ended and started again by its supervisor;
- the version that is pinned is unloaded from Triton; a damaged version is published; the disk of the exposure log is
  full (a small tmpfs, which needs root).

For each fault: seconds from when the part answers again, asked directly, to the last answer that was not of the top
step (fresh features, the ranker, candidates from the item index). For all: no status but 200 while the gateway runs, no
answer of another version or with other scores than before the faults, no exposure lost that was served beside a full
disk. Features are not remembered (RELAND_GATEWAY_FEATURE_SECONDS=0), so that every request needs Redis, and a request
may take 2 seconds: what is asked is what answers, not how fast.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import numpy as np
import psutil
import redis
from tritonclient.utils import InferenceServerException

from components.contracts.artifacts import ONNX_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH, MODEL_NAME
from components.contracts.serving import (
    EXPOSURES,
    EXPOSURES_FOLDER,
    RolloutRecord,
    log_folder,
    read_log,
    rollout_file,
    write_rollout,
)
from components.foundation.files import read_json, write_json
from components.foundation.settings import Settings, load_settings
from components.ranker_release.release import models_of
from serving.triton.client import rank
from serving.triton.repository import release_version
from serving.triton.server import POLL_SECONDS, free_ports
from tests.performance.report import Figure, write_report
from tests.performance.serving import push_random_features
from tests.serving_stack import RankerSize, make_arm, release, start_redis

SIZE = RankerSize(items=300, text=32, text_encoder="stand-in", embedding=16, layers=1)
USERS, RATIONALES, CANDIDATES = 20, 8, 50
ENDPOINTS = ("rank", "recommend")
START_SECONDS, RECOVERY_SECONDS = 120.0, 240.0  # a busy machine takes its time to start what ended
HANG_SECONDS = 5.0
FULL_DISK_SECONDS = 12.0  # the log is written every 10
SETTLED_SECONDS = 4.0  # of nothing but top answers, after which a fault counts as over
ASKED = 10.0  # seconds within which the top step is asked for

# What tells the processes of a part below the command.
ARGUMENTS = {
    "Triton": "bin/tritonserver",
    "stubs": "triton_python_backend_stub",
    "Milvus Lite": "bin/milvus-lite",
    "gateway": "serving.gateway",
}

BUILD_INDEX = """
import sys
from pathlib import Path
from components.foundation.milvus import connect_milvus
from components.foundation.settings import Settings
from components.ranker_release.item_index import build_index

home = Path(sys.argv[1])
with connect_milvus(Settings(home=home)) as client:
    build_index(client, home / "rankers" / "1" / "reland", 1, "one", set())
"""


@dataclass(frozen=True)
class Answer:
    """One request of the load; times are of `time.monotonic`, status 0 is a connection that broke or never was."""

    asked: float
    answered: float
    status: int
    step: str
    is_top: bool
    is_right: bool  # of the right version, with the scores that it gave before the faults
    request_id: str


@dataclass
class Serving:
    """`reland serve` and a steady load on it."""

    settings: Settings
    port: int
    triton_port: int
    redis_port: int
    process: subprocess.Popen[bytes]
    redis_servers: list[subprocess.Popen[bytes]]  # the last one is the one that runs
    answers: list[Answer] = field(default_factory=list)
    expected: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    @property
    def triton_address(self) -> str:
        return f"127.0.0.1:{self.triton_port}"

    def part(self, name: str) -> list[psutil.Process]:
        """The processes of a part."""
        if name == "Redis":
            return [psutil.Process(self.redis_servers[-1].pid)]
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(ARGUMENTS[name] in argument for argument in process.cmdline()):
                    found.append(process)
        return found

    def answers_directly(self, name: str) -> bool:
        """Whether a part answers when it is asked without the gateway."""
        try:
            if name == "Redis":
                return bool(redis.Redis(port=self.redis_port, socket_timeout=1.0).ping())
            if name in ("Triton", "stubs"):
                return rank(self.triton_address, 1, _PROBE, timeout_seconds=1.0).scores.shape == (1, 2)
            if name == "gateway":
                return httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=1.0, trust_env=False).is_success
            return _searches(self.settings)
        except (redis.RedisError, InferenceServerException, httpx2.TransportError):
            return False


_PROBE: dict[str, np.ndarray] = {
    "history": np.ones((1, HISTORY_LENGTH), np.int64),
    "rationale": np.zeros((1, 1, SIZE.text), np.float32),
    "candidates": np.array([[1, 2]]),
}


def _searches(settings: Settings) -> bool:
    """Whether the item index can be asked."""
    from pymilvus import MilvusClient, MilvusException

    from components.foundation.milvus import SERVER_FILE, milvus_folder

    try:
        address = (milvus_folder(settings) / SERVER_FILE).read_text(encoding="utf-8").strip()
        client = MilvusClient(uri=address, timeout=1.0, dedicated=True)
        try:
            return bool(client.has_collection("reland_items_1", timeout=1.0))
        finally:
            client.close()
    except (MilvusException, OSError):
        return False


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """`reland serve` over a small release, with every answer of the top step known; all of it ends with the block."""
    with ExitStack() as stack:
        redis_port, gateway_port, triton_port = free_ports(0, 0, 0)
        home = folder / "home"
        variables = {
            "RELAND_HOME": str(home),
            "RELAND_REDIS": f"127.0.0.1:{redis_port}",
            "RELAND_FEAST_REGISTRY": f"sqlite:///{folder / 'registry.db'}",
            "RELAND_FEATURE_STORE": "redis",
            "RELAND_GATEWAY_PORT": str(gateway_port),
            "RELAND_TRITON_GRPC_PORT": str(triton_port),
            "RELAND_GATEWAY_FEATURE_SECONDS": "0",
            "RELAND_GATEWAY_BUDGET_MS": "2000",
            "TMPDIR": str(folder),
        }
        stack.enter_context(mock.patch.dict(os.environ, variables))
        settings = load_settings()
        redis_servers = [start_redis(redis_port, folder, "yes")]
        stack.callback(_end_redis, redis_servers)
        release(home / "rankers" / "1", settings.resolved_model_repository, 1, SIZE, seed=1)
        push_random_features(settings, SIZE, USERS, RATIONALES)
        write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(make_arm(),)))
        subprocess.run([sys.executable, "-c", BUILD_INDEX, str(home)], check=True, timeout=START_SECONDS)
        log_folder(settings, EXPOSURES_FOLDER).mkdir(parents=True)
        process = _start_serving(folder / "serve.log")
        stack.callback(_end, process)
        running = Serving(settings, gateway_port, triton_port, redis_port, process, redis_servers)
        _learn(running)
        ended = threading.Event()
        threads = [threading.Thread(target=_load, args=(running, number, ended)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield running
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def _start_serving(log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from reland.main import main; main()", "serve"]
    # Feast, imported here, sets variables by which Prometheus would keep its values in files.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS_")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=inherited, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + START_SECONDS
    while b"serving: " not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            raise SystemExit(log.read_text())
        time.sleep(0.2)
    return process


def _end_redis(servers: list[subprocess.Popen[bytes]]) -> None:
    for server in servers:
        server.kill()
        server.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does."""
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def _body(endpoint: str, user: int) -> dict[str, Any]:
    if endpoint == "recommend":
        return {"user_id": f"user {user}", "count": 10}
    rows = np.random.default_rng(user).choice(SIZE.items, CANDIDATES, replace=False)
    return {"user_id": f"user {user}", "candidates": [SIZE.item_ids[row] for row in rows]}


def _ask(client: httpx2.Client, endpoint: str, user: int) -> tuple[int, dict[str, Any]]:
    try:
        response = client.post(f"/v1/{endpoint}", json=_body(endpoint, user))
    except httpx2.TransportError:
        return 0, {}
    return response.status_code, response.json() if response.status_code == 200 else {}


def _is_top(endpoint: str, answer: dict[str, Any]) -> bool:
    from_index = endpoint == "rank" or answer.get("candidates_from") == "item_index"
    return answer.get("ladder_step") == "fresh" and from_index


def _scores(answer: dict[str, Any]) -> dict[str, float]:
    return {item["item_id"]: item["score"] for item in answer["items"]}


def _learn(running: Serving) -> None:
    """The answers of the top step."""
    deadline = time.monotonic() + START_SECONDS
    with _client(running) as client:
        for endpoint, user in itertools.product(ENDPOINTS, range(USERS)):
            while not _is_top(endpoint, (found := _ask(client, endpoint, user))[1]):
                if time.monotonic() > deadline:
                    raise SystemExit(f"never at the top step: {found}")
                time.sleep(0.1)
            running.expected[endpoint, user] = _scores(found[1])


def _client(running: Serving) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=30.0, trust_env=False)


def _load(running: Serving, number: int, ended: threading.Event) -> None:
    with _client(running) as client:
        for turn in itertools.count(number):
            if ended.wait(0.03):
                return
            endpoint, user = ENDPOINTS[turn % 2], turn // 2 % USERS
            asked = time.monotonic()
            status, answer = _ask(client, endpoint, user)
            running.answers.append(
                Answer(
                    asked,
                    time.monotonic(),
                    status,
                    answer.get("ladder_step", ""),
                    _is_top(endpoint, answer),
                    status != 200 or _is_right(running, endpoint, user, answer),
                    answer.get("request_id", ""),
                )
            )


def _is_right(running: Serving, endpoint: str, user: int, answer: dict[str, Any]) -> bool:
    if answer["model_version"] != 1:
        return False
    if answer["ladder_step"] not in ("fresh", "last_known") or answer.get("candidates_from") == "popular":
        return True
    expected, found = running.expected[endpoint, user], _scores(answer)
    return found.keys() == expected.keys() and all(
        abs(found[item] - score) <= 1e-3 * max(1.0, abs(score)) for item, score in expected.items()
    )


@dataclass(frozen=True)
class Fault:
    """Something that happens to a part, and what ends it where nothing else does."""

    name: str
    part: str
    happen: Callable[[Serving], None]
    end: Callable[[Serving], None] = lambda running: None
    seconds: float = 0.5  # until it is ended
    degrades: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        recovered: seconds from the fault to when the part answers directly.
        back: seconds from then to the last answer that is not of the top step.
        steps: answers from the fault on, by ladder step, other statuses by number.
    """

    name: str
    recovered: float
    back: float
    steps: dict[str, int]
    wrong: int
    failed: int  # neither 200 nor while the gateway itself was down


def trouble(running: Serving, fault: Fault) -> Outcome:
    """Let a fault happen under load and wait until all is as before.

    Raises:
        AssertionError: it does not come to that.
    """
    first = len(running.answers)
    began = time.monotonic()
    fault.happen(running)
    time.sleep(fault.seconds)
    fault.end(running)
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not running.answers_directly(fault.part):
        assert time.monotonic() < deadline, f"{fault.name}: {fault.part} does not answer again"
        time.sleep(0.1)
    recovered = time.monotonic()
    while True:
        answers = running.answers[first:]
        lower = [answer.answered for answer in answers if not answer.is_top]
        if time.monotonic() - max([recovered, *lower]) > SETTLED_SECONDS:
            break
        assert time.monotonic() < deadline, f"{fault.name}: not back at the top step"
        time.sleep(0.1)
    steps = Counter(answer.step if answer.status == 200 else str(answer.status) for answer in answers)
    steps["from the top"] = sum(answer.is_top for answer in answers)
    # A gateway that hangs answers all the same once it goes on.
    noticed = lower or max(answer.answered - answer.asked for answer in answers) > fault.seconds / 2
    assert noticed or not fault.degrades, f"{fault.name}: nobody noticed"
    failed = [answer for answer in answers if answer.status not in (200, 429)]
    if fault.part == "gateway":
        failed = [answer for answer in failed if answer.asked > recovered]
    return Outcome(
        fault.name,
        recovered - began,
        max(0.0, max(lower, default=recovered) - recovered),
        dict(steps),
        sum(not answer.is_right for answer in answers),
        len(failed),
    )


def _signal(number: signal.Signals, part: str) -> Callable[[Serving], None]:
    def send(running: Serving) -> None:
        found = running.part(part)
        assert found or number == signal.SIGCONT, f"no process of {part}"
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    return send


def _start_redis_again(running: Serving) -> None:
    running.redis_servers[-1].wait()
    running.redis_servers.append(start_redis(running.redis_port, running.settings.home.parent, "yes"))


def _unload(running: Serving) -> None:
    """The model's folder is away for as long as Triton needs to see it; the supervisor finds it again afterwards."""
    served = running.settings.resolved_model_repository / MODEL_NAME
    away = served.rename(running.settings.home / "away")
    time.sleep(3 * POLL_SECONDS)
    away.rename(served)


def _publish_damaged(running: Serving) -> None:
    home, repository = running.settings.home, running.settings.resolved_model_repository
    rankers = home / "rankers" / "2"
    release(rankers, home / "elsewhere", 2, SIZE, seed=7)
    (rankers / "reland" / ONNX_FILE).write_bytes(b"damaged")
    release_version(repository, 2, models_of(rankers), served={1})


def _fill_disk(running: Serving) -> None:
    folder = log_folder(running.settings, EXPOSURES_FOLDER)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 4096)


def _free_disk(running: Serving) -> None:
    (log_folder(running.settings, EXPOSURES_FOLDER) / "ballast").unlink()


@contextmanager
def unmounted_after(running: Serving) -> Iterator[None]:
    """Takes away the disk that `_fill_disk` mounts, if it did."""
    folder = log_folder(running.settings, EXPOSURES_FOLDER)
    try:
        yield
    finally:
        if folder.is_mount():
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


PARTS = ("Redis", "Triton", "stubs", "Milvus Lite", "gateway")
LEFT_HANGING = ("Redis", "Milvus Lite", "gateway")  # nothing ends these while they hang
FAULTS = [
    *(
        Fault(
            f"{part} killed",
            part,
            _signal(signal.SIGKILL, part),
            _start_redis_again if part == "Redis" else lambda running: None,
            HANG_SECONDS if part == "Redis" else 0.5,  # Feast tries again for a moment, which would hide a short one
        )
        for part in PARTS
    ),
    *(
        Fault(
            f"{part} stopped",
            part,
            _signal(signal.SIGSTOP, part),
            _signal(signal.SIGCONT, part) if part in LEFT_HANGING else lambda running: None,
            HANG_SECONDS,
        )
        for part in PARTS
    ),
    Fault("pinned version unloaded", "Triton", _unload),
    Fault("damaged version published", "Triton", _publish_damaged, seconds=8.0, degrades=False),
    Fault("exposure log's disk full", "gateway", _fill_disk, _free_disk, FULL_DISK_SECONDS, degrades=False),
]


def lost_exposures(running: Serving, answers: list[Answer]) -> int:
    """How many of the answers are not in the log of exposures, once they have had the time to get there."""
    asked = {answer.request_id for answer in answers if answer.status == 200}
    deadline = time.monotonic() + 30.0
    while True:
        table = read_log(log_folder(running.settings, EXPOSURES_FOLDER), EXPOSURES)
        lost = len(asked - set(table["request_id"].to_pylist()))
        if not lost or time.monotonic() > deadline:
            return lost
        time.sleep(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[fault.name for fault in FAULTS], metavar="FAULT")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS if arguments.only is None or fault.name in arguments.only]
    outcomes, lost = [], None
    with tempfile.TemporaryDirectory(prefix="reland-faults-") as folder, serving(Path(folder)) as running:
        for fault in faults:
            first = len(running.answers)
            with unmounted_after(running):
                outcomes.append(trouble(running, fault))
                print(outcomes[-1], flush=True)
                if fault.happen is _fill_disk:
                    lost = lost_exposures(running, running.answers[first:])
        answers = list(running.answers)
    figures = [
        Figure(
            f"{outcome.name}: seconds from recovery to the top step (peer: allowed)", outcome.back, ASKED, "lower", 1.0
        )
        for outcome in outcomes
    ]
    total = len(answers)
    for what, bad in (
        ("answered well while the gateway ran", sum(outcome.failed for outcome in outcomes)),
        ("of the right version", sum(not answer.is_right for answer in answers)),
    ):
        figures.append(Figure(f"share of {total} requests {what} (peer: all)", 1 - bad / total, 1.0, "higher", 1.0))
    if lost is not None:
        figures.append(Figure("exposures lost beside a full disk (peer: none)", float(lost), 0.0, "lower", 1.0))
    packages = ["tritonclient", "redis", "pymilvus", "milvus-lite", "feast", "fastapi"]
    write_report(arguments.json, figures, "tests.performance.serving_faults", sys.argv[1:], packages)
    write_json(arguments.json, read_json(arguments.json) | {"faults": [vars(outcome) for outcome in outcomes]})


if __name__ == "__main__":
    main()
