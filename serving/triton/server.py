"""Starting and stopping a real Triton server on this machine.

The server comes from the `nvidia-pytriton` package of an environment of its own (`RELAND_TRITON_ENVIRONMENT`), because
its Python backend needs NumPy < 2. On a cluster the same model repository is served by the official image instead.
"""

import json
import os
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

from components.foundation.errors import EnvironmentFaultError

START_SECONDS = 60.0
LOAD_SECONDS = 120.0
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
    """A running server; both addresses are on loopback."""

    http_port: int
    grpc_port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def process_id(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """End the server and its backends' processes at once, whatever they are doing."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def load(self, model: str, versions: list[int]) -> None:
        """Load `model`, or load it anew after its folder changed, and wait until `versions` are ready.

        Raises:
            EnvironmentFaultError: Triton cannot load it, or a version is not ready afterwards; the message says why.
        """
        from tritonclient.grpc import InferenceServerClient
        from tritonclient.utils import InferenceServerException

        with InferenceServerClient(self.grpc_address) as client:
            try:
                client.load_model(model, client_timeout=LOAD_SECONDS)
                missing = [version for version in versions if not client.is_model_ready(model, str(version))]
            except InferenceServerException as error:
                raise EnvironmentFaultError(
                    f"Triton cannot load {model}: {error.message()} (log: {self.log})"
                ) from error
        if missing:
            raise EnvironmentFaultError(f"Triton loaded {model} without the versions {missing} (log: {self.log})")


@dataclass(frozen=True)
class TritonEnvironment:
    """Where the parts of a Triton environment lie."""

    python: Path
    library_folders: str
    version: str
    tritonserver: Path


@contextmanager
def running_triton(
    environment: Path, repository: Path, log: Path, http_port: int = 0, grpc_port: int = 0
) -> Iterator[TritonServer]:
    """Run a Triton server over `repository` for the length of the block; models are loaded by `TritonServer.load`.

    No process, no port and no shared memory is left when the block ends, however it ends.

    Args:
        environment: Python environment with nvidia-pytriton, onnxruntime and NumPy < 2.
        log: file that receives the server's output; replaced.
        http_port, grpc_port: loopback ports; 0 takes a free one.

    Raises:
        EnvironmentFaultError: the environment is not there, a given port is in use, or the server does not start.
    """
    parts = inspect_environment(environment)
    log.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        http_port, grpc_port = free_ports(http_port, grpc_port)
        _remove_abandoned_shared_memory()
        prefix = f"{SHARED_MEMORY_PREFIX}{os.getpid()}_{uuid.uuid4().hex[:12]}_"
        stack.callback(_remove_shared_memory, prefix)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reland-triton-")))
        command = [
            str(parts.tritonserver / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={_assemble_backends(parts, folder)}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            "--model-control-mode=explicit",
            "--http-address=127.0.0.1",
            f"--http-port={http_port}",
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
            env={
                **os.environ,
                # The backend's stub takes the first Python environment on PATH and ignores PYTHONPATH.
                "PATH": f"{parts.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "LD_LIBRARY_PATH": parts.library_folders,
            },
        )
        stack.callback(_stop, process)
        server = TritonServer(http_port, grpc_port, log, process)
        _wait_until_live(server)
        yield server


def inspect_environment(environment: Path) -> TritonEnvironment:
    """
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
    shutil.copytree(parts.tritonserver / "backends", backends)
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
                    f"settings RELAND_TRITON_HTTP_PORT, RELAND_TRITON_GRPC_PORT: port {port}: {error.strerror}; "
                    "give another, or 0 for a free one"
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
