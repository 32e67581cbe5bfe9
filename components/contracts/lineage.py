"""The lineage of a model: the data it was trained on, and the revision of the code."""

from pathlib import Path
from typing import Any

from components.contracts.fingerprint import data_fingerprint
from components.contracts.registry import TAG_FINGERPRINT, TAG_REVISION
from components.foundation.code_revision import git_revision


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
