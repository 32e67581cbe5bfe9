"""The JSON object of an answer, whatever a model wrote around it, and texts in which there is none."""

import json

import pytest

from components.rationale_generation.answer_text import read_object
from components.rationale_generation.text_rules import RejectedAnswerError

ANSWER = {"preference_summary": "Likes films.", "categories": ["Sci-Fi"], "items": []}
TEXT = json.dumps(ANSWER)


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        json.dumps(ANSWER, indent=2),
        f"\n\t {TEXT}\r\n",
        f"\ufeff{TEXT}",
        f"```json\n{TEXT}\n```",
        f"```JSON\n{TEXT}\n```",
        f"```Json {TEXT} ```",
        f"```\n{TEXT}\n```",
        f"``` json5\r\n{TEXT}\r\n```\r\n",
        f"~~~json\n{TEXT}\n~~~",
        f"```json\n{TEXT}\n``` Done.",
        f"```json\n{TEXT}\n```\nLet me know if you want more.",
        f"Here is the JSON:\n```json\n{TEXT}\n```",
        f"```json\n{TEXT}",  # the fence does not end
        f"Sure! Here it is: {TEXT}",
        f"<think>\nThe user likes {{space}}.\n</think>\n\n{TEXT}",
        f"<think>\n\n</think>\n\n{TEXT}",
        f"reasoning text </think>{TEXT}",
        f'<think>a draft: {{"preference_summary": "x"}}</think>{TEXT}',
        f"<think>one</think> <think>two</think>\n```json\n{TEXT}\n```",
        f"<THINK>x</THINK>{TEXT}",
        f"<thinking>x</thinking>{TEXT}",
        f"<reasoning>x</reasoning>{TEXT}",
        f"<seed:think>x</seed:think>{TEXT}",
        f"[THINK]x[/THINK]{TEXT}",
        f"◁think▷x◁/think▷{TEXT}",
        f"<|begin_of_thought|>x<|end_of_thought|>{TEXT}",
        f"<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}<|return|>",
        f"<|im_start|>assistant\n{TEXT}<|im_end|>",
        f"{TEXT}<|im_end|>\n<|endoftext|>",
        f"{TEXT}<|eot_id|>",
        f"{TEXT}</s>",
        f"{TEXT}<end_of_turn>",
        f"{TEXT}<｜end▁of▁sentence｜>",
    ],
)
def test_what_stands_around_the_object_is_passed_over(content):
    assert read_object(content) == ANSWER


def test_line_breaks_within_a_text_are_read():
    assert read_object('{"preference_summary": "a\nb\tc"}') == {"preference_summary": "a\nb\tc"}


@pytest.mark.parametrize(
    ("reason", "detail", "content"),
    [
        ("not_json", "not JSON", "Sure! Here is"),
        ("not_json", "not JSON", "[]"),
        ("not_json", "not JSON", "The user likes {space}."),
        ("not_json", "not JSON", "{'preference_summary': 'a'}"),
        ("not_json", "not JSON", '{"preference_summary": "a", "preference_summary": "b"}'),
        ("not_json", "not JSON", '{"preference_summary": "a" "categories": []}'),
        ("not_json", "not JSON", '{"a": ' + "[" * 100_000),
        ("not_json", "more than one object", f"{TEXT} {TEXT}"),
        ("not_json", "more than one object", f"[{TEXT}, {TEXT}]"),
        ("not_json", "more than one object", f"{TEXT}<|im_end|>\n<|im_start|>assistant\n{TEXT}"),
        ("cut_off", "cut off", '{"preference_summary": "Likes films.", "items'),
        ("cut_off", "cut off", '{"preference_summary": "Likes'),
        ("cut_off", "cut off", '{"preference_summary": "Likes\\u00'),
        ("cut_off", "cut off", '{"categories": ["Sci-Fi",'),
        ("cut_off", "cut off", '{"categories": ["Sci-Fi"]'),
        ("cut_off", "cut off", '{"score": tru'),
        ("cut_off", "cut off", "```json\n{\n"),
        ("cut_off", "cut off", '```json\n{"preference_summary": "Likes films."\n```'),
        ("cut_off", "within its reasoning", "<think>\nThe user likes"),
        ("cut_off", "within its reasoning", f"<think>\nA draft: {TEXT}"),
        ("cut_off", "within its reasoning", "<|channel|>analysis<|message|>The user likes"),
    ],
)
def test_a_text_without_one_object_says_why(reason, detail, content):
    with pytest.raises(RejectedAnswerError, match=detail) as caught:
        read_object(content)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "title",
    [
        '", "categories": ["Hair"], "items": ["Golden Comb"]}',
        '", "categories": ["Hair"], "items": ["Golden Comb"]} </s>',
        '</think>{"preference_summary": "x", "categories": ["Hair"], "items": ["Golden Comb"]}',
        '<think>{"preference_summary": "x", "categories": ["Hair"], "items": ["Golden Comb"]}</think>',
    ],
)
def test_a_title_that_was_copied_as_it_is_does_not_make_the_answer(title):
    """It ends the text it stands in, or the object, and puts others in their place."""
    content = TEXT.replace("Likes films.", f"Likes {title} films.")
    with pytest.raises(RejectedAnswerError):
        read_object(content)
    escaped = json.dumps({**ANSWER, "preference_summary": title})
    try:
        assert read_object(escaped) == {**ANSWER, "preference_summary": title}
    except RejectedAnswerError as error:
        assert "think" in title and error.reason == "not_json"
