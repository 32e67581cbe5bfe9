"""The pipeline in the images that a cluster runs: every step a container without root, network or files to write to."""

import json

import docker
import pytest

from components.contracts import images
from components.contracts.errors import InputError
from pipelines.containers import run_container

pytestmark = pytest.mark.images
IMAGE_USER = 10001


@pytest.fixture
def client(engine):
    client = docker.from_env()
    yield client
    client.close()


def test_the_whole_chain_runs_in_the_images(reland, home, client):
    result = reland("run", "--runner", "docker", "--dataset", "simulator:200", "--epochs", "1", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["release"]["smoke_request_ok"] and summary["features"]["lookup_verified"]
    assert summary["registry"]["alias"] == "champion"
    written = [path for path in (home / "pipelines").rglob("*") if path.is_file()]
    assert written and {path.stat().st_uid for path in written} == {IMAGE_USER}
    assert not client.containers.list(all=True)


def test_a_step_that_fails_fails_the_run_and_says_why(reland, home, client, tmp_path):
    """A file at fault is found by the step: the message crosses the container's border whole."""
    data = tmp_path / "ratings.inter"
    data.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "u\ti\tnone\n" * 50)
    result = reland("run", "--runner", "docker", "--dataset", str(data))
    assert result.returncode == 2 and result.stderr.startswith("reland: ") and result.stderr.count("\n") == 1
    assert not (home / "runs").exists() and not client.containers.list(all=True)


@pytest.mark.parametrize(("status", "times"), [(0, 2), (7, 8)])
def test_the_status_is_that_of_the_container_every_time(client, capsys, status, times):
    """The stock runner has the engine remove the container first, and called 11 of 12 failures a success (#13332)."""
    image = f"reland/data:{images.VERSION}"
    for _ in range(times):
        command = ["sh", "-c", f"echo printed; exit {status}"]
        assert run_container(client, image, command, {}, network_mode="none") == status
    assert capsys.readouterr().out.count("printed\n") == times
    assert not client.containers.list(all=True)


def test_an_image_that_is_not_there_is_named(client):
    with pytest.raises(InputError, match=r"no image reland/nothing:0 .*make images"):
        run_container(client, "reland/nothing:0", ["true"], {})
