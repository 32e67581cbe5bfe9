"""A client of Kubeflow Pipelines' API: uploads pipelines, starts runs and waits for them, keeps recurring runs.

A version of a pipeline is named by the code's version and the digest of its IR, so the same content is uploaded once. A
recurring run has the name of its pipeline: an experiment holds one for each pipeline.
"""

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import kfp_server_api
import urllib3
from kfp import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp.dsl.base_component import BaseComponent
from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

from components.contracts.images import VERSION
from components.foundation.code_revision import git_revision
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings

ATTEMPTS = 4  # of a request that only reads, repeated after 1, 2 and 4 seconds
TRANSIENT = (429, 500, 502, 503, 504)
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
PAGE = 100

# When each pipeline begins, in UTC: second, minute, hour, day of the month, month, day of the week. Each starts late
# enough for the one before it to end. `reland` and `benchmark` are run on demand.
CADENCE = {
    "behavior-encoder": "0 0 0 1 * *",
    "reasoning-pool": "0 0 3 * * 1",
    "rationale-refresh": "0 0 5 * * *",
    "fusion-ranker": "0 0 6 * * *",
}

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the cluster.

    Attributes:
        pipeline: name of the pipeline.
        name: code version and digest of the content.
        is_new: whether it was uploaded just now.
    """

    pipeline: str
    pipeline_id: str
    version_id: str
    name: str
    is_new: bool


@dataclass(frozen=True)
class Schedule:
    """A recurring run.

    Attributes:
        pipeline: name of the pipeline, and of the recurring run.
        cron: when it begins, in six fields, of which the first are seconds.
        catch_up: whether every missed run is made up for; otherwise only the latest is.
        version_id: version of the pipeline that is run, until `reland schedule` names another.
        parameters: those that differ from the pipeline's defaults.
    """

    pipeline: str
    cron: str
    catch_up: bool
    version_id: str
    parameters: dict[str, Any]


class Kubeflow:
    """One user's pipelines on one installation.

    Every method raises EnvironmentFaultError where the API cannot be reached or stays busy, and InputError where it
    refuses the token or the namespace, or answers with another error. Requests that read are repeated while the API is
    busy; those that write are not, because a run that is started twice is worse than an error.
    """

    def __init__(self, settings: Settings):
        """Connect to the endpoint that the settings name.

        Raises:
            InputError: the settings name no endpoint.
            EnvironmentFaultError: it does not answer.
        """
        if not settings.kfp_endpoint:
            raise InputError(
                "setting RELAND_KFP_ENDPOINT: not set, expected Kubeflow Pipelines' API as http://host:8888"
            )
        if urlsplit(settings.kfp_endpoint).scheme not in ("http", "https"):
            raise InputError(
                f"setting RELAND_KFP_ENDPOINT: expected http:// or https:// (found {settings.kfp_endpoint!r})"
            )
        self._settings = settings
        self._endpoint = settings.kfp_endpoint.rstrip("/")
        self._namespace = settings.kfp_namespace or None
        for path, name in ((settings.kfp_ca, "RELAND_KFP_CA"), (settings.kfp_token_file, "RELAND_KFP_TOKEN_FILE")):
            if path is not None and not path.is_file():
                raise InputError(f"setting {name}: {path}: no such file")
        self._client = self._connect()

    def upload(self, pipeline: BaseComponent, package: Path) -> Version:
        """Upload a pipeline, compiled into that file, unless a version of the same content is there."""
        name = pipeline.name
        digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
        version_name = f"{VERSION}-{digest}"
        pipeline_id = self._pipeline_id(name) or self._create_pipeline(pipeline)
        same = self._read(
            lambda: self._client.list_pipeline_versions(pipeline_id, page_size=PAGE, filter=_named(version_name))
        )
        if same.pipeline_versions:
            return Version(name, pipeline_id, same.pipeline_versions[0].pipeline_version_id, version_name, False)
        revision = git_revision()
        made = self._write(
            lambda: self._client.upload_pipeline_version(
                str(package), version_name, pipeline_id, description=f"code {revision}" if revision else None
            )
        )
        return Version(name, pipeline_id, made.pipeline_version_id, version_name, True)

    def submit(
        self, version: Version, experiment: str, run_name: str, parameters: dict[str, Any], service_account: str = ""
    ) -> str:
        """Start a run; returns its id."""
        experiment_id = self._experiment_id(experiment)
        run = self._write(
            lambda: self._client.run_pipeline(
                experiment_id,
                run_name,
                params=parameters,
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                service_account=service_account or None,
            )
        )
        return run.run_id

    def wait(self, run_id: str, listener: Callable[[str], None], seconds: float = 5.0) -> str:
        """Follow a run to its end, reading its state every `seconds`; `listener` is called with each new state.

        Returns:
            the last state: SUCCEEDED, SKIPPED, FAILED or CANCELED.
        """
        last_state = ""
        while True:
            state = self._read(lambda: self._client.get_run(run_id)).state or "PENDING"
            if state != last_state:
                listener(state)
                last_state = state
            if state in ENDED:
                return state
            time.sleep(seconds)

    def failure(self, run_id: str) -> str:
        """The failed tasks of a run and the error messages, in one line."""
        run = self._read(lambda: self._client.get_run(run_id))
        tasks = (run.run_details.task_details if run.run_details else None) or []
        failed = [task.display_name for task in tasks if task.state == "FAILED"]
        messages = [run.error.message] if run.error and run.error.message else []
        return "; ".join([*([f"failed: {', '.join(failed)}"] if failed else []), *messages]) or "no reason given"

    def schedules(self, experiment: str) -> list[Schedule]:
        """The recurring runs of an experiment, by name."""
        return sorted(
            (_schedule_of(run) for run in self._recurring(experiment)), key=lambda schedule: schedule.pipeline
        )

    def schedule(self, wanted: Schedule, version: Version, experiment: str, service_account: str = "") -> bool:
        """Keep one recurring run of the pipeline, as wanted; the one it replaces is deleted after it is made.

        Returns:
            whether anything had to be changed.
        """
        before = [run for run in self._recurring(experiment) if run.display_name == wanted.pipeline]
        # Where no service account is named, the API has filled in the namespace's own.
        kept = [
            run
            for run in before
            if run.status == "ENABLED" and _schedule_of(run) == wanted and service_account in ("", run.service_account)
        ]
        changed = len(before) != 1 or not kept
        if not kept:
            experiment_id = self._experiment_id(experiment)
            self._write(
                lambda: self._client.create_recurring_run(
                    experiment_id,
                    wanted.pipeline,
                    cron_expression=wanted.cron,
                    # Pipelines find the newest versions and move aliases: two runs at a time would interfere. The API
                    # expects a text.
                    max_concurrency="1",
                    no_catchup=not wanted.catch_up,
                    params=wanted.parameters,
                    pipeline_id=version.pipeline_id,
                    version_id=version.version_id,
                    service_account=service_account or None,
                )
            )
        for run in before:
            if run not in kept[:1]:
                self._delete(run.recurring_run_id)
        return changed

    def unschedule(self, pipeline: str, experiment: str) -> int:
        """Delete the recurring runs of a pipeline; returns how many there were."""
        runs = [run for run in self._recurring(experiment) if run.display_name == pipeline]
        for run in runs:
            self._delete(run.recurring_run_id)
        return len(runs)

    def _connect(self) -> Client:
        token = self._settings.kfp_token.get_secret_value()
        path = self._settings.kfp_token_file
        ca = self._settings.kfp_ca
        # Without a namespace the client would look for one by itself, and wait half a minute for an endpoint that is
        # not there.
        with _quiet():
            client = Client(
                host=self._endpoint,
                namespace=self._namespace or "default",
                existing_token=token or None,
                credentials=ServiceAccountTokenVolumeCredentials(str(path)) if path and not token else None,
                ssl_ca_cert=str(ca) if ca else None,
            )
        health = self._read(client.healthzs.healthz_service_get_healthz)
        if health.multi_user and self._namespace is None:
            raise InputError(
                f"setting RELAND_KFP_NAMESPACE: not set, but {self._endpoint} has many users: expected a namespace"
            )
        return client

    def _pipeline_id(self, name: str) -> str | None:
        same = self._read(
            lambda: self._client.list_pipelines(page_size=PAGE, filter=_named(name), namespace=self._namespace)
        )
        return same.pipelines[0].pipeline_id if same.pipelines else None

    def _create_pipeline(self, pipeline: BaseComponent) -> str:
        # Not `Client.upload_pipeline`, whose first version is named as the pipeline is.
        body = kfp_server_api.V2beta1Pipeline(
            display_name=pipeline.name, description=pipeline.description, namespace=self._namespace
        )
        made = self._write(lambda: self._client.pipelines.pipeline_service_create_pipeline(pipeline=body))
        return made.pipeline_id

    def _experiment_id(self, name: str) -> str:
        if (experiment_id := self._find_experiment(name)) is not None:
            return experiment_id
        # Not `Client.create_experiment`, which chooses a namespace where none is given.
        body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=self._namespace)
        made = self._write(lambda: self._client.experiments.experiment_service_create_experiment(experiment=body))
        return made.experiment_id

    def _find_experiment(self, name: str) -> str | None:
        same = self._read(
            lambda: self._client.experiments.experiment_service_list_experiments(
                page_size=PAGE, filter=_named(name), namespace=self._namespace
            )
        )
        return same.experiments[0].experiment_id if same.experiments else None

    def _recurring(self, experiment: str) -> list[Any]:
        experiment_id = self._find_experiment(experiment)
        if experiment_id is None:
            return []
        runs: list[Any] = []
        token = ""
        while True:
            page = self._read(partial(self._client.list_recurring_runs, token, PAGE, experiment_id=experiment_id))
            runs += page.recurring_runs or []
            token = page.next_page_token or ""
            if not token:
                return runs

    def _delete(self, recurring_run_id: str) -> None:
        self._write(lambda: self._client.delete_recurring_run(recurring_run_id))

    def _read(self, call: Callable[[], Answer]) -> Answer:
        return self._call(call, ATTEMPTS)

    def _write(self, call: Callable[[], Answer]) -> Answer:
        return self._call(call, 1)

    def _call(self, call: Callable[[], Answer], attempts: int) -> Answer:
        attempt = 1
        while True:
            try:
                with _quiet():
                    return call()
            except kfp_server_api.ApiException as error:
                if error.status not in TRANSIENT or attempt == attempts:
                    kind = EnvironmentFaultError if error.status in TRANSIENT else InputError
                    raise kind(self._describe(error)) from None
            except urllib3.exceptions.HTTPError as error:  # urllib3 has tried again to connect
                reason = getattr(error, "reason", None) or error
                raise EnvironmentFaultError(
                    f"setting RELAND_KFP_ENDPOINT: {self._endpoint} cannot be reached ({reason})"
                ) from None
            except OSError as error:
                raise InputError(f"setting RELAND_KFP_TOKEN_FILE: {error}") from None
            time.sleep(2 ** (attempt - 1))
            attempt += 1

    def _describe(self, error: kfp_server_api.ApiException) -> str:
        message = _message(error.body)
        if error.status == 401:
            settings = "RELAND_KFP_TOKEN and RELAND_KFP_TOKEN_FILE"
            return f"{self._endpoint} does not know who asks (401 {message}): see {settings}"
        if error.status == 403:
            where = f"in the namespace {self._namespace}" if self._namespace else "without a namespace"
            return f"{self._endpoint} does not allow it {where} (403 {message}): see RELAND_KFP_NAMESPACE and who asks"
        return f"{self._endpoint}: Kubeflow Pipelines answers {error.status} {message or error.reason}"


def parse_parameters(
    pipeline: BaseComponent, given: list[str], sections: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Parse `NAME=VALUE` texts into the types that the pipeline declares, and add those `sections` that it takes.

    Raises:
        InputError: a parameter is not one of the pipeline's, is of another type, or one without a default is not given.
    """
    declared = pipeline.pipeline_spec.root.input_definitions.parameters
    parameters = {name: value for name, value in (sections or {}).items() if name in declared}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"--parameter {text}: expected NAME=VALUE")
        if name not in declared:
            names = ", ".join(sorted(declared))
            raise InputError(f"--parameter {name}: {pipeline.name} has no such parameter, it has {names}")
        parameters[name] = _typed(name, value, ParameterType.ParameterTypeEnum.Name(declared[name].parameter_type))
    for name, declaration in declared.items():
        if name not in parameters and not declaration.is_optional:
            raise InputError(f"--parameter {name}=VALUE: {pipeline.name} needs it")
    return parameters


