"""The alerts, tried by Prometheus' own tool, and the manifests, tried by checkov."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.validation.manifests import KUSTOMIZE, OVERLAYS, build, containers, folders, pod_template
from infra.validation.policies import CHECKOV, policy_faults

pytestmark = pytest.mark.services

TESTS = Path(__file__).parent


def test_every_alert_fires_on_what_it_is_for_and_on_nothing_else(missing_dependency, tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        missing_dependency("no promtool: `make services` installs it")
    resource = yaml.safe_load((KUSTOMIZE.parent / "monitoring" / "rules.yaml").read_text())
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(resource["spec"]))
    tests = [shutil.copy(TESTS / name, tmp_path) for name in ("rules_test.yaml", "rules_long_test.yaml")]
    subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, check=True, capture_output=True)
    tried = subprocess.run(
        [promtool, "test", "rules", *tests], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.fixture(scope="module")
def overlays(missing_dependency) -> dict[str, list[dict]]:
    if not CHECKOV.exists():
        missing_dependency(f"no checkov at {CHECKOV}: `make services` installs it")
    return {name: build(folders()[name]) for name in OVERLAYS}


def test_every_overlay_keeps_to_the_policies(overlays):
    # In one go: most of what it takes is checkov's start.
    assert policy_faults([document for documents in overlays.values() for document in documents]) == []


def test_what_breaks_a_policy_is_found(overlays):
    """One fault in each of six workloads, found in one go."""
    documents = overlays["gpu-cluster"]
    pods = {each["metadata"]["name"]: pod for each in documents if (pod := pod_template(each)) is not None}
    first = {name: containers(pod)[-1] for name, pod in pods.items()}
    del first["gateway"]["resources"]["limits"]["memory"]
    first["triton"]["image"] = "reland/triton-server:latest"
    first["redis"]["image"] = "redis"
    first["vllm"]["securityContext"]["privileged"] = True
    first["postgresql"]["securityContext"]["readOnlyRootFilesystem"] = False
    pods["mlflow"]["spec"]["securityContext"] = {"runAsUser": 0}
    found = {
        (fault.split(".")[2].split(":")[0], fault.split("(")[-1].rstrip(")")) for fault in policy_faults(documents)
    }
    assert found >= {
        ("gateway", "CKV_K8S_13"),  # memory limits
        ("triton", "CKV_K8S_14"),  # a fixed tag
        ("redis", "CKV_K8S_14"),
        ("vllm", "CKV_K8S_16"),  # not privileged
        ("postgresql", "CKV_K8S_22"),  # a root that is read-only
        ("mlflow", "CKV_K8S_23"),  # no root user
    }
    assert {name for name, _ in found} == {"gateway", "triton", "redis", "vllm", "postgresql", "mlflow"}
