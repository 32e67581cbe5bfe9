"""What the pages of the reports are made of: an HTML page needs nothing else, and no script runs on it.

KFP shows a page in a frame, on clusters that reach no other network. Every text that comes from the data goes through
`visible`; beyond that, the page's own policy forbids scripts, frames and anything from elsewhere.
"""

import unicodedata
from collections.abc import Sequence
from html import escape

import numpy as np

LONGEST_TEXT = 300

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f7f9; color: #24292f; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 24px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 20px 0 8px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 75em; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 8px; }
.tile, figure, .table { background: #fff; border: 1px solid #d8dee4; border-radius: 8px; }
.tile { flex: 1 1 auto; padding: 12px 16px; white-space: nowrap; }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span, figcaption, footer { color: #57606a; font-size: 13.5px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(480px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px 16px 14px; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: 6px; }
.table { overflow-x: auto; margin-bottom: 12px; }
.grid > .table { margin: 0; align-self: start; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 7px 10px; text-align: left; vertical-align: top; border-top: 1px solid #e4e7eb; }
th { border-top: 0; font-size: 13.5px; color: #57606a; font-weight: 600; background: #fafbfc; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; unicode-bidi: isolate; }
.note { background: #fff8e5; border: 1px solid #e6c766; border-radius: 8px; padding: 8px 14px; }
footer { margin-top: 36px; border-top: 1px solid #d8dee4; padding-top: 12px; }
"""


def page(title: str, sections: Sequence[str], footer: str) -> str:
    """A page of sections, which are HTML as `footer` is."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{"".join(sections)}
<footer>{footer}
</footer>
</main>
</body>
</html>
"""


def visible(text: str) -> str:
    """`text` of the data, safe in HTML: cut, escaped, and with what cannot be seen (controls, marks) spelled out."""
    shown = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
    spelled = "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character)[0] == "C" else character
        for character in shown
    )
    return escape(spelled)


def moment(timestamp: int) -> str:
    """Seconds since 1970 as "2000-04-25 23:05:32"; any int64 that NumPy can name, beyond the year 9999 too."""
    return str(np.datetime64(timestamp, "s")).replace("T", " ")


def tiles(entries: Sequence[tuple[str, str]]) -> str:
    """Numbers in large type with their names, both HTML."""
    shown = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in entries)
    return f'<div class="tiles">{shown}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML. A column whose heading begins with "#" holds numbers and is aligned to the right."""
    classes = [' class="number"' if name.startswith("#") else "" for name in header]
    names = "".join(
        f"<th{style}>{escape(name.removeprefix('#'))}</th>" for style, name in zip(classes, header, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{style}>{cell}</td>' for style, cell in zip(classes, row, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="table"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def percent(part: int, whole: int) -> str:
    """A share as HTML; a dash where there is no whole."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return "&lt;0.1%" if 0 < share < 0.05 else f"{share:.1f}%"


def many(count: int, name: str) -> str:
    """A number and what it counts, in the plural unless it is one."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"
