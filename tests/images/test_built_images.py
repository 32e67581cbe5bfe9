"""The images as `make images` has built them: what is in them, and that they run as a cluster runs them."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from components.contracts import images
from tests.images.inspection import LOCKED, TESTED, inspect

ROOT = Path(__file__).parents[2]
# a variable with a value, or an address with a password
SECRET = re.compile(r"(password|secret|token|credential|key)\w*=\S|//[^/\s]+:[^/\s]+@", re.IGNORECASE)

pytestmark = pytest.mark.images
of_the_gateway = pytest.mark.skipif("gateway" not in TESTED, reason="the gateway's image was not built")


@pytest.fixture(params=TESTED)
def image(request):
    return f"reland/{request.param}:{images.VERSION}"


def test_an_image_has_no_rights_no_tools_no_secrets_and_says_what_it_was_built_from(image):
    found = inspect(image)
    assert found.user == "10001" and found.findings.pop("user") == ["10001"]
    assert not found.findings  # tools, paths that anyone may write to, setuid programs, what the build left
    told = [line.replace("type=secret", "") for line in found.history]
    assert not [line for line in (*told, *map("=".join, found.environment.items())) if SECRET.search(line)]
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?", found.labels["org.opencontainers.image.revision"])
    assert found.labels["org.opencontainers.image.version"] == images.VERSION
    assert found.labels["org.opencontainers.image.title"] == image.partition(":")[0]


def test_a_bill_of_materials_names_what_is_installed_at_the_versions_that_were_tested(image, tmp_path):
    command = [sys.executable, "-m", "infra.images.sbom", image, "--output", tmp_path]
    path = Path(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip())
    text = path.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    urls = {component["purl"] for component in json.loads(text)["components"]}
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert f"pkg:pypi/kfp@{tested['kfp']}" in urls and f"pkg:pypi/reland@{images.VERSION}" in urls
    assert any(url.startswith("pkg:deb/debian/libc6@") for url in urls)


@of_the_gateway
def test_the_gateway_is_healthy_as_its_own_check_says():
    """Without a release a gateway ends, so a stand-in answers: what is tested is the image's check, not the gateway."""
    image = f"reland/gateway:{images.VERSION}"
    test = inspect(image).health_check
    assert test is not None and test[:2] == ["CMD", "python"]
    server = (
        "from http.server import *; h = type('H', (BaseHTTPRequestHandler,), "
        "{'do_GET': lambda s: (s.send_response(200 if s.path == '/healthz' else 404), s.end_headers())}); "
        "HTTPServer(('127.0.0.1', 8080), h).serve_forever()"
    )
    for program, healthy in ((server, True), ("import time; time.sleep(60)", False)):
        name = subprocess.run(
            ["podman", "run", "--detach", *LOCKED, image, "python", "-c", program],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        try:
            check = ["podman", "healthcheck", "run", name]
            deadline = time.monotonic() + (120 if healthy else 2)  # a server may take its time to start
            while subprocess.run(check, capture_output=True).returncode != 0 and time.monotonic() < deadline:
                time.sleep(0.5)
            assert (subprocess.run(check, capture_output=True).returncode == 0) == healthy
        finally:
            subprocess.run(["podman", "rm", "--force", "--time=0", name], capture_output=True)


@of_the_gateway
def test_a_gateway_without_a_release_says_so_in_one_line():
    image = f"reland/gateway:{images.VERSION}"
    # Podman has systemd call health checks, and complains where there is none.
    result = subprocess.run(["podman", "run", *LOCKED, "--no-healthcheck", image], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "reland: setting RELAND_" in result.stderr
