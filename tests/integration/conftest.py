"""A real browser that shows a report as KFP shows it: as the `srcdoc` of a frame."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 1_240, 4_800
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *(f"--window-size={WIDTH},{HEIGHT}", "--force-device-scale-factor=1", "--virtual-time-budget=2000"),
)

# The frame has the origin of the page around it, so a script there can see where the charts came to lie.
VIEWER = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe srcdoc="{report}" style="border:0; width:{width}px; height:{height}px"></iframe><pre id="seen"></pre>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const inner = frame.contentDocument;
  const box = (element) => {{ const b = element.getBoundingClientRect(); return [b.x, b.y, b.right, b.bottom]; }};
  document.getElementById("seen").textContent = JSON.stringify({{
    charts: [...inner.querySelectorAll("svg")].map((svg) => ({{
      title: svg.getAttribute("aria-label"), box: box(svg), area: box(svg.querySelector(".plot-area")),
      texts: [...svg.querySelectorAll("text")].map(box)}})),
    bottom: box(inner.querySelector("footer"))[3],
    width: inner.documentElement.scrollWidth,
    foreign: inner.querySelectorAll("script, img, link, iframe").length,
    text: inner.body.innerText}});
}};
</script>"""


@pytest.fixture(scope="session")
def chromium(missing_dependency: Callable[[str], None]) -> str:
    found = shutil.which("chromium")
    if found is None:
        missing_dependency("no chromium: `make services` installs it")
    return str(found)


@pytest.fixture(scope="session")
def show_page(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], tuple[dict[str, Any], np.ndarray]]:
    """What the browser makes of a page: where things lie, and the picture, uint8[height, width, 3]."""

    def show(report: Path) -> tuple[dict[str, Any], np.ndarray]:
        folder = tmp_path_factory.mktemp("browser")
        page, picture = folder / "viewer.html", folder / "picture.png"
        content = escape(report.read_text(encoding="utf-8"))
        page.write_text(VIEWER.format(report=content, width=WIDTH, height=HEIGHT), encoding="utf-8")

        def browse(*flags: str) -> str:
            profile = tmp_path_factory.mktemp("profile")
            command = [chromium, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

        dom = browse("--dump-dom")
        found = re.search(r'<pre id="seen">(.+?)</pre>', dom, flags=re.DOTALL)
        assert found, "the report did not load in its frame"
        browse(f"--screenshot={picture}")
        return json.loads(unescape(found.group(1))), np.asarray(Image.open(picture).convert("RGB"))

    return show
