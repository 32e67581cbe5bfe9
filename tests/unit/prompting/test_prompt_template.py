"""Templates: the versions there are, the form of answer each asks for, and the words of a domain."""

import pytest

from components.foundation.errors import InputError
from components.foundation.files import write_json
from components.prompting.prompt_template import DEFAULT_VERSION, choose_version, prompt_versions, read_template


def test_the_versions():
    assert prompt_versions() == ["direct-v1", "numbered-v1", "recommendation-v1"]
    assert DEFAULT_VERSION in prompt_versions()


@pytest.mark.parametrize("version", ["direct-v1", "numbered-v1", "recommendation-v1"])
def test_every_version_shows_the_answer_that_its_schema_demands(version):
    template = read_template(version)
    example = template.system.splitlines()[-1]
    example = example[example.index("{") :]
    positions = [example.index(f'"{name}": ') for name in template.answer_fields]
    assert positions == sorted(positions)
    schema = template.answer_schema()
    assert list(schema["properties"]) == schema["required"] == list(template.answer_fields)
    assert set(template.answer_fields) == {"preference_summary", "categories", "items"}
    assert (template.candidates > 0) == (template.answer == "numbers")


def test_numbers_are_those_of_candidates():
    schema = read_template("numbered-v1").answer_schema()
    number = {"type": "integer", "minimum": 1, "maximum": 12}
    assert schema["properties"]["items"] == {"type": "array", "items": number, "maxItems": 12}
    assert read_template("recommendation-v1").answer_schema()["properties"]["items"]["items"] == {"type": "string"}


@pytest.mark.parametrize("version", ["direct-v1", "numbered-v1", "recommendation-v1"])
def test_no_list_of_an_answer_is_without_an_end_and_no_text_of_a_small_model_s(version):
    properties = read_template(version).answer_schema()["properties"]
    assert all(0 < properties[name]["maxItems"] <= 20 for name in ("categories", "items"))
    texts = [properties["preference_summary"], properties["categories"]["items"]]
    # Hosted endpoints refuse a strict schema that has a `maxLength`.
    assert all(text.get("maxLength") == (200 if version == "numbered-v1" else None) for text in texts)


def test_only_the_ablation_recommends_before_it_reasons():
    assert read_template("direct-v1").answer_fields[-1] == "preference_summary"
    assert "Step" not in read_template("direct-v1").system
    for version in ("numbered-v1", "recommendation-v1"):
        assert read_template(version).answer_fields[0] == "preference_summary"
        assert "Step 1" in read_template(version).system and "Step 2" in read_template(version).system


def test_the_words_of_a_domain():
    films = read_template(DEFAULT_VERSION, items_name="films").system
    assert "recommend categories and films to the user" in films
    assert '"items": ["titles of step 2"]' in films  # the field keeps its name
    assert "$" not in films


def test_an_unknown_version_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'\.\./secrets' is not known.*recommendation-v1"):
        read_template("../secrets")


def test_the_version_is_the_named_one_or_that_of_the_model(tmp_path):
    write_json(tmp_path / "tuning.json", {"prompt_version": "direct-v1"})
    for named, model, expected in (
        ("recommendation-v1", "scratch", "recommendation-v1"),
        ("", "scratch", "numbered-v1"),
        ("", "", "recommendation-v1"),
        ("", "lora:owner/name", "recommendation-v1"),
        ("", str(tmp_path), "direct-v1"),
    ):
        assert choose_version(named, model) == expected
