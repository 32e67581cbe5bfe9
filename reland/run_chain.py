"""The whole chain on this machine: every step run, and what came of it kept under the generation's name."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contracts.artifacts import CONFIGURATION_FILE, MANIFEST_FILE, SUMMARY_FILE
from components.contracts.generation import generation_id
from components.contracts.serving import check_features_have_a_slot
from components.foundation.errors import EnvironmentFaultError, InputError, write_failure
from components.foundation.files import creating_directory, read_json, write_json
from components.foundation.settings import Settings
from pipelines.configuration import RunConfiguration, write_configuration
from pipelines.reland import define_reland
from pipelines.running.local import Steps, run_pipeline
from pipelines.running.placement import LAPTOP
from pipelines.running.run_log import RunLog
from serving.triton.server import free_ports

RUNNERS = ("subprocess", "docker")


def run_chain(
    configuration: RunConfiguration,
    settings: Settings,
    listener: Callable[[str, str], None],
    runner: str = "subprocess",
) -> tuple[dict[str, Any], Path]:
    """Run every step and write `RELAND_HOME/runs/<generation>/{summary,manifest}.json`, `config.toml` and `log.txt`.

    Args:
        listener: called with (step, message) as the run goes on.
        runner: `subprocess`, or `docker`: each step in its image (`pipelines.running.docker`).

    Returns:
        The summary and the folder of the run.

    Raises:
        RelandError: a file or a setting is at fault, or a step raised an error of one of its kinds.
        StepFailedError: a step failed otherwise.
    """
    if runner not in RUNNERS:
        raise InputError(f"--runner {runner}: expected one of {', '.join(RUNNERS)}")
    configuration.check(settings)
    check_machine(configuration, settings)
    generation = generation_id(datetime.now(UTC))
    began = time.monotonic()
    folder = settings.home / "runs" / generation
    logs = _make_logs(settings.home)
    running = (
        _container_steps(settings, configuration, generation) if runner == "docker" else contextlib.nullcontext(None)
    )
    with contextlib.closing(RunLog(logs / f"{generation}.txt", listener)) as log, running as steps:
        arguments = {**configuration.arguments(), "generation": generation}
        outputs = run_pipeline(define_reland(LAPTOP), arguments, settings, log, steps)
    artifact = Path(outputs["Output"].path)
    summary = read_json(artifact / SUMMARY_FILE)
    summary["seconds"] = {"total": round(time.monotonic() - began, 2), "steps": log.seconds}
    with creating_directory(folder) as temporary:
        write_json(temporary / SUMMARY_FILE, summary)
        write_json(temporary / MANIFEST_FILE, read_json(artifact / MANIFEST_FILE))
        write_configuration(configuration.resolved(), temporary / CONFIGURATION_FILE)
        shutil.copyfile(log.path, temporary / "log.txt")
    return summary, folder


def _container_steps(
    settings: Settings, configuration: RunConfiguration, generation: str
) -> contextlib.AbstractContextManager[Steps]:
    from pipelines.running.docker import container_steps  # Docker's client is imported for those who use it

    return container_steps(settings, configuration.read_paths(), generation)


def check_machine(configuration: RunConfiguration, settings: Settings) -> None:
    """Find what this machine lacks for a run.

    Raises:
        EnvironmentFaultError: there is no Triton, or a port is in use.
        InputError: a path holds what the local runner replaces.
    """
    if not (settings.triton_environment / "bin" / "python").exists():
        raise EnvironmentFaultError(
            f"setting RELAND_TRITON_ENVIRONMENT: no Python environment at {settings.triton_environment} "
            "(`make install` makes it)"
        )
    texts = [settings.home, *configuration.resolved().read_paths()]
    for path in map(str, texts):
        if "python3" in path:
            raise InputError(
                f"{path}: the local runner replaces the text 'python3' in all it hands to a step; rename it"
            )
    free_ports(settings.triton_grpc_port)
    check_features_have_a_slot(settings)


def _make_logs(home: Path) -> Path:
    logs = home / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # containers run as the owner of the home, and the release writes Triton's log there
            shutil.chown(logs, home.stat().st_uid, home.stat().st_gid)
    except OSError as error:
        raise write_failure(f"setting RELAND_HOME: {logs} cannot be made a folder ({error.strerror})", error) from error
    return logs
