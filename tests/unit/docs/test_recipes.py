"""The recipes of `docs/extend` work when they are followed literally: in a copy of the project, step by step.

A block whose first line is a comment with a path is that file; a block of `diff` is a change of files that are there;
a block of `sh` is run, and must succeed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docs.markdown import ROOT

RECIPES = sorted(path for path in (ROOT / "docs" / "extend").glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".reland", "__pycache__", ".*_cache", "build", "*.egg-info")


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_works_when_it_is_followed_literally(path, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=NOT_COPIED)
    environment = os.environ | {"PYTHONPATH": str(project)}
    commands = 0
    for kind, content in BLOCK.findall(path.read_text(encoding="utf-8")):
        if kind == "sh":
            for line in content.splitlines():
                command = shlex.split(line.replace(".venv/bin/", f"{Path(sys.executable).parent}/"))
                done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                commands += 1
        elif kind == "diff":
            apply = ["git", "apply", "--recount", "--unidiff-zero", "-"]
            done = subprocess.run(apply, cwd=project, input=content, capture_output=True, text=True)
            assert done.returncode == 0, f"{content}\n{done.stderr}"
        else:
            comment, name = content.splitlines()[0].split(" ", 1)
            assert comment == "#" and not (project / name).exists(), f"{name}: expected the path of a new file"
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(content, encoding="utf-8")
    assert commands
