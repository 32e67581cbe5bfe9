"""What leaves this repository: the installed package and its files."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for top in ("components", "pipelines", "feature_repo", "reland", "serving")
    for path in ROOT.glob(f"{top}/**/*.py")
)


def test_no_file_names_a_package_registry():
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org")
    for path in [*SOURCES, *ROOT.glob("*.txt"), ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / ".ci" / "run"]:
        text = path.read_text(encoding="utf-8")
        assert not [host for host in hosts if host in text], path


def test_files_that_are_read_beside_the_code_are_installed_with_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = project["tool"]["setuptools"]["package-data"]["*"]
    folders = {path.parent for path in SOURCES}
    beside = {path for folder in folders for path in folder.rglob("*.*") if "__pycache__" not in path.parts}
    assert not [path for path in beside if path.suffix not in (".py", ".pyc") and f"*{path.suffix}" not in installed]
