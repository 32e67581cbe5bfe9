"""Podman as a server for the runner, and the `reland` command on it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE_USER = 10001


@pytest.fixture(scope="session", autouse=True)
def engine(tmp_path_factory):
    """The name of a socket on which Podman answers as Docker does."""
    socket = tmp_path_factory.mktemp("podman") / "podman.sock"
    with pytest.MonkeyPatch.context() as patch:
        if "CONTAINERS_CONF" not in os.environ:
            patch.setenv("CONTAINERS_CONF", str(ROOT / "infra" / "images" / "containers.conf"))
        server = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"])
        try:
            deadline = time.monotonic() + 120
            while not socket.exists():
                assert server.poll() is None and time.monotonic() < deadline, "podman does not answer"
                time.sleep(0.1)
            patch.setenv("DOCKER_HOST", f"unix://{socket}")
            yield str(socket)
        finally:
            server.terminate()
            server.wait(timeout=120)


@pytest.fixture
def home(tmp_path):
    """A RELAND_HOME of the images' own user, so that no step runs as root."""
    folder = tmp_path / "home"
    folder.mkdir()
    os.chown(folder, IMAGE_USER, IMAGE_USER)
    tmp_path.chmod(0o755)
    return folder


@pytest.fixture
def reland(home):
    """`reland(*arguments)` with that home, in a process of its own."""

    def invoke(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from reland.main import main; main()"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAND_")}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**environment, "RELAND_HOME": str(home)},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    return invoke
