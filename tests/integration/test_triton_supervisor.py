"""The real Triton in the care of its supervisor, through what happens to it: tiny models, real configurations."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from components.contracts.ranking_signature import HISTORY_LENGTH, MODEL_NAME, USER_INPUTS
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings
from serving.triton.client import rank
from serving.triton.repository import ModelFiles, SignatureDimensions, ranking_model, release_version
from serving.triton.supervisor import supervised_triton

pytestmark = pytest.mark.services  # real parts are broken, hang and are gone

DIMENSIONS = SignatureDimensions(rationales=1, text=3, item_vector=4)
OTHER = "reland_id_only"
RECOVERY_SECONDS = 240.0  # not a claim on speed: a busy machine takes its time
INPUTS = {
    "history": np.zeros((1, HISTORY_LENGTH), np.int64),
    "rationale": np.zeros((1, 1, 3), np.float32),
    "candidates": np.array([[1, 2]]),
}


def write_model(path: Path, factor: float) -> Path:
    """scores = factor × candidates; fusion_weights = the largest of the rationale, twice."""
    inputs = [("history", TensorProto.INT64, ["b", HISTORY_LENGTH]), ("rationale", TensorProto.FLOAT, ["b", 1, 3])]
    inputs += [("candidates", TensorProto.INT64, ["b", "c"])]
    outputs = [("scores", TensorProto.FLOAT, ["b", "c"]), ("fusion_weights", TensorProto.FLOAT, ["b", 2])]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["candidates"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["numbers", "factor"], ["scores"]),
            helper.make_node("ReduceMax", ["rationale", "axis"], ["largest"], keepdims=0),
            helper.make_node("Concat", ["largest", "largest"], ["fusion_weights"], axis=1),
        ],
        "scores",
        [helper.make_tensor_value_info(*node) for node in inputs],
        [helper.make_tensor_value_info(*node) for node in outputs],
        [
            helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [2]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture
def settings(tmp_path, triton_environment) -> Settings:
    """A home whose model repository has version 1 of two models."""
    settings = Settings(home=tmp_path / "home", triton_environment=triton_environment)
    publish(settings, 1, 10.0, {1})
    return settings


def publish(settings: Settings, version: int, factor: float, served: set[int]) -> None:
    model = write_model(settings.home.parent / f"{version}.onnx", factor)
    models = [
        ModelFiles(ranking_model(name, USER_INPUTS, DIMENSIONS), {"model.onnx": model}) for name in (OTHER, MODEL_NAME)
    ]
    release_version(settings.resolved_model_repository, version, models, served)


def scores(address: str, version: int = 1, model: str = MODEL_NAME) -> list[float] | None:
    """None where no answer comes."""
    try:
        return rank(address, version, INPUTS, timeout_seconds=2.0, model=model).scores[0].tolist()
    except InferenceServerException:
        return None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@dataclass(frozen=True)
class Own:
    """Triton's processes below this one and their shared memory, without what other tests' servers hold."""

    others: frozenset[int]
    others_memory: frozenset[str]

    def processes(self, name: str) -> list[psutil.Process]:
        below = psutil.Process().children(recursive=True)
        running = [process for process in below if process.status() != psutil.STATUS_ZOMBIE]
        return [process for process in running if name in process.name() and process.pid not in self.others]

    def shared_memory(self) -> set[str]:
        return _shared_memory() - self.others_memory


def _shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"reland_triton_{os.getpid()}_*")}


@pytest.fixture
def own() -> Own:
    others = frozenset(process.pid for process in psutil.Process().children(recursive=True))
    return Own(others, frozenset(_shared_memory()))


def test_what_dies_or_hangs_answers_again_and_nothing_is_left(settings, own):
    with supervised_triton(settings) as supervisor:
        address = supervisor.grpc_address
        assert supervisor.versions == {MODEL_NAME: [1], OTHER: [1]}
        assert scores(address) == scores(address, model=OTHER) == [10.0, 20.0]

        for stub in own.processes("triton_python"):
            stub.kill()  # its model stays "ready" and answers nothing
        wait_for(lambda: scores(address) == scores(address, model=OTHER) == [10.0, 20.0])

        (server,) = own.processes("tritonserver")
        server.kill()
        wait_for(lambda: not server.is_running() and scores(address) == [10.0, 20.0])
        (server,) = own.processes("tritonserver")
        server.suspend()
        wait_for(lambda: not server.is_running() and scores(address) == [10.0, 20.0])
        left = own.processes("triton")
    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert own.shared_memory() == set()


def test_nobody_who_reaches_its_port_runs_code_or_changes_what_is_served(settings, own, monkeypatch):
    """What was done to it before: a model of one's own, one's own weights for a live one, files, the service's keys."""
    monkeypatch.setenv("RELAND_OPENAI_API_KEY", "sk-secret")
    marker = settings.home / "marker"
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
    swapped = write_model(settings.home.parent / "swapped.onnx", -1.0).read_bytes()
    live = json.dumps({"name": MODEL_NAME, "backend": "onnxruntime", "max_batch_size": 64})
    with supervised_triton(settings) as supervisor:
        (server,) = own.processes("tritonserver")
        for process in (server, *own.processes("triton_python")):
            assert not [name for name in process.environ() if name.startswith("RELAND_")]
        listening = [each.laddr for each in server.net_connections() if each.status == psutil.CONN_LISTEN]
        assert {(place.ip.removeprefix("::ffff:"), place.port) for place in listening} == {
            ("127.0.0.1", supervisor.grpc_port)
        }
        (option,) = [option for option in server.cmdline() if option.startswith("--backend-directory=")]
        assert sorted(path.name for path in Path(option.partition("=")[2]).iterdir()) == ["onnxruntime", "python"]
        load = f"http://{supervisor.grpc_address}/v2/repository/models/{OTHER}/load"
        with httpx2.Client(trust_env=False) as web, pytest.raises(httpx2.TransportError):
            web.post(load, content="{}", headers={"content-type": "text/plain"})
        with InferenceServerClient(supervisor.grpc_address) as client:
            attacks = [
                lambda: client.load_model(
                    "new", config='{"backend": "python"}', files={"file:1/model.py": code.encode()}
                ),
                lambda: client.load_model(MODEL_NAME, config=live, files={"file:1/model.onnx": swapped}),
                lambda: client.load_model(MODEL_NAME),
                lambda: client.unload_model(MODEL_NAME),
                lambda: client.update_log_settings({"log_file": str(marker)}),
                lambda: client.update_trace_settings(settings={"trace_file": str(marker)}),
                lambda: client.register_system_shared_memory("memory", "/memory", 8),
            ]
            for attack in attacks:
                with pytest.raises(InferenceServerException, match=r"not allowed if polling|protocol is restricted"):
                    attack()
        assert scores(supervisor.grpc_address) == [10.0, 20.0]
    assert not marker.exists()


