import subprocess
from pathlib import Path

from components.model_registry.revision import git_revision


def test_the_commit_that_is_checked_out(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    assert git_revision(tmp_path) is None  # nothing is committed yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], cwd=tmp_path, check=True)
    found = git_revision(tmp_path)
    assert found is not None and len(found) == 40 and int(found, 16)
    (tmp_path / "inside").mkdir()
    assert git_revision(tmp_path / "inside") is None
