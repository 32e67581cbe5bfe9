"""compose.yaml against the schema of the Compose specification (vendored, with its licence) and what it names."""

import copy
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from components.contracts import images
from components.foundation.settings import ENVIRONMENT_PREFIX, Settings

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "infra" / "compose" / "schema" / "compose-spec.json").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
ROLES = {"redis", "milvus", "mlflow", "postgresql", "object-store", "triton", "gateway", "prometheus", "alertmanager"}


def validate(content: dict) -> None:
    jsonschema.Draft201909Validator(SCHEMA).validate(content)


def test_it_is_valid_and_has_every_service():
    validate(COMPOSE)
    assert set(SERVICES) >= ROLES


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("services", "redis", "helthcheck"), {}),
        (("services", "redis", "ports"), "6379:6379"),
        (("services", "mlflow", "depends_on", "postgresql", "condition"), 1),
        (("servces",), {}),
    ],
)
def test_the_schema_finds_what_is_wrong(keys, value):
    content = copy.deepcopy(COMPOSE)
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(content)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_hardened_and_listens_on_this_machine_alone(name):
    service = SERVICES[name]
    repository, _, tag = service["image"].partition(":")
    assert tag and tag != "latest"
    if repository.startswith("reland/"):
        assert service["image"] in vars(images).values()
    assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] or name == "milvus"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for other in service.get("depends_on", {}):
        assert other in SERVICES
    for volume in service.get("volumes", []):
        source = re.sub(r"\$\{.*?\}", "", volume).split(":")[0]
        assert source.startswith("/") or source in COMPOSE["volumes"] or source.startswith("./") or not source


def test_what_it_mounts_of_the_repository_is_there():
    volumes = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert not [path for path in volumes if path.startswith("./") and not (ROOT / path).is_file()]


def test_settings_are_the_platforms_and_reach_services_by_name():
    environment = SERVICES["gateway"]["environment"]
    known = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}
    stores = set(re.findall(r"\$\{(RELAND_\w+)\}", (ROOT / "feature_repo" / "feature_store.redis.yaml").read_text()))
    assert stores <= set(environment) <= known | stores
    reached = {match for value in environment.values() for match in re.findall(r"(?:^|//|@)([a-z]+):\d+", value)}
    assert reached == {"redis", "postgresql", "milvus", "mlflow", "triton"}


def test_secrets_are_made_once_and_name_every_variable(tmp_path):
    script = tmp_path / "infra" / "compose" / "make-secrets"
    script.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "infra" / "compose" / "make-secrets").read_bytes())
    home = {"RELAND_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    first = subprocess.run(["bash", script], env=home, capture_output=True, text=True, check=True)
    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert set(made) == set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    key = first.stdout.split()[-1]
    keys = json.loads(Path(made["RELAND_COMPOSE_GATEWAY_KEYS"]).read_text())
    assert key not in (tmp_path / ".env").read_text() and len(keys["compose"]) == 64
    second = subprocess.run(["bash", script], env=home, capture_output=True, text=True)
    assert (
        second.returncode == 1
        and dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines()) == made
    )
