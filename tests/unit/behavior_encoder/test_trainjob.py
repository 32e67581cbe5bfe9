"""The Kubeflow Trainer job: it starts our module, in our image, with options the module has."""

from pathlib import Path

import pytest
import yaml

from components.behavior_encoder import train
from components.contracts.images import ENCODER
from components.foundation.errors import InputError

TRAINJOB = Path(__file__).parents[3] / "infra" / "kustomize" / "jobs" / "behavior-encoder" / "trainjob.yaml"


@pytest.fixture
def spec() -> dict:
    job = yaml.safe_load(TRAINJOB.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("trainer.kubeflow.org/v1alpha1", "TrainJob")
    return job["spec"]


def test_it_runs_our_module_in_our_image(spec: dict) -> None:
    assert spec["runtimeRef"]["name"] == "torch-distributed"
    assert spec["trainer"]["image"] == ENCODER
    assert spec["trainer"]["command"] == ["torchrun", "-m", train.__name__]


def test_the_module_takes_its_arguments(spec: dict) -> None:
    # They are parsed, and the first thing that is looked for is the data on the volume.
    with pytest.raises(InputError, match=r"/training/prepared/interactions.parquet: no such file"):
        train.main(spec["trainer"]["args"])


def test_every_path_is_on_the_mounted_volume(spec: dict) -> None:
    (patch,) = spec["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    volume = next(volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume)
    (container,) = pod["containers"]
    mount = next(mount for mount in container["volumeMounts"] if mount["name"] == volume["name"])
    paths = [argument.partition("=")[2] for argument in spec["trainer"]["args"] if "/" in argument]
    assert len(paths) == 3 and all(path.startswith(mount["mountPath"] + "/") for path in paths)
