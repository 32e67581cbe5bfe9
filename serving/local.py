"""`reland serve`: everything that serving needs, on this machine, for as long as the command runs.

Triton and, where the settings name no Milvus server, a Milvus Lite server are started before the gateway; what ends is
started again; all of it ends with the command, however the command ends: each process asks the kernel to be ended with
its parent, and is in a session of its own, so that Ctrl-C reaches it through the command alone, in order.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from pydantic import SecretStr

from components.contracts.serving import TRITON_FILE, rollout_file
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.loopback import without_proxy
from components.foundation.milvus import LITE_FILE, SERVER_FILE, milvus_folder
from components.foundation.progress import say
from components.foundation.settings import ENVIRONMENT_PREFIX, Settings
from serving.triton.server import LAUNCH, free_ports
from serving.triton.supervisor import supervised_triton

START_SECONDS = 120.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.5
RESTART_SECONDS = 1.0
LOCK_FILE = "serve.lock"  # held while `reland serve` runs; it holds the number of the process


class Child:
    """A process that is started again when it ends."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], answers: Callable[[], bool]):
        """`answers` says whether the process does what it is there for."""
        self.name = name
        self._command = [sys.executable, "-c", LAUNCH, str(os.getpid()), *command]
        self._environment = {**os.environ, **environment}
        self._answers = answers
        self._process = self._start()
        self._restart_at: float | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait_until_it_answers(self) -> None:
        """Wait for the process to answer, or to end.

        Raises:
            EnvironmentFaultError: it ends, or does not answer in time; it has printed why.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None:
                raise EnvironmentFaultError(f"{self.name} ended with status {self._process.returncode} at its start")
            if time.monotonic() > deadline:
                raise EnvironmentFaultError(f"{self.name} did not answer within {START_SECONDS:.0f} s")
            time.sleep(0.1)

    def look(self) -> None:
        """Start the process again if it has ended, after a pause in which whatever ended it may pass."""
        status = self._process.poll()
        if status is None:
            return
        if self._restart_at is None:
            say(f"{self.name} ended with status {status}; it is started again")
            self._restart_at = time.monotonic() + RESTART_SECONDS
        elif time.monotonic() >= self._restart_at:
            self._process, self._restart_at = self._start(), None

    def stop(self) -> None:
        """End the process and what it has started: politely, and by force what is left after that."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def serve(settings: Settings) -> None:
    """Serve until interrupted (SIGINT, or SIGTERM where it raises KeyboardInterrupt, as the `reland` command sets it).

    Raises:
        InputError: a setting or a file is at fault.
        EnvironmentFaultError: a part does not start.
    """
    os.umask(0o077)  # what is logged names users
    # For this process, which watches Triton, and for those that it starts.
    os.environ.update(no_grpc_proxy=without_proxy(os.environ))
    with ExitStack() as stack:
        try:
            if not rollout_file(settings).exists():
                raise InputError(f"{rollout_file(settings)}: no such file, the record of arms: `reland run` makes it")
            _hold_home(settings, stack)
            address = f"{settings.gateway_host}:{_port(settings)}"
            triton = settings.triton_grpc or _triton(settings, stack)
            milvus = None if settings.milvus_uri else _milvus_lite(settings, stack)
            gateway = _gateway(settings, address, triton, milvus, stack)
            say(f"serving: http://{address} (what may be asked: http://{address}/docs); Ctrl-C ends it")
            while True:
                time.sleep(LOOK_SECONDS)
                for child in (milvus, gateway):
                    if child is not None:
                        child.look()
        except KeyboardInterrupt:
            say("ending")
        finally:
            # A second Ctrl-C would leave what the first was about to end.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)


def _hold_home(settings: Settings, stack: ExitStack) -> None:
    """Be the one that serves from this home, until this process ends: its files of addresses are of one.

    Raises:
        InputError: another serves from it.
    """
    path = rollout_file(settings).with_name(LOCK_FILE)
    file = stack.enter_context(path.open("a+", encoding="utf-8"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise InputError(
            f"{settings.home}: `reland serve` runs already (process {file.read().strip()}): end it first, or serve "
            "another RELAND_HOME"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()


def _triton(settings: Settings, stack: ExitStack) -> str:
    """The gRPC address of a server over the model repository, which a rollout finds by `TRITON_FILE` while it runs."""
    address = stack.enter_context(supervised_triton(settings)).grpc_address
    file = rollout_file(settings).with_name(TRITON_FILE)
    file.write_text(f"{address}\n", encoding="utf-8")
    stack.callback(file.unlink, missing_ok=True)
    return address


def _milvus_lite(settings: Settings, stack: ExitStack) -> Child:
    """A server over the file of Milvus Lite, which other processes find by `contracts.milvus` while it runs."""
    (port,) = free_ports(0)
    folder = milvus_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).parent / "milvus-lite"
    options = ["--data-dir", str(folder / LITE_FILE), "--host", "127.0.0.1", "--port", str(port)]
    child = Child("Milvus Lite", [str(program), "server", *options], {}, lambda: _listens(port))
    stack.callback(child.stop)
    child.wait_until_it_answers()
    (folder / SERVER_FILE).write_text(f"http://127.0.0.1:{port}\n", encoding="utf-8")
    stack.callback((folder / SERVER_FILE).unlink, missing_ok=True)
    return child


def _gateway(settings: Settings, address: str, triton: str, milvus: Child | None, stack: ExitStack) -> Child:
    # Secrets come from the environment, which the child inherits; here they would read as stars.
    given = {name: value for name, value in settings if value is not None and not isinstance(value, SecretStr)}
    given |= {"gateway_port": address.rpartition(":")[2], "triton_grpc": triton}
    if milvus is not None:
        given["milvus_uri"] = (milvus_folder(settings) / SERVER_FILE).read_text(encoding="utf-8").strip()
    environment = {f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value) for name, value in given.items()}
    child = Child("the gateway", [sys.executable, "-m", "serving.gateway"], environment, lambda: _is_ready(address))
    stack.callback(child.stop)
    child.wait_until_it_answers()
    return child


def _port(settings: Settings) -> int:
    """The gateway's port, chosen here where the setting is 0.

    Raises:
        EnvironmentFaultError: the address is not this machine's, or in use.
    """
    family = socket.AF_INET6 if ":" in settings.gateway_host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.gateway_host, settings.gateway_port))
        except OSError as error:
            raise EnvironmentFaultError(
                f"settings RELAND_GATEWAY_HOST, RELAND_GATEWAY_PORT: {settings.gateway_host}:{settings.gateway_port}: "
                f"{error.strerror}"
            ) from error
        port: int = listener.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def _is_ready(address: str) -> bool:
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    with suppress(OSError, HTTPException), closing(HTTPConnection(host, int(port), timeout=2.0)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False
