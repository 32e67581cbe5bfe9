"""The audit of dependencies: what it finds, and that it fails where it could look at nothing."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.foundation.errors import EnvironmentFaultError, InputError
from infra.audit.__main__ import PINS
from infra.audit.advisories import audit, load_advisories
from infra.audit.licences import check_licences, identifiers
from infra.audit.pins import read_pins
from infra.audit.policy import Policy, read_policy

ROOT = Path(__file__).parents[3]
POLICY = read_policy(ROOT / "infra" / "audit" / "policy.toml")
NOW = datetime(2026, 11, 28, tzinfo=UTC)
NOTHING_BORNE = Policy(frozenset(), {}, {}, {})


def advisory(identifier: str, name: str, events: list[dict[str, str]] | None = None, **more) -> dict:
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "versions": more.pop("versions", [])}
    if events is not None:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    return {"id": identifier, "modified": "2026-11-20T10:00:00Z", "affected": [affected], **more}


@pytest.fixture
def saved(tmp_path):
    def save(*documents: dict) -> Path:
        path = tmp_path / f"{len(documents)}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for document in documents:
                archive.writestr(f"{document['id']}.json", json.dumps(document))
        return path

    return save


@pytest.mark.parametrize(
    ("version", "events", "is_affected"),
    [
        ("1.9", [{"introduced": "0"}, {"fixed": "2.0"}], True),
        ("2.0", [{"introduced": "0"}, {"fixed": "2.0"}], False),
        ("2.0rc1", [{"introduced": "0"}, {"fixed": "2.0"}], True),
        ("1.10", [{"introduced": "1.9"}, {"fixed": "2.0"}], True),  # as versions, not as texts
        ("1.8", [{"introduced": "1.9"}], False),
        ("2.0", [{"introduced": "0"}, {"last_affected": "2.0"}], True),
        ("2.0.1", [{"introduced": "0"}, {"last_affected": "2.0"}], False),
        ("3.1", [{"introduced": "0"}, {"fixed": "2.0"}, {"introduced": "3.0"}, {"fixed": "3.2"}], True),
        ("2.5", [{"fixed": "3.2"}, {"introduced": "3.0"}, {"fixed": "2.0"}, {"introduced": "0"}], False),
    ],
)
def test_a_version_within_the_ranges_of_an_advisory_is_found(saved, version, events, is_affected):
    known = load_advisories(saved(advisory("PYSEC-1", "Some_Package", events)), NOW)
    _, faults = audit({("some-package", version)}, known, NOTHING_BORNE)
    assert bool(faults) == is_affected


def test_what_is_found_is_told_with_where_it_is_fixed_and_what_is_withdrawn_or_of_others_is_not(saved):
    path = saved(
        advisory("PYSEC-1", "jinja2", [{"introduced": "0"}, {"fixed": "3.1.5"}], summary="Escapes its sandbox"),
        advisory("PYSEC-2", "jinja2", versions=["3.1.4"]),
        advisory("PYSEC-3", "jinja2", versions=["3.1.4"], withdrawn="2026-01-01T00:00:00Z"),
        advisory("PYSEC-4", "other", versions=["3.1.4"]),
    )
    told, faults = audit({("jinja2", "3.1.4")}, load_advisories(path, NOW), NOTHING_BORNE)
    assert faults == [
        "jinja2 3.1.4: PYSEC-1 (Escapes its sandbox), fixed in 3.1.5",
        "jinja2 3.1.4: PYSEC-2 (), fixed in no version yet",
    ]
    assert told == "1 pinned versions held against 3 advisories; 2 faults"


def test_an_advisory_may_be_borne_by_any_of_its_names_and_not_for_nothing(saved):
    known = load_advisories(saved(advisory("PYSEC-1", "jinja2", versions=["3.1.4"], aliases=["CVE-1"])), NOW)
    borne = Policy(frozenset(), {}, {}, {"CVE-1": "no template comes from outside"})
    assert audit({("jinja2", "3.1.4")}, known, borne)[1] == []
    assert audit({("jinja2", "3.2")}, known, borne)[1] == [
        "policy.toml: CVE-1 applies to nothing that is pinned, remove it"
    ]


def test_an_audit_that_could_look_at_nothing_fails(saved, tmp_path):
    old = advisory("PYSEC-1", "jinja2") | {"modified": "2026-10-01T00:00:00Z"}
    (tmp_path / "page.zip").write_text("<html>")
    for path, message in (
        (tmp_path / "none.zip", "no advisories, so nothing could be audited"),
        (tmp_path / "page.zip", "no advisories, so nothing could be audited"),
        (saved(), "0 advisories, .* so nothing could be audited"),
        (saved(old), "1 advisories, the newest of 2026-10-01, so nothing could be audited"),
    ):
        with pytest.raises(InputError, match=message):
            load_advisories(path, NOW)
    with pytest.raises(EnvironmentFaultError, match="nothing of what is pinned is installed here"):
        check_licences({("not-installed", "1.0")}, POLICY)
    (tmp_path / "constraints.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="nothing is pinned"):
        read_pins([tmp_path / "constraints.txt"])
    (tmp_path / "constraints.txt").write_text("jinja2>=3\n")
    with pytest.raises(InputError, match="line 1: 'jinja2>=3' pins no version"):
        read_pins([tmp_path / "constraints.txt"])


def test_the_real_pins_can_be_audited_and_their_licences_are_allowed(saved):
    pins = read_pins([ROOT / name for name in PINS])
    assert len(pins) > 200 and "torch" in {name for name, _ in pins}
    (version,) = [version for name, version in read_pins([ROOT / "constraints.txt"]) if name == "jinja2"]
    known = load_advisories(saved(advisory("PYSEC-1", "Jinja2", versions=[version])), NOW)
    assert any(fault.startswith(f"jinja2 {version}: PYSEC-1") for fault in audit(pins, known, POLICY)[1])
    assert check_licences(read_pins([ROOT / "constraints.txt"]), POLICY)[1] == []


def test_a_licence_that_is_unknown_or_not_allowed_is_a_fault():
    pins = read_pins([ROOT / "constraints.txt"])
    strict = Policy(frozenset({"BSD-3-Clause"}), POLICY.names, {}, {})
    faults = check_licences(pins, strict)[1]
    assert any("MIT is not allowed" in fault for fault in faults)
    assert any("its metadata name no licence" in fault for fault in faults)
    for told, expected in (
        (["MIT AND (Apache-2.0 OR MPL-2.0)"], {"MIT", "Apache-2.0", "MPL-2.0"}),
        (["Apache-2.0 WITH LLVM-exception"], {"Apache-2.0", "LLVM-exception"}),
        (["BSD License", "Apache Software License"], {"BSD-3-Clause", "Apache-2.0"}),
        (["Proprietary, ask us"], {"Proprietary, ask us"}),
        (["GPL-3.0-only OR MIT"], {"GPL-3.0-only", "MIT"}),
    ):
        assert identifiers(told, POLICY) == expected


def test_an_exception_needs_a_reason(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('[licences]\nallowed = []\nnames = {}\npackages = {huey = " "}\n')
    with pytest.raises(InputError, match="huey has no reason"):
        read_policy(path)
