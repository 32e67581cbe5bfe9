"""What a built image is, asked of the engine and, in a container as a cluster would run it, of the image itself."""

import json
import os
import subprocess
from dataclasses import dataclass

TESTED = os.environ.get("RELAND_TEST_IMAGES", "data encoder ranker").split()  # `make test-images` says which it built

# Without network, with a root file system that cannot be written to, as the image's own user.
LOCKED = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
# Lines `topic: finding`. /tmp is a file system of its own, and anyone's to write to by its nature.
QUESTION = r"""
echo "user: $(id -u)"
for tool in gcc cc c++ g++ make cmake ld pip pip3 uv git; do
  command -v $tool >/dev/null && echo "tool: $tool"
done
python -c 'import pip' 2>/dev/null && echo 'tool: python -m pip'
find / -xdev -perm -0002 ! -type l ! -path /tmp 2>/dev/null | sed 's/^/world-writable: /'
find / -xdev -perm /6000 -type f 2>/dev/null | sed 's/^/setuid: /'
for path in /etc/pip.conf /root/.cache/pip /tools /run/secrets/pip; do test -s $path && echo "build: $path"; done
touch /opt/reland/written 2>/dev/null && echo 'written: /opt/reland'
touch /tmp/written || echo 'unwritable: /tmp'
true
"""


@dataclass(frozen=True)
class Inspection:
    """Of one image; `findings` are by topic (`QUESTION`)."""

    findings: dict[str, list[str]]
    environment: dict[str, str]
    labels: dict[str, str]
    history: list[str]
    health_check: list[str] | None
    user: str
    mebibytes: int


def inspect(image: str) -> Inspection:
    content = json.loads(_podman("image", "inspect", image))[0]
    findings: dict[str, list[str]] = {}
    for line in _podman("run", *LOCKED, "--entrypoint=/bin/sh", image, "-c", QUESTION).splitlines():
        topic, _, finding = line.partition(": ")
        findings.setdefault(topic, []).append(finding)
    return Inspection(
        findings=findings,
        environment=dict(entry.split("=", 1) for entry in content["Config"]["Env"]),
        labels=content["Config"]["Labels"],
        history=[entry.get("created_by", "") for entry in content["History"]],
        health_check=(content.get("Healthcheck") or {}).get("Test"),
        user=content["Config"]["User"],
        mebibytes=round(content["Size"] / 2**20),
    )


def _podman(*arguments: str) -> str:
    result = subprocess.run(["podman", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, f"podman {' '.join(arguments[:3])}: {result.stderr}"
    return result.stdout
