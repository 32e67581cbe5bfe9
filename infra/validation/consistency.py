"""Checks that the objects of an overlay fit each other, which no schema can check.

Pods that an operator or Kubeflow makes are not in the overlay; `EXTERNAL_PODS` names them with their ports, because
policies and services may select them.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from components.foundation.settings import ENVIRONMENT_PREFIX, Settings
from infra.validation.manifests import Document, containers, display_name, pod_template

Labels = dict[str, str]

# Labels of pods that are not in an overlay, with the numbers of their ports.
MILVUS = ({"app.kubernetes.io/name": "milvus", "app.kubernetes.io/instance": "reland"}, {19530, 9091})
MILVUS_ETCD = ({"app.kubernetes.io/name": "etcd", "app.kubernetes.io/instance": "reland-etcd"}, {2379, 2380})
PIPELINE_STEP = ({"pipeline/runid": "any"}, set[int]())
SPARK = ({"spark-role": "driver"}, set[int]())
EXTERNAL_PODS = {"Milvus": (MILVUS, MILVUS_ETCD), "SparkApplication": (SPARK,)}
EXTERNAL_SERVICES = {"Milvus": {"reland-milvus": {19530}}}  # what the operator makes, with its ports


def consistency_faults(documents: list[Document]) -> list[str]:
    """A line for each fault."""
    checks = (_duplicates, _selectors, _ports, _policies, _references, _volumes, _settings, _scaling, _monitors)
    return [fault for check in checks for fault in check(documents)]


def _of(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def _names(documents: list[Document], kind: str) -> set[str]:
    return {document["metadata"]["name"] for document in _of(documents, kind)}


def _workloads(documents: list[Document]) -> list[tuple[Document, Document]]:
    """Each object that makes pods, with its template."""
    templates = ((document, pod_template(document)) for document in documents)
    return [(document, template) for document, template in templates if template is not None]


def _labels(template: Document) -> Labels:
    return template.get("metadata", {}).get("labels", {})


def matches(selector: Document, labels: Labels) -> bool:
    """Whether a Kubernetes label selector selects an object with these labels; an empty one selects all."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        has, values = labels.get(expression["key"]), expression.get("values", [])
        fits = {"In": has in values, "NotIn": has not in values, "Exists": has is not None, "DoesNotExist": has is None}
        if not fits[expression["operator"]]:
            return False
    return True


def _pods(documents: list[Document]) -> list[tuple[Labels, dict[str, int], set[int]]]:
    """Labels, ports by name, and numbers of ports of all pods, those of `EXTERNAL_PODS` included."""
    pods = []
    for _, template in _workloads(documents):
        ports = [port for container in containers(template) for port in container.get("ports", [])]
        named = {port["name"]: port["containerPort"] for port in ports}
        pods.append((_labels(template), named, set(named.values())))
    for kind, others in EXTERNAL_PODS.items():
        if _of(documents, kind):
            pods += [(labels, {}, ports) for labels, ports in others]
    return [*pods, (PIPELINE_STEP[0], {}, PIPELINE_STEP[1])]


def _duplicates(documents: list[Document]) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for document in documents:
        key = document["kind"], document["metadata"]["name"]
        if key in seen:
            yield f"{display_name(document)}: is there twice"
        seen.add(key)


def _selectors(documents: list[Document]) -> Iterator[str]:
    """A workload selects its own pods and no others; a disruption budget selects some pod."""
    workloads = _workloads(documents)
    for document, template in workloads:
        selector = document["spec"].get("selector")
        if selector is None:
            continue
        if not matches(selector, _labels(template)):
            yield f"{display_name(document)}: its selector does not match its own pods"
        for other, other_template in workloads:
            if other is not document and matches(selector, _labels(other_template)):
                yield f"{display_name(document)}: its selector matches the pods of {display_name(other)} too"
        for spread in template["spec"].get("topologySpreadConstraints", []):
            if not matches(spread["labelSelector"], _labels(template)):
                yield f"{display_name(document)}: a spread constraint does not match its own pods"
        if document["kind"] == "StatefulSet" and document["spec"]["serviceName"] not in _names(documents, "Service"):
            yield f"{display_name(document)}: there is no service {document['spec']['serviceName']}"
    for budget in _of(documents, "PodDisruptionBudget"):
        if not any(matches(budget["spec"]["selector"], _labels(template)) for _, template in workloads):
            yield f"{display_name(budget)}: selects no pod"


