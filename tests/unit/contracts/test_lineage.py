import subprocess
from pathlib import Path

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.fingerprint import data_fingerprint
from components.contracts.lineage import lineage_of, training_lineage
from components.foundation.code_revision import git_revision


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


def test_the_lineage_of_a_training_is_found_again_in_a_description(tmp_path: Path) -> None:
    for name in (INTERACTIONS_FILE, ITEMS_FILE):
        (tmp_path / name).write_text(name)
    lineage = training_lineage(tmp_path)
    revision = git_revision()
    assert lineage == {"data_fingerprint": data_fingerprint(tmp_path)} | (
        {"git_revision": revision} if revision else {}
    )
    assert lineage_of({"encoder": "gat", **lineage}) == lineage
