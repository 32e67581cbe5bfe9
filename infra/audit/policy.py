"""The audit's policy: `policy.toml`, read and checked."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from components.foundation.errors import InputError


@dataclass(frozen=True)
class Policy:
    """The licences that are allowed, and the exceptions.

    Attributes:
        allowed: SPDX identifiers.
        names: other names of licences, with the identifier that each means.
        packages: packages that are allowed by name, and why.
        advisories: advisories that are accepted, and why.
    """

    allowed: frozenset[str]
    names: dict[str, str]
    packages: dict[str, str]
    advisories: dict[str, str]


def read_policy(path: Path) -> Policy:
    """Read the policy.

    Raises:
        InputError: the file is missing, no TOML, or has an exception without a reason.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        licences = content["licences"]
        policy = Policy(
            frozenset(licences["allowed"]), licences["names"], licences["packages"], content.get("advisories", {})
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not readable as a policy ({error})") from error
    for name, reason in {**policy.packages, **policy.advisories}.items():
        if not reason.strip():
            raise InputError(f"{path}: {name} has no reason")
    return policy
