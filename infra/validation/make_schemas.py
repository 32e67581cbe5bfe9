"""`python -m infra.validation.make_schemas FOLDER`: make the JSON schemas of custom resources from published packages.

`schemas/README.md` says which packages, and the commands that fill FOLDER. A schema here refuses unknown fields, so
that a misspelt one is a fault; descriptions are left out.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent / "schemas"

# Types in TypeScript, of the npm packages `@kubernetes-models/*`: kind to API version.
TYPESCRIPT = {
    "ExternalSecret": "external-secrets.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}
# Kubeflow's own API models in Python: kind to API version, module and class.
PYDANTIC = {
    "TrainJob": ("trainer.kubeflow.org/v1alpha1", "kubeflow_trainer_api.models", "TrainerV1alpha1TrainJob"),
    "SparkApplication": ("sparkoperator.k8s.io/v1beta2", "kubeflow_spark_api.models", "SparkV1beta2SparkApplication"),
}
QUANTITY = {"type": ["string", "number"]}


def schema_file(api_version: str, kind: str) -> Path:
    """Where the schema of a custom resource is."""
    return SCHEMAS / f"{kind.lower()}.{api_version.replace('/', '.')}.json"


def from_typescript(kind: str, folder: Path) -> dict[str, Any]:
    """The schema of a type of `types.ts`; `folder` has the npm packages."""
    (folder / "types.ts").write_bytes((SCHEMAS / "types.ts").read_bytes())
    command = ["npx", "ts-json-schema-generator", "--path", "types.ts", "--type", kind, "--no-type-check"]
    schema: dict[str, Any] = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
    definitions = schema["definitions"]
    return {"definitions": definitions, "$ref": f"#/definitions/I{kind}"}


def from_pydantic(module: str, name: str) -> dict[str, Any]:
    """The schema of a model whose package is on the path. Optional fields may be left out, not null."""
    schema: dict[str, Any] = getattr(importlib.import_module(module), name).model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    # What the generator makes of a quantity is the shape of its own wrapper.
    definitions["IoK8sApimachineryPkgApiResourceQuantity"] = QUANTITY
    return {"definitions": definitions, **schema}


def tidied(schema: Any) -> Any:
    """A schema without descriptions, in which objects of known fields refuse others and nothing may be null."""
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema:
        some = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        if len(some) == 1:
            return tidied(some[0])
    kept = {key: value for key, value in schema.items() if key not in ("description", "title", "default", "$schema")}
    for key in ("properties", "definitions"):
        if key in kept:
            kept[key] = {name: tidied(value) for name, value in kept[key].items()}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = tidied(kept[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in kept:
            kept[key] = [tidied(value) for value in kept[key]]
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace("#/$defs/", "#/definitions/")
    if "properties" in kept:
        # The status is the controller's, and the metadata are checked as those of every object.
        kept["properties"] = {name: value for name, value in kept["properties"].items() if name != "status"}
        if "apiVersion" in kept["properties"] and "metadata" in kept["properties"]:
            kept["properties"]["metadata"] = {"type": "object"}
        kept["additionalProperties"] = False
    return kept


def used(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with only those definitions that it refers to."""
    definitions = schema.pop("definitions")
    to_search, kept = [schema], {}
    while to_search:
        for reference in _references(to_search.pop()):
            name = reference.removeprefix("#/definitions/")
            if name not in kept:
                kept[name] = definitions[name]
                to_search.append(definitions[name])
    return {"definitions": dict(sorted(kept.items())), **schema}


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [reference for value in schema for reference in _references(value)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [reference for value in schema.values() for reference in _references(value)]


def main(folder: Path) -> None:
    """Write every schema into `schemas/`."""
    sys.path.insert(0, str(folder / "python"))
    made = {(api, kind): from_typescript(kind, folder) for kind, api in TYPESCRIPT.items()}
    made |= {(api, kind): from_pydantic(module, name) for kind, (api, module, name) in PYDANTIC.items()}
    for (api_version, kind), schema in made.items():
        path = schema_file(api_version, kind)
        path.write_text(json.dumps(used(tidied(schema)), separators=(",", ":"), sort_keys=True) + "\n")
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