def _typed(name: str, value: str, kind: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {
        "STRING": str,
        "NUMBER_INTEGER": int,
        "NUMBER_DOUBLE": float,
    }
    try:
        typed = readers.get(kind, json.loads)(value)
    except ValueError:
        raise InputError(f"--parameter {name}={value}: expected {kind.lower().replace('_', ' ')}") from None
    expected = {"BOOLEAN": bool, "LIST": list, "STRUCT": dict}.get(kind)
    if expected is not None and not isinstance(typed, expected):
        raise InputError(f"--parameter {name}={value}: expected {kind.lower()}, as JSON")
    return typed


def _schedule_of(run: Any) -> Schedule:
    """A recurring run from the API's answer."""
    trigger = run.trigger.cron_schedule if run.trigger else None
    version = run.pipeline_version_reference.pipeline_version_id if run.pipeline_version_reference else ""
    parameters = (run.runtime_config.parameters if run.runtime_config else None) or {}
    return Schedule(run.display_name, trigger.cron if trigger else "", not run.no_catchup, version, parameters)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _message(body: Any) -> str:
    """The message in an error's body, in one line; the API answers JSON, a proxy before it HTML."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    with contextlib.suppress(ValueError, AttributeError):
        text = json.loads(text).get("message", "")
    return "" if text.lstrip().startswith("<") else " ".join(text.split())[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the links that the client prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
