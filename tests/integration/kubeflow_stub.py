"""A stand-in for the API of Kubeflow Pipelines, which cannot be had without a cluster.

It keeps what it is given and checks every body against the published schema, as the package `kfp-server-api`, which is
generated from it, states it: an unknown field, a wrong type or a value that no enumeration has is answered by 400. Runs
do not run: a test says which states they are told to be in.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import kfp_server_api.models
import yaml

PATH = "/apis/v2beta1"
PRIMITIVES = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "object": {},
    "datetime": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$"},
}


def schema_of(kind: str) -> dict[str, Any]:
    """JSON schema of a message of the API, without fields that it does not name."""
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        return {"type": "array", "items": schema_of(match[1])}
    if match := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return {"type": "object", "additionalProperties": schema_of(match[1])}
    model = getattr(kfp_server_api.models, kind)
    if hasattr(model, "allowable_values"):
        return {"enum": model.allowable_values}
    # Messages that hold themselves are not written by a client.
    fields = {
        model.attribute_map[name]: ({} if of in (kind, f"list[{kind}]") else schema_of(of))
        for name, of in model.openapi_types.items()
    }
    return {"type": "object", "properties": fields, "additionalProperties": False}


class KubeflowStub:
    """What the API was given, and how it is to answer.

    Attributes:
        token: that requests must carry; empty: none is asked for.
        namespaces: that its holder may use; empty: there is one user, and naming any is an error, as it is there.
        busy: how many of the next requests are answered by 503.
        states: of a run, as it is asked for: each is told once, the last from then on.
        requests: (method, path) of each request, with how often it was made.
    """

    def __init__(self) -> None:
        self.token = ""
        self.namespaces: set[str] = set()
        self.busy = 0
        self.states = ["SUCCEEDED"]
        self.requests: Counter[tuple[str, str]] = Counter()
        self.kept: dict[str, list[dict[str, Any]]] = {
            "pipelines": [],
            "versions": [],
            "experiments": [],
            "runs": [],
            "recurringruns": [],
        }
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, str], headers: Message, body: bytes) -> Any:
        if self.busy:
            self.busy -= 1
            raise StubError(503, "upstream connect error")
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            raise StubError(401, "Request header error: there is no user identity header.")
        route = f"{method} {path}"
        if route == "GET /healthz":
            return {"multi_user": bool(self.namespaces)}
        if route == "POST /pipelines":
            return self._create("pipelines", "pipeline_id", "V2beta1Pipeline", body)
        if route == "POST /experiments":
            return self._create("experiments", "experiment_id", "V2beta1Experiment", body)
        if route == "POST /pipelines/upload_version":
            return self._upload(query, headers, body)
        if route == "POST /runs":
            return self._start("runs", "run_id", "V2beta1Run", body)
        if route == "POST /recurringruns":
            made = self._start("recurringruns", "recurring_run_id", "V2beta1RecurringRun", body)
            made["status"] = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[made.pop("mode")]
            return made
        if route in ("GET /pipelines", "GET /experiments"):
            kind = path[1:]
            self._check_namespace(query.get("namespace", ""))
            return {kind: [one for one in self._named(kind, query) if one.get("namespace") == query.get("namespace")]}
        if match := re.fullmatch(r"GET /pipelines/([\w-]+)/versions", route):
            found = self._named("versions", query)
            found = [one for one in found if one["pipeline_id"] == match[1]]
            return {"pipeline_versions": [{**one, "pipeline_spec": {}} for one in found]}
        if route == "GET /recurringruns":
            return self._page(query)
        if match := re.fullmatch(r"DELETE /recurringruns/([\w-]+)", route):
            self.kept["recurringruns"] = [
                run for run in self.kept["recurringruns"] if run["recurring_run_id"] != match[1]
            ]
            return {}
        if match := re.fullmatch(r"GET /runs/([\w-]+)", route):
            (run,) = [run for run in self.kept["runs"] if run["run_id"] == match[1]]
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            tasks = [{"display_name": "train-encoder", "state": state}, {"display_name": "begin", "state": "SUCCEEDED"}]
            return {**run, "state": state, "run_details": {"task_details": tasks}}
        raise StubError(404, f"no such route: {route}")

    def checked_answer(self, method: str, path: str, content: Any) -> Any:
        """What is answered is held against the schema, too: a field that the API does not have would mislead tests."""
        kinds = {
            r"GET /healthz": "V2beta1GetHealthzResponse",
            r"POST /pipelines": "V2beta1Pipeline",
            r"GET /pipelines": "V2beta1ListPipelinesResponse",
            r"GET /pipelines/[^/]+/versions": "V2beta1ListPipelineVersionsResponse",
            r"POST /pipelines/upload_version": "V2beta1PipelineVersion",
            r"POST /experiments": "V2beta1Experiment",
            r"GET /experiments": "V2beta1ListExperimentsResponse",
            r"POST /runs": "V2beta1Run",
            r"GET /runs/[^/]+": "V2beta1Run",
            r"POST /recurringruns": "V2beta1RecurringRun",
            r"GET /recurringruns": "V2beta1ListRecurringRunsResponse",
            r"DELETE /recurringruns/[^/]+": "object",
        }
        (kind,) = [kind for route, kind in kinds.items() if re.fullmatch(route, f"{method} {path}")]
        jsonschema.validate(content, schema_of(kind))
        return content

    def _checked(self, kind: str, body: bytes) -> dict[str, Any]:
        content = json.loads(body)
        try:
            jsonschema.validate(content, schema_of(kind))
        except jsonschema.ValidationError as error:
            raise StubError(400, f"{kind}.{error.json_path}: {error.message}") from None
        return content

    def _create(self, folder: str, identity: str, kind: str, body: bytes) -> dict[str, Any]:
        content = self._checked(kind, body)
        self._check_namespace(content.get("namespace", ""))
        if not content.get("display_name"):
            raise StubError(400, f"{kind}: a display name is needed")
        return self._keep(folder, identity, content)

    def _start(self, folder: str, identity: str, kind: str, body: bytes) -> dict[str, Any]:
        content = self._checked(kind, body)
        reference = content["pipeline_version_reference"]
        versions = [
            version
            for version in self.kept["versions"]
            if version["pipeline_version_id"] == reference["pipeline_version_id"]
            and version["pipeline_id"] == reference["pipeline_id"]
        ]
        if not versions:
            raise StubError(404, "pipeline version not found")
        if content["experiment_id"] not in {one["experiment_id"] for one in self.kept["experiments"]}:
            raise StubError(404, "experiment not found")
        # As the API: parameters that the pipeline does not have are refused, as is one without a value.
        declared = versions[0]["pipeline_spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
        given = content["runtime_config"].get("parameters", {})
        if unknown := set(given) - set(declared):
            raise StubError(400, f"parameters not in the pipeline: {sorted(unknown)}")
        if missing := [name for name, what in declared.items() if not what.get("isOptional") and name not in given]:
            raise StubError(400, f"parameters without a value: {missing}")
        return self._keep(folder, identity, content)

    def _upload(self, query: dict[str, str], headers: Message, body: bytes) -> dict[str, Any]:
        if query["pipelineid"] not in {one["pipeline_id"] for one in self.kept["pipelines"]}:
            raise StubError(404, "pipeline not found")
        names = {one["display_name"] for one in self.kept["versions"] if one["pipeline_id"] == query["pipelineid"]}
        if query["name"] in names:
            raise StubError(409, "already exists")
        form = BytesParser().parsebytes(b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + body)
        (part,) = [
            part for part in form.get_payload() if part.get_param("name", header="content-disposition") == "uploadfile"
        ]
        specification, platform = yaml.load_all(part.get_payload(decode=True), Loader=yaml.CSafeLoader)
        if "platforms" not in platform:
            raise StubError(400, "no platform specification")
        content = {
            "display_name": query["name"],
            "pipeline_id": query["pipelineid"],
            "pipeline_spec": specification,
            **({"description": query["description"]} if "description" in query else {}),
        }
        # The client has no use for the whole specification, which takes it a second to read.
        kept = self._keep("versions", "pipeline_version_id", content)
        return {name: value for name, value in kept.items() if name != "pipeline_spec"}

    def _keep(self, folder: str, identity: str, content: dict[str, Any]) -> dict[str, Any]:
        kept = {**content, identity: f"{folder[:-1]}-{len(self.kept[folder]) + 1}-{threading.get_ident()}"}
        self.kept[folder].append(kept)
        return kept

    def _named(self, folder: str, query: dict[str, str]) -> list[dict[str, Any]]:
        (predicate,) = json.loads(query["filter"])["predicates"]
        assert predicate["operation"] in ("EQUALS", 1) and predicate["key"] == "display_name"
        return [one for one in self.kept[folder] if one["display_name"] == predicate["stringValue"]]

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        """Pages of two, so that a client that reads the first alone is found out."""
        runs = [run for run in self.kept["recurringruns"] if run["experiment_id"] == query["experiment_id"]]
        start = int(query.get("page_token") or 0)
        more = {"next_page_token": str(start + 2)} if len(runs) > start + 2 else {}
        return {"recurringRuns": runs[start : start + 2], **more}  # so spelt, there alone

    def _check_namespace(self, namespace: str) -> None:
        if not self.namespaces and namespace:
            raise StubError(400, "In single-user mode, the namespace has to be empty")
        if self.namespaces and namespace not in self.namespaces:
            raise StubError(403, f"User is not authorized in the namespace {namespace}")


class StubError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@contextmanager
def kubeflow_stub() -> Iterator[KubeflowStub]:
    """The stub behind HTTP, on a free port of loopback."""
    stub = KubeflowStub()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = parts.path.removeprefix(PATH)
            stub.requests[self.command, path] += 1
            try:
                answered = stub.answer(self.command, path, query, self.headers, body)
                status, content = 200, stub.checked_answer(self.command, path, answered)
            except StubError as error:
                status, content = error.status, {"code": error.status, "message": str(error)}
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