def test_a_server_that_answers_as_another_model_is_started_again(settings, own, monkeypatch, capsys):
    """What it answers is compared with what the file answers."""
    with supervised_triton(settings) as supervisor:
        (server,) = own.processes("tritonserver")
        answers = {1: {"scores": np.array([[-1.0]], np.float32)}}
        monkeypatch.setitem(supervisor._models, MODEL_NAME, replace(supervisor._models[MODEL_NAME], expected=answers))
        wait_for(lambda: not server.is_running() and scores(supervisor.grpc_address) == [10.0, 20.0])
    assert f"answers for {MODEL_NAME} version 1 as another model would" in capsys.readouterr().out


def test_a_new_version_is_served_beside_the_old_one_without_an_error_and_a_damaged_one_does_no_harm(settings):
    failures: list[object] = []
    ended = threading.Event()

    def ask(address: str) -> None:
        while not ended.is_set():
            found = rank(address, 1, INPUTS).scores[0].tolist()
            if found != [10.0, 20.0]:
                failures.append(found)

    with supervised_triton(settings) as supervisor:
        address = supervisor.grpc_address
        thread = threading.Thread(target=ask, args=(address,))
        thread.start()
        try:
            publish(settings, 2, 100.0, {1})
            wait_for(lambda: scores(address, 2) == [100.0, 200.0])
            publish(settings, 3, 1000.0, {1, 2})
            (settings.resolved_model_repository / MODEL_NAME / "3" / "model.onnx").write_bytes(b"damaged")
            wait_for(lambda: 3 in supervisor.versions.get(OTHER, []) and scores(address, 3, OTHER) == [1000.0, 2000.0])
            wait_for(lambda: scores(address, 2) == [100.0, 200.0])
            assert supervisor.versions[MODEL_NAME] == [1, 2]
        finally:
            ended.set()
            thread.join()
    assert failures == []


def test_nothing_is_left_of_a_process_that_is_killed(settings):
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from components.foundation.settings import Settings
        from serving.triton.supervisor import supervised_triton
        with supervised_triton(Settings(home=Path(sys.argv[1]), triton_environment=Path(sys.argv[2]))):
            print("ready", flush=True)
            time.sleep(600)
    """)
    arguments = [sys.executable, "-c", script, str(settings.home), str(settings.triton_environment)]
    environment = {**os.environ, "TMPDIR": str(settings.home)}  # nobody is left to remove its temporary folder
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    while "ready" not in (line := process.stdout.readline()):
        assert line, "the supervisor did not start"
    below = psutil.Process(process.pid).children(recursive=True)
    assert [child for child in below if "tritonserver" in child.name()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_for(lambda: not [c for c in below if c.is_running() and c.status() != psutil.STATUS_ZOMBIE])


def test_a_repository_without_a_model_or_with_a_damaged_one_alone_is_named(settings, own, tmp_path):
    empty = Settings(home=tmp_path / "empty", triton_environment=settings.triton_environment)
    with pytest.raises(InputError, match=r"no model to serve, `reland run` releases one"), supervised_triton(empty):
        pass
    (settings.resolved_model_repository / MODEL_NAME / "1" / "model.onnx").write_bytes(b"damaged")
    with (
        pytest.raises(EnvironmentFaultError, match=f"Triton can load no version of {MODEL_NAME} "),
        supervised_triton(settings),
    ):
        pass
    assert own.processes("triton") == [] and own.shared_memory() == set()
