"""Real vLLM for tests: the tiny model, settings that find vLLM's environment, a server process on loopback."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.foundation.settings import Settings
from tests.tiny_language_model import write_tiny_language_model

START_SECONDS = 240
# What the engine gives its worker; see `vllm_worker.py` for the reasons.
SERVER_OPTIONS = [
    "--dtype=float32",
    "--enforce-eager",
    "--no-enable-chunked-prefill",
    "--block-size=32",
    "--kv-cache-memory-bytes=268435456",
    '--structured-outputs-config={"backend": "guidance", "disable_any_whitespace": true}',
]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_language_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def vllm_settings(vllm_python: Path) -> Settings:
    return Settings(vllm_python=vllm_python, vllm_arguments=json.dumps({"kv_cache_memory_bytes": 2**28}))


@pytest.fixture(scope="session")
def vllm_server(vllm_python: Path, tiny_model: Path) -> Iterator[str]:
    """The base URL of a vLLM server that serves the tiny model under the name `tiny`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [str(vllm_python), "-m", "vllm.entrypoints.openai.api_server", "--host=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(
        [*command, f"--model={tiny_model}", "--served-model-name=tiny", *SERVER_OPTIONS],
        start_new_session=True,
        env={**os.environ, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "WARNING"},
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the vLLM server ended while it started; what it printed stands above"
        try:
            with opener.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the vLLM server was not ready within {START_SECONDS} s")
