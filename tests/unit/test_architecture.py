"""The rules of the layout that a reader relies on: who imports whom, and where kfp is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for top in ("components", "pipelines", "feature_repo", "reland", "serving")
    for path in ROOT.glob(f"{top}/**/*.py")
)
# Each of these rooms may import those before it; a step may import all of them, and no other step.
ROOMS = ["foundation", "contracts", "reports", "prompting", "marketplace", "recommenders", "language_model"]
# What each top folder may import beside itself.
ALLOWED = {
    "components": set(),
    "feature_repo": {"components"},
    "serving": {"components", "feature_repo"},
    "pipelines": {"components", "feature_repo", "serving"},
    "reland": {"components", "feature_repo", "serving", "pipelines"},
}


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    top, room = path.relative_to(ROOT).parts[:2]
    names = imported_modules(path)
    allowed = {top} | ALLOWED[top]
    if room in ("feature_push", "ranker_release"):  # they write what serving reads, through its own code
        allowed |= {"feature_repo"} | ({"serving"} if room == "ranker_release" else set())
    assert {name.split(".")[0] for name in names} & set(ALLOWED) <= allowed
    rooms = {name.split(".")[1] for name in names if name.startswith("components.")}
    if top == "components" and room in ROOMS:
        assert rooms <= set(ROOMS[: ROOMS.index(room) + 1])
    elif top == "components":
        assert rooms - set(ROOMS) <= {room}, "a step imports another step"
    elif top in ("feature_repo", "serving"):
        assert rooms <= set(ROOMS), "serving imports a step"
    if path.is_relative_to(ROOT / "pipelines" / "running"):
        own = [name for name in names if name.startswith("pipelines.")]
        assert all(name.startswith("pipelines.running") for name in own), "what runs pipelines knows none of them"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_kfp_is_imported_in_components_and_pipelines_alone(path):
    if any(name.split(".")[0] == "kfp" for name in imported_modules(path)):
        assert path.name == "component.py" or path.relative_to(ROOT).parts[0] == "pipelines"


def test_what_is_imported_of_the_project_is_there():
    """In the bodies of pipeline steps too, which no import runs; mypy passes over modules that it does not find."""
    for path in [*SOURCES, *ROOT.glob("tests/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (ROOT / (node.module or "").split(".")[0] / "__init__.py").exists():
                module = ROOT.joinpath(*node.module.split("."))
                assert module.is_dir() or module.with_suffix(".py").exists(), f"{path}: {node.module}"
