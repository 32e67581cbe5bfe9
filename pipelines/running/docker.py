"""Runs steps on this machine in the images that a cluster runs, by kfp's `DockerRunner` on Docker or Podman."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from kfp import local
from kfp.local import docker_task_handler

from components.foundation.errors import EnvironmentFaultError
from components.foundation.settings import ENVIRONMENT_PREFIX, SECRET_VARIABLES, Settings
from pipelines.running.local import Steps, environment_variables

# Settings that name a program of this machine; an image has its own.
PROGRAMS = (f"{ENVIRONMENT_PREFIX}TRITON_ENVIRONMENT", f"{ENVIRONMENT_PREFIX}VLLM_PYTHON")
STEP_LABEL = "reland.run"
SHARED_MEMORY = "256m"  # Triton's Python backend
STOP_SECONDS = 10


def container_runner(settings: Settings, environment: dict[str, str], run: str) -> local.DockerRunner:
    """A runner whose containers may do no more than a pod of the cluster.

    They run without root and without capabilities, write only to `RELAND_HOME` and /tmp, and have no network where the
    settings name no server.

    Args:
        environment: variables of the steps.
        run: label of the containers of this run.

    Raises:
        EnvironmentFaultError: no container engine answers.
    """
    try:
        client = docker.from_env()
        try:
            client.ping()
        finally:
            client.close()
    except DockerException as error:
        raise EnvironmentFaultError(
            f"--runner docker: no container engine answers ({error}); start Docker, or `podman system service` and "
            "name its socket in DOCKER_HOST"
        ) from error
    owner = settings.home.stat()
    servers = (settings.mlflow_tracking_uri, settings.milvus_uri, settings.openai_base_url)
    return local.DockerRunner(
        user=f"{owner.st_uid}:{owner.st_gid}",
        environment={name: value for name, value in environment.items() if name not in PROGRAMS},
        network_mode="host" if any(servers) or settings.feature_store != "local" else "none",
        read_only=True,
        tmpfs={"/tmp": "rw,exec,mode=1777"},  # Triton's stub runs from there
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        shm_size=SHARED_MEMORY,
        labels={STEP_LABEL: run},
    )


@contextmanager
def container_steps(settings: Settings, read: list[Path], run: str) -> Iterator[Steps]:
    """`Steps` that run in containers of their images.

    Args:
        read: files and folders of this machine that steps read.
        run: label of the containers of this run.

    Raises:
        EnvironmentFaultError: no container engine answers.
    """
    secrets = {name: os.environ[name] for name in SECRET_VARIABLES if name in os.environ}
    runner = container_runner(settings, environment_variables(settings) | secrets, run)
    with truthful_containers(settings, read):
        yield Steps(runner, lambda: end_containers(run))


@contextmanager
def truthful_containers(settings: Settings, read: list[Path]) -> Iterator[None]:
    """Make kfp read a container's exit status before the container is removed, and mount all of `RELAND_HOME`.

    kfp lets the engine remove a container as it ends, and treats a container that is gone as one that succeeded
    (kubeflow/pipelines #13332): 11 of 12 failed steps were reported as done.

    Args:
        read: files and folders that steps read.
    """
    before = docker_task_handler.run_docker_container

    def run(
        client: docker.DockerClient, image: str, command: list[str], volumes: dict[str, Any], **arguments: Any
    ) -> int:
        return run_container(client, image, command, _mounts(settings, read), **arguments)

    docker_task_handler.run_docker_container = run
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = before


def run_container(
    client: docker.DockerClient, image: str, command: list[str], volumes: dict[str, Any], **arguments: Any
) -> int:
    """Run a container to its end, print its output and remove it; returns its exit status.

    Raises:
        EnvironmentFaultError: the image is not on this machine.
    """
    try:
        container = client.containers.create(image, command, volumes=volumes, **arguments)
    except ImageNotFound as error:
        raise EnvironmentFaultError(
            f"--runner docker: no image {image} on this machine (`make images` builds it)"
        ) from error
    try:
        container.start()
        partial = b""
        # The engine cuts the output where it likes, and kfp indents each piece that is printed: only whole lines are.
        for piece in container.logs(stream=True, follow=True):
            *lines, partial = (partial + piece).split(b"\n")
            for line in lines:
                print(line.decode(errors="replace"))
        if partial:
            print(partial.decode(errors="replace"))
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)


def end_containers(run: str) -> None:
    """Stop the containers of a run that was interrupted."""
    client = docker.from_env()
    try:
        for container in client.containers.list(filters={"label": f"{STEP_LABEL}={run}"}):
            container.stop(timeout=STOP_SECONDS)
    finally:
        client.close()


def _mounts(settings: Settings, read: list[Path]) -> dict[str, dict[str, str]]:
    """Mounts of a step, under the same paths as on this machine: read-only what it reads, writable what it writes."""
    read = [*read, *(path for path in (settings.data_dir, settings.forbidden_texts) if path)]
    written = [path for path in (settings.home, settings.model_repository, settings.ledger) if path]
    return {str(path): {"bind": str(path), "mode": "ro"} for path in read} | {
        str(path): {"bind": str(path), "mode": "rw"} for path in written
    }
