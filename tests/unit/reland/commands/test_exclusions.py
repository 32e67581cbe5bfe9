"""The commands `reland items` and `reland rationales`."""

import json

import pytest
from typer.testing import CliRunner

from components.contracts.exclusions import Exclusions, exclusions_file, read_exclusions
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from reland.main import app


@pytest.fixture
def reland(tmp_path, monkeypatch):
    """`reland(*words)`: what the command prints."""
    monkeypatch.setenv("RELAND_HOME", str(tmp_path))

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def decided(tmp_path) -> Exclusions:
    return read_exclusions(exclusions_file(Settings(home=tmp_path)))


def test_items_are_blocked_listed_and_let_in_again(reland, tmp_path):
    printed = reland("items", "block", "a", "b", "--reason", "recalled")
    assert "blocked: a, b\n" in printed and "no version that is served knows a, b" in printed
    assert decided(tmp_path).items == {"a", "b"}
    reland("items", "unblock", "a", "--reason", "a mistake")
    listed = json.loads(reland("items", "list", "--json"))
    assert [(each["value"], each["reason"]) for each in listed] == [("b", "recalled")]
    assert reland("items", "list", "--history").count("\n") == 3
    assert reland("rationales", "list") == "none\n"


def test_rationales_are_banned_by_text_or_by_id(reland, tmp_path):
    reland("rationales", "ban", "war films", "--reason", "a complaint")
    reland("rationales", "ban", "r1", "--id", "--reason", "names its owner")
    assert decided(tmp_path).ban("r9", "Likes war films", stored=False)
    assert decided(tmp_path).ban("r1", "likes tea", stored=False)
    assert reland("rationales", "list").count("\n") == 2
    reland("rationales", "unban", "War films", "--reason", "it was none")
    assert [decision.value for decision in decided(tmp_path).in_force] == ["r1"]
    with pytest.raises(InputError, match="text 'r1': is not excluded"):
        reland("rationales", "unban", "r1", "--reason", "why")


def test_an_id_that_no_item_can_have_is_refused(reland, tmp_path):
    with pytest.raises(InputError, match="longer than 512 bytes"):
        reland("items", "block", "x" * 513, "--reason", "why")
    assert decided(tmp_path).decisions == ()
