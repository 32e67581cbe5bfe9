"""Runs pipelines on this machine under `kfp.local`, one process or container for each step."""

import builtins
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from kfp import local
from kfp.dsl.base_component import BaseComponent
from pydantic import SecretStr

from components.foundation.loopback import without_proxy
from components.foundation.settings import ENVIRONMENT_PREFIX, Settings
from pipelines.running.run_log import RunLog, StepFailedError

STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Steps:
    """How steps are started, and how running steps are ended.

    Attributes:
        runner: of `kfp.local`.
        end: called when the run is interrupted.
    """

    runner: Any
    end: Callable[[], None]


def run_pipeline(
    pipeline: BaseComponent, arguments: dict[str, Any], settings: Settings, log: RunLog, steps: Steps | None = None
) -> dict[str, Any]:
    """Run a pipeline and return its outputs; everything that it prints goes to the log.

    Args:
        steps: how its steps are started; None: as subprocesses.

    Raises:
        RelandError: the step raised one; it is raised again here, with its kind and message.
        StepFailedError: a step failed otherwise.
    """
    steps = steps or Steps(local.SubprocessRunner(use_venv=False), _end_steps)
    with _step_environment(settings), _restored_print(), contextlib.redirect_stdout(log):
        local.init(
            runner=steps.runner,
            pipeline_root=str(settings.home / "pipelines"),
            enable_caching=False,
        )
        try:
            return pipeline(**arguments).outputs
        except KeyboardInterrupt:
            steps.end()
            raise
        except RuntimeError as error:
            if log.failed_step is None:
                raise
            if (user_error := log.user_error()) is not None:
                raise user_error from None
            raise StepFailedError(
                f"step {log.failed_step} failed: {log.failure or error} (all it printed: {log.path})"
            ) from None


@contextlib.contextmanager
def _restored_print() -> Iterator[None]:
    """Restore `print` at the end: kfp replaces it while a task runs, and overlapping tasks do not restore it."""
    before = builtins.print
    try:
        yield
    finally:
        builtins.print = before


def _end_steps() -> None:
    """End the processes of the running steps and their children, which a signal to this process alone would leave."""
    steps = psutil.Process().children(recursive=True)
    for step in steps:
        with contextlib.suppress(psutil.NoSuchProcess):
            step.terminate()
    _, alive = psutil.wait_procs(steps, timeout=STOP_SECONDS)
    for step in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            step.kill()


@contextlib.contextmanager
def _step_environment(settings: Settings) -> Iterator[None]:
    """Set the environment of the steps' processes: the settings, and a temporary folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="reland-") as temporary:
        changes = {
            **environment_variables(settings),
            "TMPDIR": temporary,
            "PYTHONUNBUFFERED": "1",
            # gRPC would ask a proxy for Milvus Lite and Triton, which are on loopback.
            "no_grpc_proxy": without_proxy(os.environ),
            # Threads that spin while they wait take the cores of a small machine from other processes.
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def environment_variables(settings: Settings) -> dict[str, str]:
    """The settings as the environment variables that a step reads them from."""
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": _text_of(value) for name, value in settings if value is not None}


def _text_of(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
