"""Rules, dashboard and scaling name metrics that are there; every alert that issue 8 asks for is."""

import json
import re
from pathlib import Path

import pytest
import yaml

from infra.validation.manifests import KUSTOMIZE
from serving.gateway.metrics import Metrics

MONITORING = KUSTOMIZE.parent / "monitoring"

# What others expose, as their documentation names it.
OTHERS = {
    "up",  # Prometheus
    "argo_workflows_total_count",  # Argo Workflows 3.6, below Kubeflow Pipelines
    "nv_inference_queue_duration_us",  # Triton
    "nv_inference_request_success",
    "vllm:num_requests_running",  # vLLM
    "vllm:num_requests_waiting",
}
# An identifier that is no function, no label and no word of the language.
METRIC = re.compile(r"\b((?:reland|nv|vllm|argo)[\w:]*|up)\b(?!\s*\()")


@pytest.fixture(scope="module")
def rules() -> list[dict]:
    content = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    return [rule for group in content["spec"]["groups"] for rule in group["rules"]]


def exposed() -> set[str]:
    """The names of all series of a gateway."""
    names = set()
    for family in Metrics().registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def metrics_of(expression: str) -> set[str]:
    return set(METRIC.findall(re.sub(r'"[^"]*"', "", expression)))


def test_every_metric_of_a_rule_is_exposed_or_recorded(rules):
    known = exposed() | OTHERS | {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        named = metrics_of(rule["expr"])
        assert named and named <= known, (rule.get("alert") or rule["record"], named - known)


def test_every_metric_of_the_dashboard_is_exposed_or_recorded(rules):
    known = exposed() | OTHERS | {rule["record"] for rule in rules if "record" in rule}
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            named = metrics_of(target["expr"])
            assert named and named <= known, (panel["title"], named - known)


def test_every_metric_that_replicas_are_scaled_by_is_exposed(built):
    for document in built("gpu-cluster"):
        if document["kind"] == "ScaledObject":
            queries = [
                trigger["metadata"]["query"]
                for trigger in document["spec"]["triggers"]
                if "query" in trigger["metadata"]
            ]
            assert queries
            for query in queries:
                assert metrics_of(query) and metrics_of(query) <= exposed() | OTHERS


def test_labels_that_rules_ask_for_are_labels_of_the_metric(rules):
    labels = {
        family.name: set(metric._labelnames)
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
        for family in metric.collect()
    }
    for rule in rules:
        for name, asked in re.findall(r"(reland_gateway_\w+)\{([^}]*)\}", rule["expr"]):
            family = re.sub(r"_(total|bucket|count|sum)$", "", name)
            assert set(re.findall(r"(\w+)=", asked)) - {"le"} <= labels[family], rule["expr"]


def test_there_is_an_alert_for_all_that_was_asked(rules):
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert alerts >= {
        "RelandLadderShare",
        "RelandFeatureAge",
        "RelandCoverageDrop",
        "RelandExposureLoss",
        "RelandErrorRate",
        "RelandLatency",
        "RelandStalePool",
        "RelandDrift",
        "RelandPipelineFailed",
    }
    for rule in rules:
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("page", "warn")
            assert set(rule["annotations"]) == {"summary", "what_to_do"}


def test_the_unit_tests_of_the_rules_fire_every_alert(rules):
    folder = Path(__file__).parents[2] / "integration" / "monitoring"
    tests = [test for path in folder.glob("*_test.yaml") for test in yaml.safe_load(path.read_text())["tests"]]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules if "alert" in rule}
