"""The Markdown files of the project, and what the tests read in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path
    for folder, pattern in ((ROOT, "*.md"), *((ROOT / top, "**/*.md") for top in ("docs", "infra", "tests")))
    for path in folder.glob(pattern)
)
# What a changelog says of the past is no longer there.
OF_NOW = [path for path in FILES if path.name != "CHANGELOG.md"]
FENCE = re.compile(r"^(```+)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]\(\s*([^()\s]+(?:\([^()]*\))?)[^()]*\)")
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """What one Markdown file holds.

    Attributes:
        links: targets of its links and images.
        spans: texts between single backticks.
        blocks: the fenced blocks of code.
        anchors: names that a link may end in after `#`, as GitHub makes them of headings.
    """

    links: list[str]
    spans: list[str]
    blocks: list[str]
    anchors: set[str]


def read_page(path: Path) -> Page:
    return parse_page(path.read_text(encoding="utf-8"))


def parse_page(text: str) -> Page:
    blocks = [match.group(2) for match in FENCE.finditer(text)]
    prose = COMMENT.sub("", FENCE.sub("", text))
    spans = SPAN.findall(prose)
    without_spans = SPAN.sub("code", prose)
    return Page(LINK.findall(without_spans), spans, blocks, _anchors(prose))


def _anchors(prose: str) -> set[str]:
    anchors: set[str] = set()
    for heading in HEADING.findall(prose):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while (name := anchor + (f"-{number}" if number else "")) in anchors:
            number += 1
        anchors.add(name)
    return anchors
