"""The revision of the code that runs."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).parents[2]


def git_revision(source: Path = SOURCE) -> str | None:
    """The commit that is checked out in `source`; None where it is no git checkout or git is missing."""
    if not (source / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
