"""Checks the fields of an object and their types by the schema of its kind, as a cluster's API server would.

Built-in kinds are held to Kubernetes' own OpenAPI schema (`kubernetes-validate`, strict: an unknown field is a fault),
custom resources to the schemas in `schemas/`. A kind without a schema is a fault too.
"""

import json
import warnings
from functools import cache

import kubernetes_validate
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from infra.validation.make_schemas import schema_file
from infra.validation.manifests import Document, display_name

KUBERNETES = "1.34"  # the newest in which all that is used here is stable; `sleep` before stopping is since then


def schema_faults(document: Document) -> list[str]:
    """A line for each fault of an object."""
    missing = [name for name in ("apiVersion", "kind") if not isinstance(document.get(name), str)]
    if missing:
        return [f"{display_name(document)}: no {missing[0]}"]
    api_version, kind = document["apiVersion"], document["kind"]
    if schema_file(api_version, kind).exists():
        fault = best_match(_custom(api_version, kind).iter_errors(document))
        if fault is None:
            return []
        return [f"{display_name(document)}: {_place(fault.absolute_path)}: {fault.message[:200]}"]
    group = api_version.rpartition("/")[0]
    # kubernetes-validate drops the domain of a group, and would take apps.example.com for apps.
    if "." in group and not group.endswith(".k8s.io"):
        return [f"{display_name(document)}: no schema of {api_version} is known"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{display_name(document)}: Kubernetes {KUBERNETES} has no such kind in {api_version}"]
    except kubernetes_validate.ValidationError as error:
        return [f"{display_name(document)}: {_place(error.path)}: {error.message[:200]}"]
    return []


@cache
def _custom(api_version: str, kind: str) -> Draft7Validator:
    return Draft7Validator(json.loads(schema_file(api_version, kind).read_text()))


def _place(path: object) -> str:
    return ".".join(str(part) for part in path) or "the object"  # type: ignore[attr-defined]
