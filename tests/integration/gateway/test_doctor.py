"""`reland doctor`: real parts that are well, and the same parts broken, one finding each."""

import json
import os
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from redis import Redis

import reland.environment_checks
from components.contracts.ranking_signature import MODEL_NAME
from components.foundation.milvus import connect_milvus
from components.foundation.mlflow_client import open_registry
from components.foundation.settings import Settings
from feature_repo.store import feature_store_as_it_is, open_feature_store
from reland.environment_checks import Finding, examine
from tests.integration.kubeflow_stub import kubeflow_stub


def found(settings: Settings, *names: str) -> dict[str, Finding]:
    """The findings of these dependencies alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            reland.environment_checks, "CHECKS", {name: reland.environment_checks.CHECKS[name] for name in names}
        )
        return {finding.name: finding for finding in examine(settings)}


def failure(settings: Settings, name: str) -> str:
    finding = found(settings, name)[name]
    assert finding.state == "failed", finding
    assert "\n" not in finding.message
    return finding.message


@pytest.fixture
def copied(stack, tmp_path) -> Callable[..., Settings]:
    """`copied(**changes)`: settings of a copy of the stack, which a test may break."""
    home = tmp_path / "home"
    shutil.copytree(stack.settings.home, home, ignore=shutil.ignore_patterns("milvus"))

    def settings(**changes) -> Settings:
        return Settings(home=home, **changes)

    return settings


def test_what_is_there_is_told_and_what_is_not_made_yet_is_no_failure(
    stack, triton_environment, tmp_path, monkeypatch, capsys
):
    """Of the command, with a home that has features, a released ranker and a record of arms, but no registry."""
    monkeypatch.setenv("RELAND_HOME", str(stack.settings.home))
    monkeypatch.setenv("RELAND_VLLM_PYTHON", sys.executable)  # a Python that has no vLLM
    monkeypatch.setattr(sys, "argv", ["reland", "doctor", "--json"])
    from reland.main import main

    with pytest.raises(SystemExit) as end:
        main()
    states = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert end.value.code == 1
    assert [name for name, finding in states.items() if finding["state"] == "failed"] == ["vLLM"]
    assert "has no vLLM (`make vllm` makes such an environment)" in states["vLLM"]["message"]
    assert states["MLflow"]["state"] == "unused" and "a first run makes the registry" in states["MLflow"]["message"]
    assert "NumPy 1." in states["Triton environment"]["message"]
    assert f"{MODEL_NAME} 1" in states["model repository"]["message"]
    assert states["record of arms"]["message"] == "champion: version 1, slot blue, 100%"
    assert states["Feast"]["message"].startswith("local, sqlite: ")


def test_a_triton_server_is_asked_for_the_versions_that_arms_name(copied, triton):
    settings = copied(triton_grpc=triton.grpc_address)
    assert found(settings, "Triton server")["Triton server"].message.startswith(f"{triton.grpc_address}: triton 2.")
    record = settings.home / "serving" / "rollout.json"
    record.write_text(record.read_text().replace('"version": 1', '"version": 7'))
    assert f"does not serve {MODEL_NAME} version 7, which the arm champion names" in failure(settings, "Triton server")
    assert "champion names reland_ranker version 7, which is not in" in failure(copied(), "record of arms")
    record.write_text("{")
    assert "not readable as JSON" in failure(settings, "record of arms")


def test_a_model_repository_without_a_version_that_it_is_to_serve(copied):
    settings = copied()
    shutil.rmtree(settings.resolved_model_repository / MODEL_NAME / "1")
    assert "is to serve version 1, whose folder is not there" in failure(settings, "model repository")
    (settings.resolved_model_repository / MODEL_NAME / "config.pbtxt").write_text("name = ")
    assert "no Triton model configuration" in failure(settings, "model repository")


def test_a_feature_store_of_another_version_of_the_code(copied, monkeypatch):
    settings = copied()
    store = feature_store_as_it_is(settings)
    store.delete_feature_view("rationale_embedding")
    assert "the registry has no rationale_embedding" in failure(settings, "Feast")
    open_feature_store(settings)
    assert found(settings, "Feast")["Feast"].state == "ok"
    monkeypatch.delenv("RELAND_REDIS", raising=False)
    message = "feature_store.redis.yaml needs the environment variable RELAND_"
    assert message in failure(copied(feature_store="redis"), "Feast")


@pytest.mark.slow
def test_a_registry_of_another_version_of_mlflow(tmp_path):
    settings = Settings(home=tmp_path / "one")
    open_registry(settings).search_registered_models(max_results=1)
    told = found(settings, "MLflow")["MLflow"]
    assert told.state == "ok" and "SQLite, schema of MLflow" in told.message
    # A copy, as MLflow looks at a database once in a process.
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with sqlite3.connect(tmp_path / "two" / "mlflow" / "mlflow.db") as database:
        database.execute("update alembic_version set version_num = 'of another time'")
    assert "of another time" in failure(Settings(home=tmp_path / "two"), "MLflow")


def test_a_milvus_that_holds_what_another_version_made(tmp_path):
    settings = Settings(home=tmp_path)
    with connect_milvus(settings) as client:
        client.create_collection("reland_pool_one", dimension=4)
    assert "milvus_lite" in found(settings, "Milvus")["Milvus"].message
    with connect_milvus(settings) as client:
        client.create_collection("reland_pool_two", dimension=4, vector_field_name="embedding")
    assert "the collection reland_pool_two has no field `vector`" in failure(settings, "Milvus")


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"mlflow_tracking_uri": "http://127.0.0.1:9"}, "MLflow", "RELAND_MLFLOW_TRACKING_URI: nothing answers at 127"),
        ({"milvus_uri": "http://127.0.0.1:9"}, "Milvus", "setting RELAND_MILVUS_URI: nothing answers at 127.0.0.1:9"),
        ({"triton_grpc": "127.0.0.1:9"}, "Triton server", "setting RELAND_TRITON_GRPC: nothing answers at 127.0.0.1:9"),
        ({"openai_base_url": "http://127.0.0.1:9/v1"}, "OpenAI endpoint", "setting RELAND_OPENAI_BASE_URL: nothing"),
        (
            {"kfp_endpoint": "http://127.0.0.1:9"},
            "Kubeflow Pipelines",
            "RELAND_KFP_ENDPOINT: http://127.0.0.1:9 ",
        ),
        ({"triton_environment": "/nowhere"}, "Triton environment", "RELAND_TRITON_ENVIRONMENT: expected a Python"),
        (
            {"vllm_python": "/nowhere/python"},
            "vLLM",
            "setting RELAND_VLLM_PYTHON: /nowhere/python does not run",
        ),
        ({"data_dir": "/nowhere"}, "data sets", "setting RELAND_DATA_DIR: /nowhere is no folder that can be read"),
        ({"gateway_auth": "keys"}, "gateway", "keys needs RELAND_GATEWAY_KEYS"),
        ({"gateway_host": "0.0.0.0"}, "gateway", "none lets everyone in"),
        ({"home": "/dev/null/home"}, "home", "setting RELAND_HOME: /dev/null cannot be written to (Not a directory)"),
        ({"ledger": "/proc/ledger"}, "ledger", "setting RELAND_LEDGER: /proc cannot be written to"),
    ],
)
def test_what_is_wrong_is_told_with_the_setting_to_change(tmp_path, changes, name, message):
    assert message in failure(Settings(**{"home": tmp_path, **changes}), name)


def test_too_little_disk_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(reland.environment_checks, "FREE_BYTES", 2**60)
    assert "GiB free at" in failure(Settings(home=tmp_path), "home")


def test_a_server_that_takes_connections_and_says_nothing_is_a_failure_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(reland.environment_checks, "CHECK_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(home=tmp_path, milvus_uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "no answer within 1 s" in failure(settings, "Milvus")


def test_the_endpoint_of_the_language_model_is_asked_for_its_models(tmp_path):
    """The endpoint is a stand-in, which says what a real one does not when it is told to."""
    models = json.dumps({"data": [{"id": "qwen"}, {"id": "llama"}]})
    for status, body, state, told in (
        (200, models, "ok", ": qwen, llama"),
        (401, "", "failed", "answers 401 Unauthorized: is the key right?"),
        (200, "<html>", "failed", "/models is no list of models"),
    ):
        with answering(status, body) as url:
            finding = found(Settings(home=tmp_path, openai_base_url=f"{url}/v1"), "OpenAI endpoint")["OpenAI endpoint"]
        assert finding.state == state and told in finding.message, finding


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server that answers every GET so; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_kubeflow_is_asked_for_what_is_scheduled(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with kubeflow_stub() as stub:
        finding = found(Settings(kfp_endpoint=stub.url), "Kubeflow Pipelines")["Kubeflow Pipelines"]
        assert (finding.state, finding.message) == ("ok", f"{stub.url}: 0 pipelines scheduled")
        stub.token = "another"
        assert "401" in failure(Settings(kfp_endpoint=stub.url), "Kubeflow Pipelines")


@pytest.mark.services
def test_redis_is_written_to_and_a_password_or_a_replica_is_found_out(redis, tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"sqlite:///{tmp_path / 'registry.db'}")
    server = redis()
    settings = Settings(home=tmp_path, feature_store="redis")
    finding = found(settings, "Feast")["Feast"]
    assert finding.state == "unused" and "redis, Redis " in finding.message
    open_feature_store(settings)
    assert found(settings, "Feast")["Feast"].state == "ok"

    host, _, port = os.environ["RELAND_REDIS"].partition(":")
    client = Redis(host, int(port))
    client.replicaof("127.0.0.1", "9")
    assert "setting RELAND_REDIS: Redis refuses it (You can't write against a read only replica" in failure(
        settings, "Feast"
    )
    client.replicaof("NO", "ONE")
    client.config_set("requirepass", "secret")
    assert "setting RELAND_REDIS: Redis refuses it" in failure(settings, "Feast")
    server.terminate()
    server.wait(60)
    assert "setting RELAND_REDIS" in failure(settings, "Feast")
