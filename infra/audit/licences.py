"""The licence of every pinned package that is installed, by its own metadata."""

import re
from importlib.metadata import Distribution, distributions

from packaging.utils import canonicalize_name

from components.foundation.errors import EnvironmentFaultError
from infra.audit.policy import Policy

_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_OPERATORS = {"AND", "OR", "WITH"}


def check_licences(pins: set[tuple[str, str]], policy: Policy) -> tuple[str, list[str]]:
    """Check the licences of the installed packages by the policy.

    Returns:
        a line that sums up what was checked, and a line for each package whose licence is unknown or not allowed.

    Raises:
        EnvironmentFaultError: nothing of what is pinned is installed.
    """
    pinned = {name for name, _ in pins}
    installed = {canonicalize_name(one.metadata["Name"]): one for one in distributions() if one.metadata["Name"]}
    checked = {name: one for name, one in sorted(installed.items()) if name in pinned}
    if not checked:
        raise EnvironmentFaultError("nothing of what is pinned is installed here, so no licence could be checked")
    faults = []
    for name, distribution in checked.items():
        if name in policy.packages:
            continue
        licences = licence_of(distribution)
        if not licences:
            faults.append(f"{name} {distribution.version}: its metadata name no licence")
        elif refused := sorted(identifiers(licences, policy) - policy.allowed):
            faults.append(f"{name} {distribution.version}: {', '.join(refused)} is not allowed")
    return f"{len(checked)} of {len(pinned)} pinned packages are installed; {len(faults)} not allowed", faults


def licence_of(distribution: Distribution) -> list[str]:
    """The licence in the metadata: an SPDX expression, else the classifiers, else a short free text; empty: none."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return [metadata["License-Expression"]]
    classifiers = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")
    ]
    # These two name no particular licence.
    if named := [name for name in classifiers if name not in ("OSI Approved", "DFSG approved")]:
        return named
    text = metadata["License"].strip() if "License" in metadata else ""
    return [text] if text and "\n" not in text else []


def identifiers(licences: list[str], policy: Policy) -> set[str]:
    """The SPDX identifiers in `licences`; any other text stays as it is, so that it is refused by name."""
    names: set[str] = set()
    for text in licences:
        if text in policy.names:
            names.add(policy.names[text])
            continue
        words = _IDENTIFIER.findall(text)
        is_expression = all(word in _OPERATORS or word in policy.allowed or "-" in word for word in words)
        names |= {word for word in words if word not in _OPERATORS} if is_expression else {text}
    return names
