"""No part writes or prints the passwords that stand in addresses of the settings, whether the server answers or not."""

import base64
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.contracts.handover import PoolRecord
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings, load_settings
from components.model_registry.register import register_record_version
from pipelines.running.run_log import RunLog
from reland.environment_checks import CHECKS, examine
from tests.contract.chat_endpoint import Reply, answer, chat_endpoint

SECRET = "s3cr3t"
NOBODY = f"http://user:{SECRET}@127.0.0.1:9"  # the port "discard", where nothing listens
pytestmark = pytest.mark.slow  # MLflow and pymilvus are imported


@pytest.fixture(autouse=True)
def printed_without_passwords(capfd, caplog) -> Iterator[None]:
    """What a test printed and logged is searched at its end."""
    yield
    out, err = capfd.readouterr()
    assert SECRET not in out + err + caplog.text


def settings_with_passwords(home: Path, **changes: str) -> Settings:
    addresses = {"mlflow_tracking_uri": NOBODY, "milvus_uri": NOBODY, "openai_base_url": f"{NOBODY}/v1"}
    return Settings(home=home, **(addresses | changes))


def traceback_of(call: Callable[[], object]) -> str:
    """What a step prints when `call` fails, after it has gone through the log of the run."""
    with pytest.raises(Exception) as failure:
        call()
    return "".join(traceback.format_exception(failure.value))


def assert_log_holds_none(folder: Path, text: str) -> None:
    messages: list[str] = []
    with RunLog(folder / "log.txt", lambda step, message: messages.append(message)) as log:
        for start in range(0, len(text), 7):  # a password may come in two pieces
            log.write(text[start : start + 7])
        log.write("\n")
        messages.append(str(log.failure))
    assert SECRET not in (folder / "log.txt").read_text() + "".join(messages)
    assert "Traceback" in (folder / "log.txt").read_text()


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path, monkeypatch):
    from components.foundation.milvus import connect_milvus
    from components.foundation.mlflow_client import aliases, open_registry

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    settings = settings_with_passwords(tmp_path)

    def connect() -> None:
        with connect_milvus(settings):
            pytest.fail("nothing listens there")

    for call in (connect, lambda: aliases(open_registry(settings), "reland_ranker")):
        shown = traceback_of(call)
        assert "127.0.0.1:9" in shown or "port=9" in shown
        last = shown.strip().rpartition("\n")[2]
        assert SECRET not in last, "a pod prints it, whose log nobody redacts"
        assert_log_holds_none(tmp_path, shown)


def test_mlflow_is_still_given_user_and_password(tmp_path, monkeypatch):
    from components.foundation.mlflow_client import aliases, open_registry

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    headers: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers.append(self.headers.get("Authorization"))
            body = json.dumps({"registered_model": {"name": "m", "aliases": [{"alias": "champion", "version": "3"}]}})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://user:{SECRET}%40@127.0.0.1:{server.server_port}"
        client = open_registry(settings_with_passwords(tmp_path, mlflow_tracking_uri=uri))
        assert aliases(client, "m") == {"champion": "3"}
        server.shutdown()
    assert headers == ["Basic " + base64.b64encode(f"user:{SECRET}@".encode()).decode()]


@pytest.mark.parametrize("status", [200, 400, 401, 402, 404])
def test_neither_answers_nor_faults_of_an_endpoint_hold_its_password(tmp_path, status):
    from components.language_model.openai_engine import Endpoint, OpenAIEngine

    request = {"custom_id": "1", "body": {"model": "gpt", "messages": []}}
    with chat_endpoint(lambda body, before: answer() if status == 200 else Reply(status, b"no")) as endpoint:
        url = endpoint.url.replace("//", f"//user:{SECRET}@")
        engine = OpenAIEngine("gpt", Endpoint(url, Settings().openai_api_key))
        shown: list[str] = []
        try:
            shown += [json.dumps(response) for response in engine.generate([request])]  # type: ignore[list-item]
        except (InputError, EnvironmentFaultError) as error:
            shown.append("".join(traceback.format_exception(error)))
    assert shown and SECRET not in "".join(shown)


def test_doctor_names_none(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_REDIS", f"127.0.0.1:9,password={SECRET}")
    monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"postgresql+psycopg://u:{SECRET}@127.0.0.1:9/feast")
    settings = settings_with_passwords(tmp_path, feature_store="redis")
    for name in CHECKS.keys() - {"MLflow", "Milvus", "Feast", "OpenAI endpoint"}:
        monkeypatch.delitem(CHECKS, name)
    findings = list(examine(settings))
    assert [finding.state for finding in findings] == ["failed"] * 4
    assert SECRET not in str(findings)


def test_the_registry_keeps_none(tmp_path):
    settings = settings_with_passwords(tmp_path, mlflow_tracking_uri="")
    record = PoolRecord(
        prepared="s3://data/prepared",
        encoder="s3://data/encoder",
        encoder_version="1",
        rationales="s3://data/rationales",
        rationale_embeddings="s3://data/embeddings",
        collection="reland_pool_g",
        prompt="prompts:/reland/1",
    )
    register_record_version(settings, record, {"generation": "g"})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(SECRET.encode() in path.read_bytes() for path in files)


def test_a_setting_at_fault_is_shown_without_its_password(monkeypatch):
    monkeypatch.setenv("RELAND_GATEWAY_PORT", NOBODY)
    with pytest.raises(InputError, match=r"RELAND_GATEWAY_PORT.*user:\*\*\*@127"):
        load_settings()
