"""Which state of the code runs."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).parents[2]


def git_revision(source: Path = SOURCE) -> str | None:
    """The commit that is checked out in `source`; None where that is no git checkout of its own, or there is no git."""
    if not (source / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
