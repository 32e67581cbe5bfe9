"""Keeping a local Triton server answering: the server over the live model repository, watched by real inferences.

What was measured of tritonserver 2.51 decides how it is watched:

- A version that fails to load makes the server as a whole "not ready" though its other versions answer, and a backend
  process that died leaves its model "ready" though it answers nothing. So each version that is served is asked for an
  inference, once a second.
- A dead backend process is started again with its model, which the server loads anew when a version's file is newer
  than before. A server that does not answer in time is killed, and one that is gone is started again, on the same port.
- A configuration that names another version is loaded beside what is served, and no request notices.

What answers is compared with what the file of that version answers in this process: a server whose answers are another
model's is killed and started again from the files.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.contracts.artifacts import ONNX_FILE
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.progress import say
from components.foundation.settings import Settings
from serving.triton.repository import CONFIGURATION_FILE, model_names, read_configuration
from serving.triton.server import LOAD_SECONDS, STOP_SECONDS, TritonServer, free_ports, load_failures, running_triton

if TYPE_CHECKING:
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.grpc.model_config_pb2 import ModelConfig

LOOK_SECONDS = 1.0
PROBE_SECONDS = 3.0  # a server that others leave no processor time is slow, and starting it again makes it no faster
TIMEOUTS = 3  # in a row, before a server counts as hanging
PAUSE_SECONDS = 2.0  # between two attempts to start a server
RELOAD_SECONDS = 30.0  # for a model that is loaded again; then the server is started again
# Of an answer from the file's own: Triton joins requests, which changes the last digits.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-4


@dataclass(frozen=True)
class _Model:
    """A model as it was loaded last.

    Attributes:
        files: what it was loaded from, with their times and sizes.
        wanted: the versions that its configuration names.
        versions: those of them that are ready.
        probe: inputs and outputs of the smallest request.
        expected: what the file of a version answers to it, by version and output.
    """

    files: tuple[tuple[str, int, int], ...]
    wanted: list[int]
    versions: list[int]
    probe: tuple[list["InferInput"], list["InferRequestedOutput"]]
    expected: dict[int, dict[str, np.ndarray]]


class _OtherModelError(Exception):
    """A version answers as another model would; the message says which."""


class TritonSupervisor:
    """A Triton server in the care of a thread; use `supervised_triton`."""

    def __init__(self, environment: Path, repository: Path, log: Path, grpc_port: int):
        self.grpc_port = grpc_port
        self._environment = environment
        self._repository = repository
        self._log = log
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._fault: Exception | None = None  # of the first start, which the caller is told
        self._models: dict[str, _Model] = {}
        self._reasons: set[str] = set()  # why versions could not be loaded: each is said once
        # The server ends with the thread that starts it, so this thread lives as long as the supervisor.
        self._thread = threading.Thread(target=self._run, name="triton-supervisor", daemon=True)

    @property
    def grpc_address(self) -> str:
        """host:port that the server answers on, the same through all restarts."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def versions(self) -> dict[str, list[int]]:
        """The versions of each model that Triton has loaded."""
        return {name: list(model.versions) for name, model in self._models.items()}

    def start(self) -> None:
        """Start the server and wait until every model answers.

        Raises:
            InputError: there is no model.
            EnvironmentFaultError: the server does not start, or a model has no version that can be loaded.
        """
        if not model_names(self._repository):
            raise InputError(f"{self._repository}: no model to serve, `reland run` releases one")
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            self._thread.join()
            raise self._fault

    def stop(self) -> None:
        """End the server; nothing of it is left when this returns."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(LOAD_SECONDS + STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._log.exists():
                    self._log.replace(self._log.with_suffix(".previous.log"))
                with running_triton(self._environment, self._repository, self._log, self.grpc_port) as server:
                    reason = self._watch(server)
                if reason is not None and not self._ready.is_set():
                    raise EnvironmentFaultError(f"Triton {reason} (log: {self._log})")
                if reason is not None:
                    say(f"Triton {reason}; it is started again")
            except Exception as error:
                if not self._ready.is_set():
                    self._fault = error
                    self._ready.set()
                    return
                say(f"Triton cannot be started: {error}")
                self._stopping.wait(PAUSE_SECONDS)

    def _watch(self, server: TritonServer) -> str | None:
        """Watch until the supervisor is stopped (None) or the server has to be started again (the reason)."""
        from tritonclient.grpc import InferenceServerClient

        self._models = {}
        self._reasons = set()
        timeouts = 0
        with InferenceServerClient(server.grpc_address) as client:
            while not self._stopping.is_set():
                try:
                    if not timeouts:
                        self._take_over_what_changed(client)
                    broken, timed_out = self._probe(client)
                except _OtherModelError as error:
                    server.kill()
                    return str(error)
                if server.process.poll() is not None:
                    return f"ended with status {server.process.returncode}"
                timeouts = timeouts + 1 if timed_out else 0
                if timeouts == TIMEOUTS:
                    server.kill()
                    return f"does not answer within {PROBE_SECONDS:g} s"
                if broken and not self._reload(server, client, broken):
                    server.kill()
                    return f"answers nothing for {', '.join(broken)} after loading it again"
                if not timed_out and not self._ready.is_set():
                    self._require_versions()
                    self._ready.set()
                self._stopping.wait(LOOK_SECONDS)
        return None

    def _require_versions(self) -> None:
        """Raises EnvironmentFaultError where a model has no version that can be served."""
        for name in model_names(self._repository):
            if not self._models[name].versions:
                raise EnvironmentFaultError(f"Triton can load no version of {name} (log: {self._log})")

    def _take_over_what_changed(self, client: "InferenceServerClient") -> None:
        """Read the configurations whose files are others than before, and see what the server has loaded of them."""
        names = model_names(self._repository)
        for name in names:
            files = _files_of(self._repository / name)
            if name not in self._models or self._models[name].files != files:
                # A new mapping: `versions` may be read while this thread goes on.
                self._models = self._models | {name: self._read(name, files)}
        if set(self._models) - set(names):
            self._models = {name: model for name, model in self._models.items() if name in names}
        for name, model in self._models.items():
            # One that is still loading, or could not be loaded, may be ready later.
            ready = _ready(client, name, model.wanted)
            if ready is None:
                return
            if ready != model.versions:
                say(f"Triton serves {name}, versions {ready}")
                self._models = self._models | {name: replace(model, versions=ready)}
            for reason in _failures(client, name, [version for version in model.wanted if version not in ready]):
                if reason not in self._reasons:
                    self._reasons.add(reason)
                    say(f"Triton cannot load all of {name}: {reason} (log: {self._log})")

    def _read(self, name: str, files: tuple[tuple[str, int, int], ...]) -> _Model:
        before = self._models.get(name)
        try:
            configuration = read_configuration(self._repository / name)
        except InputError as error:
            say(f"Triton goes on as before: {error}")
            return _Model(files, [], [], ([], []), {}) if before is None else replace(before, files=files)
        wanted = list(configuration.version_policy.specific.versions)
        expected = {
            version: answer
            for version in wanted
            if (answer := _answer_of_file(self._repository / name / str(version) / ONNX_FILE, configuration))
        }
        versions = [] if before is None else [version for version in before.versions if version in wanted]
        return _Model(files, wanted, versions, _probe_of(configuration), expected)

    def _reload(self, server: TritonServer, client: "InferenceServerClient", names: list[str]) -> bool:
        """Have the server load models again, as it does where a file is newer than before.

        Returns:
            False where they do not answer then, though the server is there.
        """
        for name in names:
            say(f"Triton's model {name} does not answer, loading it again")
            for version in self._models[name].wanted:
                with suppress(OSError):  # a repository of another account: the server is started again instead
                    (self._repository / name / str(version) / ONNX_FILE).touch()
        deadline = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < deadline:
            if self._stopping.wait(0.2) or server.process.poll() is not None:
                return True
            if not set(names) & set(self._probe(client)[0]):
                return True
        return False

    def _probe(self, client: "InferenceServerClient") -> tuple[list[str], bool]:
        """The models of which a version gives an error, and whether one did not answer in time.

        Raises:
            _OtherModelError: a version answers with other numbers than its file gives.
        """
        from tritonclient.utils import InferenceServerException

        broken: list[str] = []
        for name, model in self._models.items():
            inputs, outputs = model.probe
            try:
                for version in model.versions:
                    answer = client.infer(
                        name, inputs, model_version=str(version), outputs=outputs, client_timeout=PROBE_SECONDS
                    )
                    for output, expected in model.expected.get(version, {}).items():
                        if not _agree(answer.as_numpy(output), expected):
                            raise _OtherModelError(f"answers for {name} version {version} as another model would")
            except InferenceServerException as error:
                if error.status() == "StatusCode.DEADLINE_EXCEEDED":
                    return broken, True
                broken.append(name)
        return broken, False


@contextmanager
def supervised_triton(settings: Settings) -> Iterator[TritonSupervisor]:
    """A Triton server over the live model repository for the length of the block, whatever happens to it.

    Nothing of it is left when the block ends, nor when this process is killed.

    Raises:
        InputError: nothing is released.
        EnvironmentFaultError: the port of the settings is in use, or the server or a model does not start.
    """
    (port,) = free_ports(settings.triton_grpc_port)
    log = settings.home / "logs" / "triton.log"
    supervisor = TritonSupervisor(settings.triton_environment, settings.resolved_model_repository, log, port)
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


def _files_of(model: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells that a model's configuration or one of its versions has changed."""
    found = []
    for path in [model / CONFIGURATION_FILE, *sorted(model.glob(f"*/{ONNX_FILE}"))]:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.relative_to(model).as_posix(), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _probe_inputs(configuration: "ModelConfig") -> dict[str, np.ndarray]:
    """The smallest request of a model: one user, one candidate; all ones, so that every part of the model counts."""
    from tritonclient.grpc.model_config_pb2 import DataType

    types = {"TYPE_INT64": np.int64, "TYPE_FP32": np.float32}
    return {
        node.name: np.ones([1, *(1 if size < 0 else size for size in node.dims)], types[DataType.Name(node.data_type)])
        for node in configuration.input
    }


