"""Keeping a local Triton server answering: the server over the live model repository, watched by real inferences.

What was measured of tritonserver 2.51 decides how it is watched:

- A version that fails to load makes the server as a whole "not ready" though its other versions answer, and a backend
  process that died leaves its model "ready" though it answers nothing. So each version that is served is asked for an
  inference, once a second.
- A dead backend process is started again by unloading and loading its model (of which the server sometimes dies). A
  server that does not answer in time is killed, and one that is gone is started again, on the same ports.
- A configuration that names another version is loaded beside what is served, and no request notices.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
from serving.triton.server import LOAD_SECONDS, STOP_SECONDS, TritonServer, free_ports, running_triton

if TYPE_CHECKING:
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.grpc.model_config_pb2 import ModelConfig

LOOK_SECONDS = 1.0
PROBE_SECONDS = 3.0  # a server that others leave no processor time is slow, and starting it again makes it no faster
TIMEOUTS = 3  # in a row, before a server counts as hanging
PAUSE_SECONDS = 2.0  # between two attempts to start a server


@dataclass(frozen=True)
class _Model:
    """A model as it was loaded last.

    Attributes:
        files: what it was loaded from, with their times and sizes.
        wanted: the versions that its configuration names.
        versions: those of them that are ready.
        probe: inputs and outputs of the smallest request.
    """

    files: tuple[tuple[str, int, int], ...]
    wanted: list[int]
    versions: list[int]
    probe: tuple[list["InferInput"], list["InferRequestedOutput"]]


class TritonSupervisor:
    """A Triton server in the care of a thread; use `supervised_triton`."""

    def __init__(self, environment: Path, repository: Path, log: Path, http_port: int, grpc_port: int):
        self.http_port, self.grpc_port = http_port, grpc_port
        self._environment = environment
        self._repository = repository
        self._log = log
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._fault: Exception | None = None  # of the first start, which the caller is told
        self._models: dict[str, _Model] = {}
        # The server ends with the thread that starts it, so this thread lives as long as the supervisor.
        self._thread = threading.Thread(target=self._run, name="triton-supervisor", daemon=True)

    @property
    def grpc_address(self) -> str:
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
                ports = self.http_port, self.grpc_port
                with running_triton(self._environment, self._repository, self._log, *ports) as server:
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
        timeouts = 0
        with InferenceServerClient(server.grpc_address) as client:
            while not self._stopping.is_set():
                self._load_what_changed(server)
                self._look_for_late_versions(client)
                broken, timed_out = self._probe(client)
                if server.process.poll() is not None:
                    return f"ended with status {server.process.returncode}"
                timeouts = timeouts + 1 if timed_out else 0
                if timeouts == TIMEOUTS:
                    server.kill()
                    return f"does not answer within {PROBE_SECONDS:g} s"
                self._reload(server, broken)
                if broken and server.process.poll() is None and self._probe(client) != ([], False):
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

    def _load_what_changed(self, server: TritonServer) -> None:
        """Load the models whose files are others than before, beside each other: each takes seconds."""
        files = {name: _files_of(self._repository / name) for name in model_names(self._repository)}
        changed = [name for name in files if name not in self._models or self._models[name].files != files[name]]
        if changed:
            with ThreadPoolExecutor(len(changed)) as pool:
                loaded = list(pool.map(lambda name: self._load(server, name, files[name]), changed))
            # A new mapping: `versions` may be read while this thread goes on.
            self._models = self._models | dict(zip(changed, loaded, strict=True))

    def _look_for_late_versions(self, client: "InferenceServerClient") -> None:
        """A load that took longer than it was waited for may have ended well since."""
        for name, model in self._models.items():
            if model.versions != model.wanted:
                found = _ready(client, name, model.wanted)
                if found != model.versions:
                    say(f"Triton serves {name}, versions {found}")
                    self._models = self._models | {name: replace(model, versions=found)}

    def _load(self, server: TritonServer, name: str, files: tuple[tuple[str, int, int], ...]) -> _Model:
        """Load a model and see which versions of its configuration are ready then."""
        from tritonclient.grpc import InferenceServerClient
        from tritonclient.utils import InferenceServerException

        try:
            configuration = read_configuration(self._repository / name)
        except InputError as error:
            say(f"Triton goes on as before: {error}")
            before = self._models.get(name)
            return _Model(files, [], [], ([], [])) if before is None else replace(before, files=files)
        wanted = list(configuration.version_policy.specific.versions)
        with InferenceServerClient(server.grpc_address) as client:
            try:
                client.load_model(name, client_timeout=LOAD_SECONDS)
            except InferenceServerException as error:
                say(f"Triton cannot load all of {name}: {' '.join(error.message().split())} (log: {self._log})")
            versions = _ready(client, name, wanted)
        say(f"Triton serves {name}, versions {versions}")
        return _Model(files, wanted, versions, _probe_of(configuration))

    def _reload(self, server: TritonServer, names: list[str]) -> None:
        """Unload models and load them again, beside each other as when they were loaded first."""
        from tritonclient.grpc import InferenceServerClient
        from tritonclient.utils import InferenceServerException

        def reload(name: str) -> None:
            say(f"Triton's model {name} does not answer, loading it again")
            with InferenceServerClient(server.grpc_address) as client:
                with suppress(InferenceServerException):  # unloaded by someone else, say
                    client.unload_model(name, client_timeout=STOP_SECONDS)
                try:
                    _wait_until_unloaded(client, name, self._models[name].versions)
                    client.load_model(name, client_timeout=LOAD_SECONDS)
                except InferenceServerException as error:
                    say(f"Triton cannot load {name} again: {' '.join(error.message().split())}")

        if names:
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(reload, names))

    def _probe(self, client: "InferenceServerClient") -> tuple[list[str], bool]:
        """The models of which a version gives an error, and whether one did not answer in time."""
        from tritonclient.utils import InferenceServerException

        broken: list[str] = []
        for name, model in self._models.items():
            inputs, outputs = model.probe
            try:
                for version in model.versions:
                    client.infer(
                        name, inputs, model_version=str(version), outputs=outputs, client_timeout=PROBE_SECONDS
                    )
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
        EnvironmentFaultError: a port of the settings is in use, or the server or a model does not start.
    """
    ports = free_ports(settings.triton_http_port, settings.triton_grpc_port)
    log = settings.home / "logs" / "triton.log"
    supervisor = TritonSupervisor(settings.triton_environment, settings.resolved_model_repository, log, *ports)
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


