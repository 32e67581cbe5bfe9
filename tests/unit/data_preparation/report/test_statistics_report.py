import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from components.contracts.artifacts import STATISTICS_FILE, STATISTICS_PAGE_FILE
from components.data_preparation.report.statistics_report import write_statistics
from components.foundation.errors import InputError


def test_equal_data_give_equal_bytes_in_any_order(prepared: Callable[..., Path]) -> None:
    generator = random.Random(5)
    rows = [
        {
            "user_id": f"user {generator.randrange(40)}",
            "item_id": f"item {generator.randrange(25)}",
            "timestamp": generator.randrange(10**7),
            "behavior": generator.choice(["click", "purchase", "search"]),
            "sequence": line,
        }
        for line in range(2_000)
    ]
    rejected = [
        {"file": "f", "source_line": line, "reason": f"reason {line % 3}", "raw": f"row {line}"} for line in range(50)
    ]
    written = []
    for _ in range(2):
        folder = prepared(rows, rejected=rejected)
        content = write_statistics(folder)
        assert json.loads((folder / STATISTICS_FILE).read_text()) == content
        written.append([(folder / name).read_bytes() for name in (STATISTICS_FILE, STATISTICS_PAGE_FILE)])
        generator.shuffle(rows)
        generator.shuffle(rejected)
    assert written[0] == written[1]


def test_nothing_is_written_of_a_folder_at_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"interactions\.parquet: no such file"):
        write_statistics(tmp_path)
    assert not list(tmp_path.iterdir())