def _probe_of(configuration: "ModelConfig") -> tuple[list["InferInput"], list["InferRequestedOutput"]]:
    from tritonclient.grpc import InferInput, InferRequestedOutput
    from tritonclient.utils import np_to_triton_dtype

    inputs = []
    for name, array in _probe_inputs(configuration).items():
        tensor = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs, [InferRequestedOutput(node.name) for node in configuration.output]


def _answer_of_file(model: Path, configuration: "ModelConfig") -> dict[str, np.ndarray]:
    """What a model's file answers to the probe, by output, computed in this process; empty where it cannot be run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    names = [node.name for node in configuration.output]
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, _probe_inputs(configuration)), strict=True))
    except Exception:  # onnxruntime has many; the server says what is wrong with the file
        return {}


def _agree(answer: np.ndarray | None, expected: np.ndarray) -> bool:
    if answer is None or answer.shape != expected.shape:
        return False
    return np.allclose(answer, expected, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, equal_nan=True)


def _failures(client: "InferenceServerClient", name: str, versions: list[int]) -> list[str]:
    from tritonclient.utils import InferenceServerException

    if not versions:
        return []
    try:
        return load_failures(client, name, versions)
    except InferenceServerException:
        return []


def _ready(client: "InferenceServerClient", name: str, versions: list[int]) -> list[int] | None:
    """Those of the versions that are loaded; None where the server does not answer."""
    from tritonclient.utils import InferenceServerException

    try:
        return [
            version for version in versions if client.is_model_ready(name, str(version), client_timeout=PROBE_SECONDS)
        ]
    except InferenceServerException:
        return None
