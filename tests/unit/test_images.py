"""The container images as they are written; tests/images builds on them as they are built."""

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.contracts import images

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("infra/images/*/Dockerfile"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PROJECT["dependency-groups"]
OWN = ("components", "pipelines", "feature_repo", "serving")
# Imported where a setting asks for Spark, whose Java is in no image of ours (extra `spark`).
OPTIONAL = {"pyspark", "py4j"}
# What an image runs that is no step.
PROGRAMS = {"gateway": {"serving.gateway.__main__"}}


def requirements(group: str) -> set[str]:
    """The distributions that a group names, with those of the image that it stands on."""
    names = set()
    for entry in GROUPS[group]:
        names |= requirements(entry["include-group"]) if isinstance(entry, dict) else {entry}
    return names


@functools.cache
def has(group: str) -> set[str]:
    """The normalized names of what an image has, by what comes along in the environment that runs the tests."""
    found, waiting = set(), [Requirement(text) for text in requirements(group) | requirements("base")]
    while waiting:
        requirement = waiting.pop()
        marked = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if marked in found:
            continue
        found.add(marked)
        for text in importlib.metadata.requires(requirement.name) or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            waiting.append(needed)
    return {name for name, *_ in found}


@functools.cache
def distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def providers(package: str) -> set[str]:
    """The distributions that bring a package."""
    return {canonicalize_name(name) for name in distributions().get(package, [])}


def imports(node: ast.AST) -> set[str]:
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            names |= {alias.name for alias in inner.names}
        elif isinstance(inner, ast.ImportFrom) and inner.module:
            names |= {inner.module} | {f"{inner.module}.{alias.name}" for alias in inner.names}
    return names


def packages_of(modules: set[str]) -> set[str]:
    """The top packages, not of this project nor of Python's, that modules import, at any depth and in any function."""
    seen, waiting = set(), list(modules)
    packages = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        top = name.split(".")[0]
        path = ROOT.joinpath(*name.split("."))
        if top in OWN:
            source = next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
            if source is not None and source.name != "component.py":
                waiting += imports(ast.parse(source.read_text(encoding="utf-8")))
        elif top not in sys.stdlib_module_names:
            packages.add(top)
    return packages - OPTIONAL


def steps() -> list[tuple[str, str, set[str]]]:
    """(step, group of its image, modules that its body imports) of every component."""
    found = []
    for path in [*ROOT.glob("components/*/component.py"), *ROOT.glob("pipelines/*.py")]:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in getattr(function, "decorator_list", []):
                for keyword in getattr(decorator, "keywords", []):
                    if keyword.arg == "base_image":
                        constant = ast.unparse(keyword.value).removeprefix("images.")
                        image = getattr(images, constant)
                        group = image.removeprefix("reland/").removesuffix(f":{images.VERSION}")
                        found.append((function.name, group, imports(function)))
    return found


def test_the_steps_are_found_and_an_image_has_not_everything():
    assert len(steps()) >= 22
    assert providers("torch") & has("encoder") and not providers("torch") & has("data")


@pytest.mark.parametrize(("step", "group", "modules"), steps(), ids=lambda value: value if type(value) is str else "")
def test_an_image_has_what_its_steps_import(step, group, modules):
    for package in packages_of(modules):
        assert providers(package) & has(group), f"{group} lacks {package}"


@pytest.mark.parametrize("group", PROGRAMS)
def test_an_image_has_what_its_program_imports(group):
    for package in packages_of(PROGRAMS[group]):
        assert providers(package) & has(group), f"{group} lacks {package}"


def test_groups_name_nothing_that_the_one_environment_lacks():
    everything = {Requirement(text).name for text in PROJECT["project"]["dependencies"]}
    for group in GROUPS:
        assert {Requirement(text).name for text in requirements(group)} <= everything, group


def test_every_image_that_is_named_is_built_and_every_group_has_an_image():
    named = {
        value.removeprefix("reland/").removesuffix(f":{images.VERSION}")
        for value in vars(images).values()
        if isinstance(value, str) and value.startswith("reland/")
    }
    assert named == {path.parent.name for path in DOCKERFILES} - {"base", "torch"}
    assert {path.parent.name for path in DOCKERFILES} - {"triton-server"} == set(GROUPS)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_names_its_version_its_group_and_a_user_by_number(path):
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"^ARG VERSION=(.*)$", text, re.MULTILINE)) <= {images.VERSION}
    users = re.findall(r"^USER (.*)$", text, re.MULTILINE)
    assert users[-1].isdigit() and users[-1] != "0"  # Kubernetes' runAsNonRoot understands numbers alone
    if path.parent.name == "triton-server":
        assert f"/{images.TRITON_SERVER}\n" in text
    else:
        assert re.findall(r"sh /tools/install ([\w-]+)", text) == [path.parent.name]


def test_dockerfiles_are_as_hadolint_wants_them():
    command = [Path(sys.executable).with_name("hadolint"), "--failure-threshold=info", *DOCKERFILES]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