def _ports(documents: list[Document]) -> Iterator[str]:
    """Services and probes name ports that containers have."""
    for service in _of(documents, "Service"):
        selected = [pod for pod in _pods(documents) if matches({"matchLabels": service["spec"]["selector"]}, pod[0])]
        if not selected:
            yield f"{display_name(service)}: selects no pod"
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if selected and not any(target in named or target in numbers for _, named, numbers in selected):
                yield f"{display_name(service)}: port {target} is of no container"
    for document, template in _workloads(documents):
        for container in containers(template):
            named = {port["name"] for port in container.get("ports", [])}
            numbers = {port["containerPort"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                action = container.get(probe, {})
                port = next((action[way]["port"] for way in ("httpGet", "tcpSocket", "grpc") if way in action), None)
                if port is not None and port not in named | numbers:
                    place = f"{display_name(document)}: the {probe} of {container['name']}"
                    yield f"{place} asks port {port}, which it has not"


def _policies(documents: list[Document]) -> Iterator[str]:
    """A network policy selects existing pods, and ports that they have."""
    pods = _pods(documents)
    for policy in _of(documents, "NetworkPolicy"):
        spec = policy["spec"]
        about = [pod for pod in pods if matches(spec["podSelector"], pod[0])]
        if not about:
            yield f"{display_name(policy)}: its podSelector matches no pod"
        for rule in spec.get("ingress", []):
            yield from _peers(policy, rule.get("from", []), pods)
            for port in rule.get("ports", []):
                if about and not any(port["port"] in named or port["port"] in numbers for _, named, numbers in about):
                    yield f"{display_name(policy)}: lets in to port {port['port']}, which no such pod has"
        for rule in spec.get("egress", []):
            yield from _peers(policy, rule.get("to", []), pods)
            to = [peer["podSelector"] for peer in rule.get("to", []) if set(peer) == {"podSelector"}]
            reached = [pod for pod in pods if any(matches(selector, pod[0]) for selector in to)]
            for port in rule.get("ports", []):
                if reached and not any(port["port"] in numbers for _, _, numbers in reached):
                    yield f"{display_name(policy)}: lets out to port {port['port']}, which no such pod has"
    if _of(documents, "Deployment") and not any(
        not policy["spec"]["podSelector"] and not policy["spec"].get("ingress") and not policy["spec"].get("egress")
        for policy in _of(documents, "NetworkPolicy")
    ):
        yield "the overlay: no network policy that denies what no other allows"


def _peers(policy: Document, peers: Iterable[Document], pods: list[tuple[Labels, dict[str, int], set[int]]]) -> Any:
    for peer in peers:
        # In an overlay without a component, as the object store, other policies may still name its pods.
        if set(peer) == {"podSelector"} and not any(matches(peer["podSelector"], pod[0]) for pod in pods):
            yield f"{display_name(policy)}: the peer {peer['podSelector']} is no pod"


def _references(documents: list[Document]) -> Iterator[str]:
    """Service accounts, priorities, config maps and secrets that pods name exist, with their keys."""
    maps = {document["metadata"]["name"]: set(document.get("data", {})) for document in _of(documents, "ConfigMap")}
    secrets = secret_keys(documents)
    for document, template in _workloads(documents):
        spec = template["spec"]
        if spec.get("serviceAccountName") not in _names(documents, "ServiceAccount"):
            yield f"{display_name(document)}: there is no service account {spec.get('serviceAccountName')}"
        if spec.get("priorityClassName") not in _names(documents, "PriorityClass"):
            yield f"{display_name(document)}: there is no priority class {spec.get('priorityClassName')}"
        for kind, name, key in _named_by(template):
            there = maps if kind == "config map" else secrets
            if kind == "secret" and not secrets:
                continue  # an overlay whose secrets are made by hand; `needed_secrets` says which
            if name not in there:
                yield f"{display_name(document)}: there is no {kind} {name}"
            elif key is not None and key not in there[name]:
                yield f"{display_name(document)}: the {kind} {name} has no key {key}"


def _named_by(template: Document) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key of every config map and secret that a pod reads."""
    for container in containers(template):
        for source in container.get("envFrom", []):
            for kind, field in (("config map", "configMapRef"), ("secret", "secretRef")):
                if field in source:
                    yield kind, source[field]["name"], None
        for variable in container.get("env", []):
            for kind, field in (("config map", "configMapKeyRef"), ("secret", "secretKeyRef")):
                if field in variable.get("valueFrom", {}):
                    reference = variable["valueFrom"][field]
                    yield kind, reference["name"], reference["key"]
    for volume in template["spec"].get("volumes", []):
        for kind, field, name in (("config map", "configMap", "name"), ("secret", "secret", "secretName")):
            if field in volume:
                for item in volume[field].get("items", [{"key": None}]):
                    yield kind, volume[field][name], item["key"]


def secret_keys(documents: list[Document]) -> dict[str, set[str]]:
    """The keys of each secret that the overlay's External Secrets make."""
    keys_of = {}
    for external in _of(documents, "ExternalSecret"):
        templated = external["spec"].get("target", {}).get("template", {}).get("data")
        keys = set(templated) if templated else {entry["secretKey"] for entry in external["spec"]["data"]}
        keys_of[external["metadata"]["name"]] = keys
    return keys_of


def needed_secrets(documents: list[Document]) -> dict[str, set[str]]:
    """The keys of each secret that the pods of an overlay read."""
    needed: dict[str, set[str]] = {}
    for _, template in _workloads(documents):
        for kind, name, key in _named_by(template):
            if kind == "secret" and key is not None:
                needed.setdefault(name, set()).add(key)
    for milvus in _of(documents, "Milvus"):
        needed.setdefault(milvus["spec"]["dependencies"]["storage"]["secretRef"], set()).update(
            {"accesskey", "secretkey"}
        )
    return needed


def _volumes(documents: list[Document]) -> Iterator[str]:
    """Mounts name volumes, and volumes name claims, that exist."""
    claims = _names(documents, "PersistentVolumeClaim")
    for document, template in _workloads(documents):
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        volumes |= {claim["metadata"]["name"]: {} for claim in document["spec"].get("volumeClaimTemplates", [])}
        for container in containers(template):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{display_name(document)}: {container['name']} mounts {mount['name']}, which is no volume"
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in claims:
                yield f"{display_name(document)}: there is no volume claim {claim}"


def _settings(documents: list[Document]) -> Iterator[str]:
    """Variables of the platform are settings, and addresses are those of existing services."""
    setting_names = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}
    setting_names |= {"RELAND_REDIS", "RELAND_FEAST_REGISTRY"}  # read by feature_store.redis.yaml
    services = {
        service["metadata"]["name"]: {port["port"] for port in service["spec"]["ports"]}
        for service in _of(documents, "Service")
    }
    for kind, others in EXTERNAL_SERVICES.items():
        if _of(documents, kind):
            services |= others
    given = [(display_name(document), document.get("data", {})) for document in _of(documents, "ConfigMap")]
    for document, template in _workloads(documents):
        for container in containers(template):
            given.append(
                (display_name(document), {entry["name"]: entry.get("value", "") for entry in container.get("env", [])})
            )
    for where, variables in given:
        for name, value in variables.items():
            if name.startswith(ENVIRONMENT_PREFIX) and name not in setting_names:
                yield f"{where}: {name} is no setting"
            address = _address(value) if name.startswith(ENVIRONMENT_PREFIX) or name.endswith("_URL") else None
            if address is not None and address[1] not in services.get(address[0], set()):
                yield f"{where}: {name} names {address[0]}:{address[1]}, which is no service here"


def _address(value: str) -> tuple[str, int] | None:
    """Host and port of a URL or of host:port, None where a value is neither."""
    parts = urlsplit(value if "://" in value else f"//{value}")
    try:
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None
    except ValueError:
        return None


def _scaling(documents: list[Document]) -> Iterator[str]:
    targets = _names(documents, "Deployment")
    for scaled in _of(documents, "ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] not in targets:
            yield f"{display_name(scaled)}: there is no deployment {scaled['spec']['scaleTargetRef']['name']}"


def _monitors(documents: list[Document]) -> Iterator[str]:
    for monitor in _of(documents, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]
        selected = [
            service for service in _of(documents, "Service") if matches(selector, service["metadata"].get("labels", {}))
        ]
        if not selected:
            yield f"{display_name(monitor)}: selects no service"
        for endpoint in monitor["spec"]["endpoints"]:
            for service in selected:
                if endpoint["port"] not in {port.get("name") for port in service["spec"]["ports"]}:
                    yield f"{display_name(monitor)}: {display_name(service)} has no port {endpoint['port']}"
