"""The licence of every pinned package that is installed, by its own metadata."""

import re
from importlib.metadata import Distribution, distributions

from packaging.utils import canonicalize_name

from components.foundation.errors import EnvironmentFaultError
from infra.audit.policy import Policy

_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_OPERATORS = {"AND", "OR", "WITH"}


def check_licences(pins: set[tuple[str, str]], policy: Policy) -> tuple[str, list[str]]:
    """Hold what is installed against the policy.

    Returns:
        a line that says what was looked at, and a line for each package whose licence is unknown or not allowed.

    Raises:
        EnvironmentFaultError: nothing of what is pinned is installed.
    """
    pinned = {name for name, _ in pins}
    found = {canonicalize_name(one.metadata["Name"]): one for one in distributions() if one.metadata["Name"]}
    looked_at = {name: one for name, one in sorted(found.items()) if name in pinned}
    if not looked_at:
        raise EnvironmentFaultError("nothing of what is pinned is installed here, so no licence could be checked")
    faults = []
    for name, distribution in looked_at.items():
        if name in policy.packages:
            continue
        told = licence_of(distribution)
        if not told:
            faults.append(f"{name} {distribution.version}: its metadata name no licence")
        elif refused := sorted(identifiers(told, policy) - policy.allowed):
            faults.append(f"{name} {distribution.version}: {', '.join(refused)} is not allowed")
    return f"{len(looked_at)} of {len(pinned)} pinned packages are installed; {len(faults)} not allowed", faults


def licence_of(distribution: Distribution) -> list[str]:
    """What the metadata say: an SPDX expression, else the classifiers, else a short free text; empty: nothing."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return [metadata["License-Expression"]]
    classifiers = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")
    ]
    # These two say that a licence is free, and not which.
    if named := [name for name in classifiers if name not in ("OSI Approved", "DFSG approved")]:
        return named
    text = metadata["License"].strip() if "License" in metadata else ""
    return [text] if text and "\n" not in text else []


def identifiers(told: list[str], policy: Policy) -> set[str]:
    """The SPDX identifiers that are named; a text that is none is left as it is, to be refused by name."""
    found: set[str] = set()
    for text in told:
        if text in policy.names:
            found.add(policy.names[text])
            continue
        words = _IDENTIFIER.findall(text)
        is_expression = all(word in _OPERATORS or word in policy.allowed or "-" in word for word in words)
        found |= {word for word in words if word not in _OPERATORS} if is_expression else {text}
    return found
