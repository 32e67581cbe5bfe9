"""Redis is stopped: the alert goes through real Prometheus and Alertmanager to a webhook. It is started: all clear."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from infra.validation.manifests import KUSTOMIZE
from serving.triton.server import free_ports

pytestmark = pytest.mark.services  # a real Redis is stopped

SECONDS = 240.0  # for what takes about ten on a machine that has nothing else to do
ALERTS = {("RelandLadderShare", None), ("RelandDependencyDown", "feature_store")}


class Webhook:
    """What Alertmanager tells: the alerts that fire now, by name and dependency."""

    def __init__(self) -> None:
        self.firing: set[tuple[str, str | None]] = set()
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for alert in body["alerts"]:
                    key = alert["labels"]["alertname"], alert["labels"].get("dependency")
                    (told.firing.add if alert["status"] == "firing" else told.firing.discard)(key)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def start(tmp_path, missing_dependency):
    """`start(program, *arguments)`: a server from Debian's packages, which ends with the test."""
    processes = []

    def begin(program: str, *arguments: str) -> subprocess.Popen:
        path = shutil.which(program)
        if path is None:
            missing_dependency(f"no {program}: `make services` installs it")
        log = (tmp_path / f"{program}.log").open("ab")
        processes.append(subprocess.Popen([path, *arguments], cwd=tmp_path, stdout=log, stderr=log))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, port
        time.sleep(0.1)


def hurried_rules() -> str:
    """The rules of the platform, in which minutes have become seconds; nothing else is changed."""
    text = yaml.safe_dump(yaml.safe_load((KUSTOMIZE.parent / "monitoring" / "rules.yaml").read_text())["spec"])
    text = re.sub(r"\[\d+[mh]\]", "[8s]", text)
    text = re.sub(r"^( *)(- )?for: \w+$", r"\1\2for: 1s", text, flags=re.M)
    return re.sub(r"^( *)(- )?interval: \w+$", r"\1\2interval: 1s", text, flags=re.M)


def write_configuration(folder: Path, gateway: int, alertmanager: int, webhook: int) -> None:
    (folder / "rules.yml").write_text(hurried_rules())
    target = {"static_configs": [{"targets": [f"127.0.0.1:{gateway}"]}]}
    prometheus = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "gateway", **target}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    hook = {"url": f"http://127.0.0.1:{webhook}/", "send_resolved": True}
    route = {"receiver": "webhook", "group_wait": "1s", "group_interval": "1s"}
    configuration = {"route": route, "receivers": [{"name": "webhook", "webhook_configs": [hook]}]}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration))


def test_a_stopped_redis_fires_through_to_the_webhook_and_a_started_one_clears(
    stack, triton, start_gateway, push_features, start, tmp_path, monkeypatch
):
    redis_port, prometheus_port, alertmanager_port = (free_ports(0)[0] for _ in range(3))
    monkeypatch.setenv("RELAND_REDIS", f"127.0.0.1:{redis_port}")
    monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"sqlite:///{tmp_path / 'registry.db'}")
    settings = stack.settings.model_copy(update={"feature_store": "redis"})

    def redis() -> subprocess.Popen:
        options = ["--bind", "127.0.0.1", "--port", str(redis_port), "--save", "", "--appendonly", "no"]
        server = start("redis-server", *options)
        wait_for_port(redis_port)
        push_features(settings)
        return server

    server = redis()
    gateway = start_gateway(
        settings,
        RELAND_FEATURE_STORE="redis",
        RELAND_TRITON_GRPC=triton.grpc_address,
        RELAND_GATEWAY_FEATURE_SECONDS="0",
    )
    webhook = Webhook()
    write_configuration(tmp_path, gateway.client.base_url.port, alertmanager_port, webhook.server.server_port)
    start(
        "prometheus-alertmanager",
        "--config.file=alertmanager.yml",
        "--storage.path=alertmanager",
        f"--web.listen-address=127.0.0.1:{alertmanager_port}",
        "--cluster.listen-address=",
    )
    wait_for_port(alertmanager_port)
    start(
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=prometheus",
        f"--web.listen-address=127.0.0.1:{prometheus_port}",
    )

    def ask_until(condition) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            response = gateway.post("/v1/rank", {"user_id": "known", "candidates": ["item 03", "item 01"]})
            assert response.status_code == 200, response.text
            assert time.monotonic() < deadline, webhook.firing
            time.sleep(0.05)

    began = time.monotonic()
    ask_until(lambda: time.monotonic() - began > 12)  # longer than any window of the hurried rules
    assert not webhook.firing & ALERTS
    server.kill()
    server.wait()
    ask_until(lambda: webhook.firing >= ALERTS)
    redis()
    ask_until(lambda: not webhook.firing & ALERTS)
    webhook.server.shutdown()
