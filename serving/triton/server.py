"""Starting and stopping a real Triton server on this machine.

The server comes from the `nvidia-pytriton` package of an environment of its own (`RELAND_TRITON_ENVIRONMENT`), because
its Python backend needs NumPy < 2. On a cluster the same model repository is served by the official image instead.

Whoever may load a model runs code, so nobody may over the network: a server that polls its repository refuses every
load and unload, there is no HTTP (a web page can send that to loopback), and what else of gRPC would write files or
read shared memory wants a secret that is made at the start and given to no one. What is served is decided by the files
of the repository alone.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.foundation.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from tritonclient.grpc import InferenceServerClient

LOAD_SECONDS = 120.0
START_SECONDS = LOAD_SECONDS  # it answers once all that the repository holds is loaded
POLL_SECONDS = 1  # between two looks of the server at its repository
EXIT_SECONDS = 5  # what Triton gives requests in flight before it ends
STOP_SECONDS = 20.0  # Triton needs 3 to 7 s
SHARED_MEMORY = Path("/dev/shm")
BACKENDS = Path(__file__).parent / "backends"

SHARED_MEMORY_PREFIX = "reland_triton_"  # then the process that started the server, then what makes it unique

# Python code with the arguments PARENT COMMAND...: asks the kernel to end the process with the thread that starts it,
# for ends that run no clean-up (SIGKILL, SIGTERM), then becomes the command; unless the process PARENT, which starts
# it, has ended before it could ask.
LAUNCH = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class TritonServer:
    """A running server, whose gRPC is on loopback."""

    grpc_port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def grpc_address(self) -> str:
        """host:port that the server answers on."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def process_id(self) -> int:
        """Id of the server's process."""
        return self.process.pid

    def kill(self) -> None:
        """End the server and its backends' processes at once, whatever they are doing."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_until_ready(self, model: str, versions: list[int]) -> None:
        """Wait until the server has loaded versions of `model` that the repository's configuration names.

        Raises:
            EnvironmentFaultError: a version cannot be loaded, or is not ready in time; the message has Triton's reason.
        """
        from tritonclient.grpc import InferenceServerClient
        from tritonclient.utils import InferenceServerException

        deadline = time.monotonic() + LOAD_SECONDS
        with InferenceServerClient(self.grpc_address) as client:
            try:
                while True:
                    missing = [version for version in versions if not client.is_model_ready(model, str(version))]
                    if not missing:
                        return
                    reasons = load_failures(client, model, missing)
                    if reasons:
                        raise EnvironmentFaultError(
                            f"Triton cannot load {model}: {'; '.join(reasons)} (log: {self.log})"
                        )
                    if time.monotonic() > deadline:
                        raise EnvironmentFaultError(
                            f"Triton serves {model} without the versions {missing} (log: {self.log})"
                        )
                    time.sleep(0.1)
            except InferenceServerException as error:
                raise EnvironmentFaultError(f"Triton does not answer: {error.message()} (log: {self.log})") from error


def load_failures(client: "InferenceServerClient", model: str, versions: list[int]) -> list[str]:
    """Why versions of a model could not be loaded, one line each; none for those that are loaded or still loading.

    Raises:
        tritonclient.utils.InferenceServerException: the server does not answer.
    """
    index = client.get_model_repository_index(client_timeout=10.0).models
    return [
        f"version {entry.version}: {' '.join(entry.reason.split())}"
        for entry in index
        if entry.name == model and entry.version in map(str, versions) and entry.state == "UNAVAILABLE" and entry.reason
    ]


@dataclass(frozen=True)
class TritonEnvironment:
    """Where the parts of a Triton environment lie."""

    python: Path
    library_folders: str
    version: str
    tritonserver: Path


@contextmanager
def running_triton(environment: Path, repository: Path, log: Path, grpc_port: int = 0) -> Iterator[TritonServer]:
    """Run a Triton server over `repository` for the length of the block; it serves what the configurations there name.

    Changes of the repository are followed within `POLL_SECONDS` and the time of loading. No process, no port and no
    shared memory is left when the block ends, however it ends.

    Args:
        environment: Python environment with nvidia-pytriton, onnxruntime and NumPy < 2.
        log: file that receives the server's output; replaced.
        grpc_port: loopback port; 0 takes a free one.

    Raises:
        EnvironmentFaultError: the environment is not there, a given port is in use, or the server does not start.
    """
    parts = inspect_environment(environment)
    log.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        (grpc_port,) = free_ports(grpc_port)
        _remove_abandoned_shared_memory()
        prefix = f"{SHARED_MEMORY_PREFIX}{os.getpid()}_{uuid.uuid4().hex[:12]}_"
        stack.callback(_remove_shared_memory, prefix)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reland-triton-")))
        command = [
            str(parts.tritonserver / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={_assemble_backends(parts, folder)}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            "--model-control-mode=poll",
            f"--repository-poll-secs={POLL_SECONDS}",
            "--disable-auto-complete-config",  # a folder whose configuration has not come yet is no model
            "--exit-on-error=false",  # one version that does not load must not take the others with it
            "--strict-readiness=false",
            "--allow-http=false",
            f"--grpc-restricted-protocol=shared-memory,trace,logging:closed={secrets.token_hex(16)}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={grpc_port}",
            "--allow-metrics=false",
            "--allow-gpu-metrics=false",
            f"--exit-timeout-secs={EXIT_SECONDS}",
        ]
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [str(parts.python), "-c", LAUNCH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Nothing of this process's environment, which holds the keys of other services.
            env={
                # The backend's stub takes the first Python environment on PATH and ignores PYTHONPATH.
                "PATH": f"{parts.python.parent}{os.pathsep}{os.defpath}",
                "LD_LIBRARY_PATH": parts.library_folders,
                "LANG": "C.UTF-8",
                "TMPDIR": str(folder),
            },
        )
        stack.callback(_stop, process)
        server = TritonServer(grpc_port, log, process)
        _wait_until_live(server)
        yield server


def inspect_environment(environment: Path) -> TritonEnvironment:
    """What a Python environment holds of Triton.

    Raises:
        EnvironmentFaultError: there is no environment, its Python does not run, or it has no Triton.
    """
    python = environment / "bin" / "python"
    hint = "setting RELAND_TRITON_ENVIRONMENT: expected a Python environment with nvidia-pytriton (`make install`)"
    if not python.exists():
        raise EnvironmentFaultError(f"{hint}, found none at {environment}")
    question = (
        "import json, sysconfig as s; "
        "print(json.dumps([s.get_path('purelib'), s.get_config_var('LIBDIR'), s.get_python_version()]))"
    )
    # -I: this process's PYTHONPATH is of another environment.
    answer = subprocess.run([python, "-I", "-c", question], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise EnvironmentFaultError(f"{hint}, {python} does not run: {answer.stderr.strip()[-200:]}")
    packages, libraries, version = json.loads(answer.stdout)
    tritonserver = Path(packages) / "pytriton" / "tritonserver"
    if not (tritonserver / "bin" / "tritonserver").is_file():
        raise EnvironmentFaultError(f"{hint}, found no pytriton in {environment}")
    return TritonEnvironment(python, f"{libraries}:{Path(packages) / 'nvidia_pytriton.libs'}", version, tritonserver)


def _assemble_backends(parts: TritonEnvironment, folder: Path) -> Path:
    """Put the Python backend, its stub for this Python version and this project's own backends into one folder."""
    backends = folder / "backends"
    shutil.copytree(parts.tritonserver / "backends" / "python", backends / "python")  # what runs ours, and no other
    stub = "triton_python_backend_stub"
    shutil.copy2(parts.tritonserver / "python_backend_stubs" / parts.version / stub, backends / "python" / stub)
    shutil.copytree(BACKENDS, backends, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return backends


def free_ports(*wanted: int) -> list[int]:
    """The given loopback ports where they are free; for 0 one that the kernel chooses.

    Raises:
        EnvironmentFaultError: a given port is in use.
    """
    with ExitStack() as stack:  # holds all until all are chosen, so that no port is given twice
        ports = []
        for port in wanted:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError as error:
                raise EnvironmentFaultError(
                    f"setting RELAND_TRITON_GRPC_PORT: port {port}: {error.strerror}; give another, or 0 for a free one"
                ) from error
            ports.append(listener.getsockname()[1])
        return ports


def _wait_until_live(server: TritonServer) -> None:
    from tritonclient.grpc import InferenceServerClient
    from tritonclient.utils import InferenceServerException

    deadline = time.monotonic() + START_SECONDS
    with InferenceServerClient(server.grpc_address) as client:
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                last = server.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise EnvironmentFaultError(
                    f"Triton ended with status {server.process.returncode} at its start: {last} (log: {server.log})"
                )
            with suppress(InferenceServerException):
                if client.is_server_live(client_timeout=1):
                    return
            time.sleep(0.1)
    raise EnvironmentFaultError(f"Triton did not start within {START_SECONDS:.0f} s (log: {server.log})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and the backend processes it started: politely, and by force what is left after that."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Backend processes are the server's children, so it is the system that waits for them.
    deadline = time.monotonic() + STOP_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)


def _remove_shared_memory(prefix: str) -> None:
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _remove_abandoned_shared_memory() -> None:
    """Remove what servers left whose starting process was killed, and which were killed themselves."""
    for region in SHARED_MEMORY.glob(f"{SHARED_MEMORY_PREFIX}*"):
        starter = region.name.removeprefix(SHARED_MEMORY_PREFIX).partition("_")[0]
        if starter.isdecimal() and not Path(f"/proc/{starter}").exists():
            region.unlink(missing_ok=True)
