"""Lineage: the data that a model was trained on and the revision of the code; the pool that users were matched in."""

from pathlib import Path
from typing import Any

from components.contracts.artifacts import LINEAGE_FILE
from components.contracts.fingerprint import data_fingerprint
from components.contracts.registry import TAG_FINGERPRINT, TAG_REVISION
from components.foundation.code_revision import git_revision
from components.foundation.errors import InputError
from components.foundation.files import read_json


def training_lineage(prepared: Path) -> dict[str, str]:
    """Tags of a model that is trained here: `TAG_FINGERPRINT`, and `TAG_REVISION` where the code is a git checkout.

    Raises:
        InputError: a table of the prepared data is missing or unreadable.
    """
    revision = git_revision()
    return {TAG_FINGERPRINT: data_fingerprint(prepared)} | ({} if revision is None else {TAG_REVISION: revision})


def lineage_of(description: dict[str, Any]) -> dict[str, str]:
    """The tags of `training_lineage` that a model's description holds."""
    return {tag: description[tag] for tag in (TAG_FINGERPRINT, TAG_REVISION) if tag in description}


def pool_of(matches: Path) -> str:
    """The collection that the users of the artifact `matches` were matched in; it is of one behavior encoder.

    Raises:
        InputError: the artifact does not say.
    """
    content = read_json(matches / LINEAGE_FILE)
    if not isinstance(content, dict) or not isinstance(content.get("collection"), str):
        raise InputError(f"{matches / LINEAGE_FILE}: names no collection, expected what `match_users` writes")
    pool: str = content["collection"]
    return pool
