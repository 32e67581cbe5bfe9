import re
from typing import Any

import pytest

from components.data_preparation.report.validation_page import FILES_SHOWN, render

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'


def file(name: str, rejected: int = 0, **changes: Any) -> dict[str, Any]:
    example = {"source_line": 1_234, "raw": "1::2"}
    reasons = [{"reason": "too few fields", "rows": rejected, "examples": [example]}] if rejected else []
    counts = {"read": 100, "accepted": 100 - rejected, "rejected": rejected, "repeated": 0, "too_many": rejected > 5}
    return {
        "file": name,
        "kind": "interactions",
        **counts,
        "reasons_in_all": len(reasons),
        "reasons": reasons,
        **changes,
    }


def judged(*files: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "shop",
        "format": "taobao",
        "stopped": None,
        "max_rejected": 0.05,
        "files": list(files),
        "duplicates": {"duplicate": 17},
        "references": {"items_without_metadata": 23},
        "time": None,
        "rules": {"interactions": [{"column": "user_id", "type": "String", "rejected_for": ["empty user_id"]}]},
        **changes,
    }


def rows(page: str) -> list[list[str]]:
    found = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in found]


def test_what_became_of_the_rows_stands_on_the_page() -> None:
    page = render(judged(file("small.csv", 2), file("worse.csv", 6)))
    found = rows(page)
    assert found[1] == ["worse.csv", "Interactions", "100", "94", "6", "0", "6.0%", "<b>more than allowed</b>"]
    assert found[2] == ["small.csv", "Interactions", "100", "98", "2", "0", "2.0%", "within the limit"]
    assert ["too few fields", "6", "1,234", "<code>1::2</code>"] in found
    assert ["<code>user_id</code>", "String", "empty user_id"] in found
    assert [row[-1] for row in found if row[0].startswith(("Interactions that equal", "Items of"))] == ["17", "23"]
    assert "<b>200</b><span>rows read</span>" in page and "<b>4.0%</b>" in page and "<b>5%</b>" in page
    assert "The run was stopped" not in page and "No interaction was accepted" in page


def test_a_clean_data_set() -> None:
    assert "Every row was accepted." in render(judged(file("log")))


def test_why_the_run_was_stopped_stands_first() -> None:
    page = render(judged(file("log", 50), stopped="log: 50 of 100 rows"))
    assert page.index("The run was stopped.") < page.index("log: 50 of 100 rows") < page.index("rows read")


def test_times() -> None:
    time = {
        "first_timestamp": 0,
        "last_timestamp": 86_400,
        "interactions": 50,
        "days": 2,
        "days_without_interactions": 0,
        "longest_gap_days": 0,
        "middle_98_percent": {"first_day": 0, "last_day": 86_400},
        "on_the_first_day_of_1970": 1,
        "at_midnight": 2,
    }
    found = dict(row for row in rows(render(judged(file("log"), time=time))) if len(row) == 2)
    assert found["Earliest interaction"] == "1970-01-01 00:00:00"
    assert found["98% of the interactions are on the days"] == "1970-01-01 to 1970-01-02"
    assert found["On the first day of 1970, which often stands for no time"] == "1 (2.0%)"


def test_what_comes_from_the_data_is_escaped() -> None:
    example = {"source_line": 1, "raw": EVIL + "\0\u202e"}
    group = {"reason": EVIL, "rows": 1, "examples": [example]}
    hostile = file(EVIL, 1, reasons=[group], kind=EVIL)
    page = render(
        judged(
            hostile,
            name=EVIL,
            format=EVIL,
            stopped=EVIL,
            references={EVIL: 1},
            duplicates={EVIL: 1},
            rules={EVIL: [{"column": EVIL, "type": EVIL, "rejected_for": [EVIL]}]},
        )
    )
    assert "<script" not in page and "<img" not in page and "default-src 'none'" in page
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)") == 14
    assert r"\x00\u202e" in page


@pytest.mark.parametrize(("count", "note"), [(FILES_SHOWN, False), (FILES_SHOWN + 2, True)])
def test_of_many_files_those_at_fault_are_shown(count: int, note: bool) -> None:
    page = render(judged(*(file(f"part {number}") for number in range(count - 1)), file("at fault", 3)))
    assert rows(page)[1][0] == "at fault"
    assert ("2 further files with no larger share" in page) == note
