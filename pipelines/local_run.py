"""Pipelines on this machine, under `kfp.local`, one process or container a step: the whole chain, or a part of it."""

import builtins
import contextlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr

from components.contracts.artifacts import MANIFEST_FILE, SUMMARY_FILE
from components.contracts.errors import InputError
from components.contracts.files import creating_directory, read_json, write_json
from components.contracts.generation import generation_id
from components.contracts.loopback import without_proxy
from components.contracts.settings import ENVIRONMENT_PREFIX, SECRET_VARIABLES, Settings
from pipelines.parameters import RunParameters, check_parameters
from pipelines.run_log import RunLog, StepFailedError

STOP_SECONDS = 20.0
RUNNERS = ("subprocess", "docker")


@dataclass(frozen=True)
class Steps:
    """How steps are run, and how those that run are ended.

    Attributes:
        runner: of `kfp.local`.
        end: called when the run is interrupted.
    """

    runner: Any
    end: Callable[[], None]


def run_reland(
    parameters: RunParameters, settings: Settings, listener: Callable[[str, str], None], runner: str = "subprocess"
) -> tuple[dict[str, Any], Path]:
    """Run every step and write `RELAND_HOME/runs/<generation>/{summary,manifest}.json` and `log.txt`.

    Args:
        listener: called with (step, message) as the run goes on.
        runner: `subprocess`, or `docker`: each step in its image (`pipelines.containers`).

    Returns:
        The summary and the folder of the run.

    Raises:
        InputError: a file or a setting is at fault.
        StepFailedError: a step failed otherwise.
    """
    if runner not in RUNNERS:
        raise InputError(f"--runner {runner}: expected one of {', '.join(RUNNERS)}")
    check_parameters(parameters, settings)
    generation = generation_id(datetime.now(UTC))
    began = time.monotonic()
    folder = settings.home / "runs" / generation
    logs = _make_logs(settings.home)
    running = _containers(settings, parameters, generation) if runner == "docker" else contextlib.nullcontext(None)
    with contextlib.closing(RunLog(logs / f"{generation}.txt", listener)) as log, running as steps:
        outputs = run_pipeline("reland", {**parameters.arguments(), "generation": generation}, settings, log, steps)
    artifact = Path(outputs["Output"].path)
    summary = read_json(artifact / SUMMARY_FILE)
    summary["seconds"] = {"total": round(time.monotonic() - began, 2), "steps": log.seconds}
    with creating_directory(folder) as temporary:
        write_json(temporary / SUMMARY_FILE, summary)
        write_json(temporary / MANIFEST_FILE, read_json(artifact / MANIFEST_FILE))
        shutil.copyfile(log.path, temporary / "log.txt")
    return summary, folder


def run_pipeline(
    name: str, arguments: dict[str, Any], settings: Settings, log: RunLog, steps: Steps | None = None
) -> dict[str, Any]:
    """Run a pipeline of `define_pipelines` and return its outputs; all that it prints goes to the log.

    Args:
        steps: how its steps are run; None: as subprocesses.

    Raises:
        InputError: a file or a setting is at fault.
        StepFailedError: a step failed otherwise.
    """
    from kfp import local

    from pipelines.compilation import define_pipelines
    from pipelines.placement import LAPTOP

    steps = steps or Steps(local.SubprocessRunner(use_venv=False), _end_steps)
    with _step_environment(settings), _print_as_before(), contextlib.redirect_stdout(log), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # config maps do not matter to a local runner, and it says so
        local.init(
            runner=steps.runner,
            pipeline_root=str(settings.home / "pipelines"),
            enable_caching=False,
        )
        try:
            return define_pipelines(LAPTOP)[name](**arguments).outputs
        except KeyboardInterrupt:
            steps.end()
            raise
        except RuntimeError as error:
            if log.failed_step is None:
                raise
            if (message := log.input_error()) is not None:
                raise InputError(message) from None
            raise StepFailedError(
                f"step {log.failed_step} failed: {log.failure or error} (all it printed: {log.path})"
            ) from None


@contextlib.contextmanager
def _print_as_before() -> Iterator[None]:
    """Put `print` back: kfp replaces it while a task runs, and tasks that overlap do not put it back."""
    before = builtins.print
    try:
        yield
    finally:
        builtins.print = before


@contextlib.contextmanager
def _containers(settings: Settings, parameters: RunParameters, generation: str) -> Iterator[Steps]:
    from pipelines.containers import container_runner, end_containers, truthful_containers

    secrets = {name: os.environ[name] for name in SECRET_VARIABLES if name in os.environ}
    runner = container_runner(settings, _variables(settings) | secrets, generation)
    with truthful_containers(settings, parameters.read_paths()):
        yield Steps(runner, lambda: end_containers(generation))


def _end_steps() -> None:
    """End the process of the step that runs, and what it has started: a signal to this process alone leaves them."""
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
    """The settings for the steps' processes, and one folder for what the runner leaves in the temporary folder."""
    with tempfile.TemporaryDirectory(prefix="reland-") as temporary:
        changes = {
            **_variables(settings),
            "TMPDIR": temporary,
            "PYTHONUNBUFFERED": "1",
            # gRPC would ask a proxy for Milvus Lite and Triton, which are on loopback.
            "no_grpc_proxy": without_proxy(os.environ),
            # Threads that wait for each other by spinning starve whatever else runs on a small machine.
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


def _variables(settings: Settings) -> dict[str, str]:
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": _told(value) for name, value in settings if value is not None}


def _told(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _make_logs(home: Path) -> Path:
    logs = home / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # containers run as the owner of the home, and the release writes Triton's log there
            shutil.chown(logs, home.stat().st_uid, home.stat().st_gid)
    except OSError as error:
        raise InputError(f"setting RELAND_HOME: {logs} cannot be made a folder ({error.strerror})") from error
    return logs
