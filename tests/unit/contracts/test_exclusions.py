import json

import pytest

from components.contracts.exclusions import (
    ADMIT,
    EXCLUDE,
    ITEM,
    RATIONALE,
    TEXT,
    Exclusions,
    decide,
    exclusions_file,
    read_exclusions,
)
from components.foundation.errors import InputError
from components.foundation.settings import Settings


@pytest.fixture
def file(tmp_path):
    return exclusions_file(Settings(home=tmp_path))


def test_a_decision_is_a_line_that_says_who_when_and_why_and_the_newest_counts(file):
    decide(file, EXCLUDE, ITEM, ["a", "b"], "recalled")
    decide(file, ADMIT, ITEM, ["a"], "a mistake")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["action"], line["value"], line["reason"]) for line in lines] == [
        ("exclude", "a", "recalled"),
        ("exclude", "b", "recalled"),
        ("admit", "a", "a mistake"),
    ]
    assert all(line["by"] and line["time"].endswith("+00:00") for line in lines)
    assert read_exclusions(file).items == {"b"}
    decide(file, EXCLUDE, ITEM, ["a"], "it was none")
    assert read_exclusions(file).items == {"a", "b"} and len(read_exclusions(file).decisions) == 4


def test_what_a_killed_writer_left_was_never_decided(file):
    decide(file, EXCLUDE, ITEM, ["a"], "recalled")
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    assert read_exclusions(file).items == {"a"}
    decide(file, EXCLUDE, ITEM, ["b"], "recalled")
    assert read_exclusions(file).items == {"a", "b"}


@pytest.mark.parametrize(
    ("banned", "text", "holds"),
    [
        ("Bad  Words", "some bad words here", True),
        ("bad words", "some BAD\nWORDS.", True),
        ("bad words", "ｂａｄ words", True),  # full-width letters
        ("bad", "a badge", False),
        ("ad", "bad", False),
        ("bad words", "bad other words", False),
        ("賭博", "喜歡賭博遊戲", True),  # written without spaces
        ("$9.99", "for $9.99 only", True),
        ("a+b", "aab", False),
    ],
)
def test_a_banned_text_is_found_whatever_its_case_and_spaces_but_not_within_words(file, banned, text, holds):
    decide(file, EXCLUDE, TEXT, [banned], "why")
    assert read_exclusions(file).ban("any id", text, stored=False) is holds


def test_a_ban_of_a_text_holds_under_any_id_and_one_of_an_id_for_that_alone(file):
    decide(file, EXCLUDE, TEXT, ["likes war films"], "why")
    decide(file, EXCLUDE, RATIONALE, ["r1"], "why")
    exclusions = read_exclusions(file)
    assert exclusions.ban("r7", "Likes war films", stored=False)
    assert exclusions.ban("r1", "likes tea", stored=False) and not exclusions.ban("r2", "likes tea", stored=False)


def test_a_lifted_ban_takes_its_mark_with_it_and_a_mark_of_other_hands_stays(file):
    assert Exclusions().ban("r1", "likes tea", stored=True)
    decide(file, EXCLUDE, TEXT, ["Likes  tea"], "why")
    decide(file, ADMIT, TEXT, ["likes tea"], "why not")
    exclusions = read_exclusions(file)
    assert exclusions.in_force == []
    assert not exclusions.ban("r1", "likes tea", stored=True)
    assert exclusions.ban("r2", "likes coffee", stored=True)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda file: decide(file, EXCLUDE, ITEM, ["a"], " "), "--reason: empty"),
        (lambda file: decide(file, EXCLUDE, ITEM, ["a", ""], "why"), "item '': empty"),
        (lambda file: decide(file, EXCLUDE, TEXT, [" \n"], "why"), "text .*: empty"),
        (lambda file: decide(file, ADMIT, ITEM, ["a"], "why"), "item 'a': is not excluded"),
    ],
)
def test_what_is_no_decision_is_refused_and_leaves_the_file_as_it_is(file, act, message):
    decide(file, EXCLUDE, ITEM, ["b"], "why")
    before = file.read_bytes()
    with pytest.raises(InputError, match=message):
        act(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"exclusions\.jsonl:2: not readable as JSON"),
        ('{"kind": "item"}', r"exclusions\.jsonl:2: no decision, expected an object of texts: action, by"),
        (None, r"exclusions\.jsonl:2: expected an action of exclude, admit and a kind of item, rationale, text"),
    ],
)
def test_a_damaged_line_is_named(file, line, message):
    (decision,) = decide(file, EXCLUDE, ITEM, ["b"], "why")
    with file.open("a") as lines:
        lines.write((line or json.dumps(vars(decision) | {"kind": "user"})) + "\n")
    with pytest.raises(InputError, match=message):
        read_exclusions(file)
