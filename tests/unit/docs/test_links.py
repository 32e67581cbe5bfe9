"""Every link of the documentation leads somewhere, and every path of the code that it names is there."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from components.foundation.configuration import options_of
from pipelines.configuration import section_types
from tests.unit.docs.markdown import FILES, OF_NOW, ROOT, parse_page, read_page

TOPS = ("components", "pipelines", "reland", "feature_repo", "serving", "infra", "tests", "docs", ".ci")
PATH = re.compile(rf"(?:{'|'.join(map(re.escape, TOPS))})/[\w./*-]*")
MODULE = re.compile(rf"\b(?:{'|'.join(TOPS[:-2])})(?:\.[a-z]\w*)+")
RUN_MODULE = re.compile(rf"-m ((?:{'|'.join(TOPS[:-2])})[\w.]*\w)")
MAKE = re.compile(r"^(?:[\w]+=\S+ )*make ([a-z][a-z-]*)", re.MULTILINE)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def missing_target(path: Path, target: str) -> str:
    """Why a link of a file leads nowhere; empty where it does."""
    if re.match(r"[a-z]+:", target):
        return ""
    name, _, anchor = unquote(target).partition("#")
    linked = (path.parent / name).resolve() if name else path
    if not linked.is_relative_to(ROOT) or not linked.exists():
        return f"{target}: no such file"
    if anchor and anchor not in read_page(linked).anchors:
        return f"{target}: no such heading"
    return ""


def is_there(name: str) -> bool:
    """Whether a path of the project is there; `*` stands for anything, as NAME does."""
    names = [name]
    if name.startswith("reland/"):
        names.append(f"infra/images/{name.removeprefix('reland/')}")  # `reland/data` is the name of an image, too
    return any(any(ROOT.glob(one.rstrip("/").replace("NAME", "*"))) for one in names)


def is_module(name: str) -> bool:
    """Whether a dotted name is a module, or something that stands in one."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.is_dir():
            return length == len(parts)
        if path.with_suffix(".py").is_file():
            source = path.with_suffix(".py").read_text(encoding="utf-8")
            return length == len(parts) or re.search(rf"\b{parts[length]}\b", source) is not None
    return False


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_links_lead_somewhere(path):
    assert not [fault for target in read_page(path).links if (fault := missing_target(path, target))]


@pytest.mark.parametrize("path", OF_NOW, ids=ids)
def test_paths_and_modules_that_are_named_are_there(path):
    fields = {".".join(option.path) for section in section_types().values() for option in options_of(section)}
    page = read_page(path)
    for span in page.spans:
        if PATH.fullmatch(span):
            assert is_there(span), span
        elif MODULE.fullmatch(span) and span not in fields:
            assert is_module(span), span
    for text in [*page.spans, *page.blocks]:
        for module in RUN_MODULE.findall(text):
            assert is_module(module), text


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_targets_of_make_that_are_named_are_there(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    page = read_page(path)
    for text in [*page.spans, *page.blocks]:
        for target in MAKE.findall(text):
            assert target in targets, text


def test_every_page_of_the_documentation_is_linked_from_another():
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in FILES
        for target in read_page(path).links
        if not re.match(r"[a-z]+:", target) and target.partition("#")[0]
    }
    assert not [path for path in FILES if path.is_relative_to(ROOT / "docs") and path not in linked]


def test_every_result_is_named_where_results_are_listed():
    listed = read_page(ROOT / "docs" / "results.md").spans
    files = [path.relative_to(ROOT) for path in ROOT.glob("tests/*/results/*.json")]
    assert files and not [path for path in files if str(path) not in listed]


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 8_000


def test_pictures_are_small():
    assert not [path for path in (ROOT / "docs" / "images").iterdir() if path.stat().st_size > 150_000]


def test_what_is_read_of_a_page():
    page = parse_page(
        "# A `b` (c), d\n## Twice\n## Twice\n<!-- [no](no.md) -->\n"
        '[one](a.md#x), ![two](b.png "title"), `[three](c.md)`, [`four`](d.md)\n```sh\n[five](e.md) # not\n```\n'
    )
    assert page.links == ["a.md#x", "b.png", "d.md"]
    assert page.anchors == {"a-b-c-d", "twice", "twice-1"}
    assert page.blocks == ["[five](e.md) # not\n"] and page.spans == ["b", "[three](c.md)", "four"]


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("components/contracts", True),
        ("tests/*/results", True),
        ("feature_repo/feature_store.NAME.yaml", True),
        ("components/nothing", False),
        ("reland/gateway", True),
        ("reland/nothing", False),
    ],
)
def test_paths_are_looked_for(name, there):
    assert is_there(name) == there


def test_modules_are_looked_for():
    assert is_module("components.foundation.errors") and is_module("components.foundation.errors.InputError")
    assert is_module("components.foundation") and not is_module("components.foundation.errors.NoSuchName")
    assert not is_module("components.nothing.at_all")
