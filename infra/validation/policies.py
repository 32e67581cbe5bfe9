"""Checks objects by the policies in the installed release of checkov, without network access.

Checkov is in an environment of its own (`make checkov`), because it pins its dependencies.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import yaml

from components.foundation.errors import EnvironmentFaultError
from infra.validation.manifests import Document

CHECKOV = Path(__file__).parents[2] / ".venv-checkov" / "bin" / "checkov"

# Policies that are not followed, and why.
EXCEPTIONS = {
    "CKV_K8S_15": "a tag always names the same image, so a node need not pull an image that it has",
    "CKV_K8S_35": "settings of the platform are environment variables, the secret ones included",
    "CKV_K8S_43": "a digest is only known after an image is pushed; the overlay of a cluster may add it (`images:`)",
}


def policy_faults(documents: list[Document], checkov: Path = CHECKOV) -> list[str]:
    """A line for each policy that an object breaks.

    Raises:
        EnvironmentFaultError: checkov is not installed, or ends without a report.
    """
    if not checkov.exists():
        raise EnvironmentFaultError(f"no checkov at {checkov}: `make checkov` installs it")
    with tempfile.TemporaryDirectory() as folder:
        manifests = Path(folder) / "manifests.yaml"
        manifests.write_text(yaml.safe_dump_all(documents))
        command = [str(checkov), "--file", str(manifests), "--framework", "kubernetes", "--skip-download"]
        command += ["--skip-check", ",".join(EXCEPTIONS), "--output", "json", "--compact", "--quiet"]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "LOG_LEVEL": "ERROR"}
        )
    try:
        report = json.loads(ended.stdout)
        if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
            raise ValueError("nothing was checked")
        failed = report["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentFaultError(f"checkov gave no report ({error}): {ended.stderr[-300:]}") from error
    return [f"{fault['resource']}: {fault['check_name']} ({fault['check_id']})" for fault in failed]
