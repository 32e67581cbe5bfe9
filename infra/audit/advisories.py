"""Known vulnerabilities of the pinned packages, from the advisories of OSV, fetched or saved before.

They are one archive with a JSON document for each advisory (schema: OSV, ossf.github.io/osv-schema).
"""

import io
import json
import urllib.request
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from components.foundation.errors import EnvironmentFaultError, InputError
from infra.audit.policy import Policy

OSV = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
FETCH_SECONDS = 60.0
LARGEST_AGE = timedelta(days=30)  # of the newest advisory: an older archive lacks what was published since

Advisories = dict[str, list[dict[str, Any]]]


def load_advisories(path: Path | None, now: datetime) -> Advisories:
    """The advisories that were not withdrawn, by the package that they affect.

    Args:
        path: the saved archive; None: it is fetched.

    Raises:
        EnvironmentFaultError: they cannot be fetched.
        InputError: the saved archive is not readable, or none is of the last `LARGEST_AGE`.
    """
    try:
        if path is None:
            with urllib.request.urlopen(OSV, timeout=FETCH_SECONDS) as answer:
                content = answer.read()
        else:
            content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            documents = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")]
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        source = OSV if path is None else path
        hint = ", name a saved copy by --file (make audit ADVISORIES=FILE)" if path is None else ""
        kind = EnvironmentFaultError if path is None else InputError
        raise kind(f"{source}: no advisories, so nothing could be audited ({error}){hint}") from error
    newest = max((_moment(one["modified"]) for one in documents), default=datetime.min.replace(tzinfo=UTC))
    if now - newest > LARGEST_AGE:
        state = f"{len(documents)} advisories, the newest of {newest:%Y-%m-%d}"
        raise InputError(f"{path or OSV}: {state}, so nothing could be audited: save them again")
    advisories: Advisories = {}
    for document in documents:
        if "withdrawn" in document:
            continue
        for name in {_package(affected) for affected in document.get("affected", [])}:
            advisories.setdefault(name, []).append(document)
    return advisories


def audit(pins: set[tuple[str, str]], advisories: Advisories, policy: Policy) -> tuple[str, list[str]]:
    """Look up every pinned version among the advisories.

    Returns:
        a line that sums up what was checked, and the faults: a line for each advisory that applies and is not accepted
        by the policy, and for each accepted advisory that applies to nothing.
    """
    faults = []
    applied_exceptions = set()
    for name, version in sorted(pins):
        for advisory in advisories.get(name, []):
            if not any(_affects(affected, version) for affected in advisory["affected"] if _package(affected) == name):
                continue
            names = {advisory["id"], *advisory.get("aliases", [])}
            if accepted := names & set(policy.advisories):
                applied_exceptions |= accepted
                continue
            fixed = ", ".join(_fixed(advisory, name)) or "no version yet"
            faults.append(f"{name} {version}: {advisory['id']} ({advisory.get('summary', '')}), fixed in {fixed}")
    for identifier in sorted(set(policy.advisories) - applied_exceptions):
        faults.append(f"policy.toml: {identifier} applies to nothing that is pinned, remove it")
    count = sum(map(len, advisories.values()))
    return f"{len(pins)} pinned versions held against {count} advisories; {len(faults)} faults", faults


def _package(affected: dict[str, Any]) -> str:
    package = affected.get("package", {})
    return canonicalize_name(package["name"]) if package.get("ecosystem") == "PyPI" else ""


def _affects(affected: dict[str, Any], version: str) -> bool:
    pinned = Version(version)
    if any(_same(text, pinned) for text in affected.get("versions", [])):
        return True
    ranges = [one for one in affected.get("ranges", []) if one["type"] == "ECOSYSTEM"]
    return any(_within(one["events"], pinned) for one in ranges)


def _within(events: list[dict[str, str]], pinned: Version) -> bool:
    """Whether a version is affected by the events of one range: introduced, then fixed or last affected, and again."""
    ordered = sorted(
        ((Version(text), kind) for event in events for kind, text in event.items() if kind != "limit"),
        key=lambda event: (event[0], event[1] != "introduced"),
    )
    affected = False
    for version, kind in ordered:
        if kind == "introduced" and pinned >= version:
            affected = True
        elif (kind == "fixed" and pinned >= version) or (kind == "last_affected" and pinned > version):
            affected = False
    return affected


def _fixed(advisory: dict[str, Any], name: str) -> list[str]:
    affected = [one for one in advisory["affected"] if _package(one) == name]
    ranges = [one for each in affected for one in each.get("ranges", []) if one["type"] == "ECOSYSTEM"]
    return [event["fixed"] for one in ranges for event in one["events"] if "fixed" in event]


def _same(text: str, pinned: Version) -> bool:
    try:
        return Version(text) == pinned
    except InvalidVersion:  # older than PEP 440
        return False


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
