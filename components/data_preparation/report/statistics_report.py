"""The statistics report of prepared data: a JSON file with all its numbers and an HTML page that shows them."""

from pathlib import Path
from typing import Any

from components.contracts.artifacts import STATISTICS_FILE, STATISTICS_PAGE_FILE
from components.data_preparation.report.figures import figures
from components.data_preparation.report.statistics_page import render
from components.foundation.files import replacing_file, write_json


def write_statistics(prepared: Path, memory: str = "") -> dict[str, Any]:
    """Describe the prepared folder `prepared` in two files in it; equal tables give equal bytes.

    Args:
        prepared: see `figures.figures`.
        memory: likewise.

    Returns:
        What the JSON file holds (see `figures.figures`).

    Raises:
        InputError: a table is missing or unreadable, or there is no interaction.
    """
    content = figures(prepared, memory)
    page = render(content)
    write_json(prepared / STATISTICS_FILE, content)
    with replacing_file(prepared / STATISTICS_PAGE_FILE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return content