def _probe_of(configuration: "ModelConfig") -> tuple[list["InferInput"], list["InferRequestedOutput"]]:
    """The smallest request of a model: one user, one candidate, all zeros."""
    from tritonclient.grpc import InferInput, InferRequestedOutput
    from tritonclient.grpc.model_config_pb2 import DataType
    from tritonclient.utils import np_to_triton_dtype

    inputs = []
    for node in configuration.input:
        shape = [1, *(1 if size < 0 else size for size in node.dims)]
        zeros = np.zeros(shape, {"TYPE_INT64": np.int64, "TYPE_FP32": np.float32}[DataType.Name(node.data_type)])
        tensor = InferInput(node.name, shape, np_to_triton_dtype(zeros.dtype))
        tensor.set_data_from_numpy(zeros)
        inputs.append(tensor)
    return inputs, [InferRequestedOutput(node.name) for node in configuration.output]


def _ready(client: "InferenceServerClient", name: str, versions: list[int]) -> list[int]:
    """Those of the versions that are loaded; none where the server is gone."""
    from tritonclient.utils import InferenceServerException

    try:
        return [version for version in versions if client.is_model_ready(name, str(version), client_timeout=10.0)]
    except InferenceServerException:
        return []


def _wait_until_unloaded(client: "InferenceServerClient", name: str, versions: list[int]) -> None:
    """Triton answers an unload before it is done."""
    deadline = time.monotonic() + STOP_SECONDS
    while _ready(client, name, versions) and time.monotonic() < deadline:
        time.sleep(0.05)
