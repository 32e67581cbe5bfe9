"""`reland serve`: answers when it says so, starts again what ends, and leaves nothing behind."""

import fcntl
import ipaddress
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil
import pytest

from components.foundation.milvus import SERVER_FILE, milvus_folder
from serving.triton.server import free_ports

pytestmark = pytest.mark.services  # real parts are broken, hang and are gone

START_SECONDS, STOP_SECONDS = 240.0, 60.0


def wait_until(condition, seconds: float = START_SECONDS):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def recommend(client: httpx2.Client) -> dict:
    """The answer; nothing while the gateway is not there."""
    try:
        return client.post("/v1/recommend", json={"user_id": "known", "count": 10}).json()
    except httpx2.TransportError:
        return {}


def shared_memory(process: subprocess.Popen) -> list[str]:
    """What the Triton that this process started holds; others may run beside it."""
    return [path.name for path in Path("/dev/shm").glob(f"reland_triton_{process.pid}_*")]


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which the process, or one that it started, takes connections."""
    found = set()
    for each in [process, *process.children(recursive=True)]:
        connections = each.net_connections(kind="tcp")
        found |= {tuple(one.laddr) for one in connections if one.status == psutil.CONN_LISTEN}
    return found


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


@pytest.fixture(scope="module")
def served(stack, triton_environment):
    """The stack with its item index, made in a process of its own: one that opens Milvus Lite keeps its file."""
    subprocess.run([sys.executable, "-c", BUILD_INDEX, str(stack.settings.home)], check=True, timeout=120)
    return stack


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_serves_from_one_command_and_leaves_nothing_behind(served, triton_environment, tmp_path, number):
    settings = served.settings
    (port,) = free_ports(0)
    environment = {
        **os.environ,
        "RELAND_HOME": str(settings.home),
        "RELAND_GATEWAY_PORT": str(port),
        "RELAND_GATEWAY_BUDGET_MS": "10000",
        "RELAND_TRITON_ENVIRONMENT": str(triton_environment),
        "TMPDIR": str(tmp_path),  # nobody is left to remove its temporary folder
    }
    command = [sys.executable, "-c", "from reland.main import main; main()", "serve"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            # As in a terminal: tests that run in a shell's background would hand down that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    children: list[psutil.Process] = []
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False) as client:

            def from_the_top(answer: dict) -> bool:
                return (answer.get("ladder_step"), answer.get("candidates_from")) == ("fresh", "item_index")

            wait_until(lambda: process.poll() is not None or b"serving: " in (tmp_path / "log").read_bytes())
            assert process.poll() is None, (tmp_path / "log").read_text()
            answer = wait_until(lambda: next(filter(from_the_top, [recommend(client)]), None))
            assert len(answer["items"]) == 10 and answer["model_version"] == 1
            assert answer["explanation"]["preference_summary"] == "likes quiet films"

            # Nothing is reached from another machine: the gateway, Milvus Lite, Triton.
            endpoints = listening(psutil.Process(process.pid))
            assert ("127.0.0.1", port) in endpoints and len(endpoints) >= 3
            beyond = {address for address, _ in endpoints if not ipaddress.ip_address(address).is_loopback}
            assert beyond <= {"::ffff:127.0.0.1"}  # gRPC's servers write an address of version 4 like this

            if number == signal.SIGTERM:
                gateway = next(p for p in psutil.Process(process.pid).children() if "serving.gateway" in p.cmdline())
                gateway.kill()
                wait_until(lambda: not gateway.is_running() and from_the_top(recommend(client)))
            children = psutil.Process(process.pid).children(recursive=True)
            assert len(children) >= 3 and shared_memory(process)
        process.send_signal(number)
        status = process.wait(STOP_SECONDS)
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        _, alive = psutil.wait_procs(children, STOP_SECONDS)
        assert not alive
        if number != signal.SIGKILL:  # else the next server of Triton removes it
            assert not shared_memory(process)
            assert not (milvus_folder(settings) / SERVER_FILE).exists()
    finally:
        for left in [process, *children]:
            if left.pid and psutil.pid_exists(left.pid):
                left.kill()


def test_a_second_one_over_the_same_home_says_so_and_leaves_the_first_its_address(tmp_path):
    rollout = tmp_path / "serving" / "rollout.json"
    rollout.parent.mkdir()
    rollout.write_text("{}")
    address = rollout.with_name("triton.txt")
    address.write_text("127.0.0.1:1\n")
    with rollout.with_name("serve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        command = [sys.executable, "-c", "from reland.main import main; main()", "serve"]
        environment = {**os.environ, "RELAND_HOME": str(tmp_path)}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2 and "`reland serve` runs already (process 4711): end it first" in result.stderr
    assert address.read_text() == "127.0.0.1:1\n"


def test_without_a_release_it_says_what_is_missing(tmp_path):
    environment = {**os.environ, "RELAND_HOME": str(tmp_path)}
    command = [sys.executable, "-c", "from reland.main import main; main()", "serve"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert "rollout.json: no such file, the record of arms: `reland run` makes it" in line
