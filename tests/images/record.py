"""Writes down what the built images are, and the run of the whole chain in them, for the results that are committed.

python -m tests.images.record --json tests/end_to_end/results/images.json
"""

import argparse
import json
import platform
import subprocess
from pathlib import Path

from components.contracts import images
from infra.images.sbom import installed
from tests.images.inspection import inspect

SUMMARY = Path(__file__).parents[2] / "build" / "images" / "summary.json"  # of the chain's run, left by its test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    built = subprocess.run(
        ["podman", "images", "--format={{.Repository}}:{{.Tag}}"], capture_output=True, text=True, check=True
    ).stdout
    content = {"command": "make test-all-images", "machine": platform.platform(), "images": {}}
    for name in sorted(value for value in vars(images).values() if str(value).startswith("reland/")):
        if f"/{name}\n" not in built:
            content["images"][name] = "not built here"
            continue
        found = inspect(name)
        distributions, packages = installed("podman", name)
        content["images"][name] = {
            "mebibytes": found.mebibytes,
            "user": found.user,
            "findings": {topic: lines for topic, lines in found.findings.items() if topic != "user"},
            "python_distributions": len(distributions),
            "debian_packages": len(packages),
        }
    content["run"] = json.loads(SUMMARY.read_text(encoding="utf-8"))
    arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
