import math

from components.model_registry.register import legal_name, numbers, scalars


def test_names_that_mlflow_refuses_are_made_legal():
    assert legal_name("reland/test/hr@10") == "reland/test/hr_at_10"
    assert legal_name("loss (mean), %") == "loss _mean__ _"


def test_numbers_keeps_finite_numbers_by_path():
    content = {
        "hr@10": 0.5,
        "count": 3,
        "best": {"epoch": 2},
        "curve": [1.0],
        "ok": True,
        "lost": math.nan,
        "n": None,
    }
    assert numbers(content, "reland") == {"reland/hr_at_10": 0.5, "reland/count": 3.0, "reland/best/epoch": 2.0}


def test_scalars_are_written_as_json_writes_them_but_strings_as_they_are():
    assert scalars({"a": {"b": "text", "c": None}, "d": True, "e": 0.5, "f": [1]}) == {
        "a/b": "text",
        "a/c": "null",
        "d": "true",
        "e": "0.5",
    }
