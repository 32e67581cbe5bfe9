"""The statistics report of prepared data: a JSON file with all its numbers and an HTML page that shows them."""

from pathlib import Path
from typing import Any

from components.contracts.files import replacing_file, write_json
from components.data_preparation.report.figures import figures
from components.data_preparation.report.statistics_page import render


def write_statistics(prepared: Path, output_json: Path, output_html: Path) -> dict[str, Any]:
    """Describe the prepared folder `prepared` in two files; equal tables give equal bytes.

    Returns:
        What the JSON file holds (see `figures.figures`).

    Raises:
        InputError: a table is missing or unreadable, or there is no interaction.
    """
    content = figures(prepared)
    page = render(content)
    write_json(output_json, content)
    with replacing_file(output_html) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return content
