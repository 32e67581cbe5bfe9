"""The pipeline in the images that a cluster runs: every step a container without root, network or files to write to."""

import contextlib
import json
from pathlib import Path

import docker
import pytest

from components.contracts import images
from components.contracts.handover import EncoderRecord, latest
from components.foundation.errors import EnvironmentFaultError
from components.foundation.files import write_json
from components.foundation.mlflow_client import open_registry
from components.foundation.settings import Settings
from pipelines.catalogue import define_pipelines
from pipelines.running.docker import STEP_LABEL, container_runner, end_containers, run_container, truthful_containers
from pipelines.running.local import Steps, run_pipeline
from pipelines.running.placement import LAPTOP
from pipelines.running.run_log import RunLog
from tests.images.inspection import TESTED
from tests.images.record import SUMMARY

pytestmark = pytest.mark.images
IMAGE_USER = 10001
BEHAVIOR_ENCODER = define_pipelines(LAPTOP)["behavior-encoder"]
OF_THE_CHAIN = {"data", "encoder", "pool", "generation", "ranker", "features", "triton"}


def written(home: Path) -> list[Path]:
    return [path for path in (home / "pipelines").rglob("*") if path.is_file()]


@pytest.fixture
def client(engine):
    client = docker.from_env()
    yield client
    client.close()


def left(client: docker.DockerClient, home: Path) -> list[str]:
    """The containers, running or not, of steps with this RELAND_HOME."""
    containers = client.containers.list(all=True, ignore_removed=True, filters={"label": STEP_LABEL})
    return [one.name for one in containers if str(home) in {mount["Source"] for mount in one.attrs["Mounts"]}]


def test_the_monthly_pipeline_runs_in_the_images(home, client, tmp_path, monkeypatch):
    """Its four steps: of the data image, PyTorch's, and the registry's. It is what CI has the minutes to build for."""
    monkeypatch.setenv("RELAND_HOME", str(home))
    settings, run = Settings(), "monthly"
    steps = Steps(container_runner(settings, {"RELAND_HOME": str(home)}, run), lambda: end_containers(run))
    with contextlib.closing(RunLog(tmp_path / "log.txt", lambda *_: None)) as log, truthful_containers(settings, []):
        run_pipeline(
            define_pipelines(LAPTOP)["behavior-encoder"],
            {"data": {"dataset": "simulator:200"}, "generation": "g1"},
            settings,
            log,
            steps,
        )
    assert set(log.seconds) == {"begin-generation", "prepare-data", "train-encoder", "register-encoder"}
    assert written(home) and {path.stat().st_uid for path in written(home)} == {IMAGE_USER}
    assert not left(client, home)
    assert latest(open_registry(settings), EncoderRecord).encoder_version == "1"


@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not set(TESTED) >= OF_THE_CHAIN, reason="not all images of the chain were built: make test-all-images"
)
def test_the_whole_chain_runs_in_the_images(reland, home, client):
    """Its summary is kept for `tests.images.record`."""
    result = reland("run", "--runner", "docker", "--dataset", "simulator:200", "--epochs", "1", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["release"]["smoke_request_ok"] and summary["features"]["lookup_verified"]
    assert summary["registry"]["alias"] == "champion"
    assert written(home) and {path.stat().st_uid for path in written(home)} == {IMAGE_USER}
    assert not left(client, home)
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    write_json(SUMMARY, summary)


def test_a_step_that_fails_fails_the_run_and_says_why(reland, home, client, tmp_path):
    """A file at fault is found by the step: the message crosses the container's border whole."""
    data = tmp_path / "ratings.inter"
    data.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "u\ti\tnone\n" * 50)
    result = reland("run", "--runner", "docker", "--dataset", str(data))
    assert result.returncode == 2 and result.stderr.startswith("reland: ") and result.stderr.count("\n") == 1
    assert not (home / "runs").exists() and not left(client, home)


@pytest.mark.parametrize(("status", "times"), [(0, 2), (7, 8)])
def test_the_status_is_that_of_the_container_every_time(client, capsys, status, times):
    """The stock runner has the engine remove the container first, and called 11 of 12 failures a success (#13332)."""
    image = f"reland/data:{images.VERSION}"
    labels = {STEP_LABEL: "status"}
    for _ in range(times):
        command = ["sh", "-c", f"echo printed; exit {status}"]
        assert run_container(client, image, command, {}, network_mode="none", labels=labels) == status
    assert capsys.readouterr().out.count("printed\n") == times
    assert not client.containers.list(all=True, filters={"label": STEP_LABEL + "=status"})


def test_an_image_that_is_not_there_is_named(client):
    with pytest.raises(EnvironmentFaultError, match=r"no image reland/nothing:0 .*make images"):
        run_container(client, "reland/nothing:0", ["true"], {})
