"""The bill of materials of a built image, as CycloneDX JSON: what Python and Debian say is installed in it.

    python -m infra.images.sbom IMAGE... --output FOLDER

It queries the image itself, in a container without network, and fails where either list is empty.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# The Python of each environment of the image prints one line of JSON.
ENVIRONMENTS = ("/opt/reland/bin/python", "/opt/triton/bin/python", "/usr/bin/python3")
DISTRIBUTIONS = (
    "import importlib.metadata as m, json; "
    "print(json.dumps(sorted({(d.metadata['Name'], d.version) for d in m.distributions()})))"
)
QUESTION = (
    f'for python in {" ".join(ENVIRONMENTS)}; do test ! -x $python || $python -c "{DISTRIBUTIONS}"; done; '
    "dpkg-query --show --showformat='${Package} ${Version}\\n'"
)


def installed(engine: str, image: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Name and version of the Python distributions and of the Debian packages in an image."""
    command = [engine, "run", "--rm", "--network=none", "--entrypoint=/bin/sh", image, "-c", QUESTION]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    answers = [line for line in lines if line.startswith("[")]
    distributions = {(name, version) for answer in answers for name, version in json.loads(answer)}
    packages = {(name, version) for name, version in (line.split() for line in lines if not line.startswith("["))}
    if not distributions or not packages:
        sys.exit(f"{image}: {len(distributions)} Python distributions, {len(packages)} Debian packages, expected both")
    return distributions, packages


def bill_of_materials(image: str, distributions: set[tuple[str, str]], packages: set[tuple[str, str]]) -> str:
    """The bill of materials in CycloneDX 1.6, as JSON."""
    name, _, version = image.rpartition(":")
    bom = Bom()
    container = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref=image)
    bom.metadata.component = container
    for kind, namespace, releases in (("pypi", None, distributions), ("deb", "debian", packages)):
        for package, release in sorted(releases):
            url = PackageURL(type=kind, namespace=namespace, name=package, version=release)
            bom.components.add(
                Component(name=package, version=release, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url))
            )
    bom.register_dependency(container, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def main() -> None:
    """Write one file for each image that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for image in arguments.images:
        content = bill_of_materials(image, *installed(os.environ.get("CONTAINER_ENGINE", "podman"), image))
        path = arguments.output / f"{image.rpartition('/')[2].replace(':', '-')}.cdx.json"
        path.write_text(content + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
