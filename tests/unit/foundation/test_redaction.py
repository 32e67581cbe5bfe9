import pytest

from components.foundation.progress import say
from components.foundation.redaction import without_passwords


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg://u:p4ss@host:5432/feast", "postgresql+psycopg://u:***@host:5432/feast"),
        ("http://:p@ss:word@host/x and https://a:b@c", "http://:***@host/x and https://a:***@c"),
        ("redis:6379,password=p4ss,ssl=true", "redis:6379,password=***,ssl=true"),
        ("https://host/x?token=abc&user=u", "https://host/x?token=***&user=u"),
        ("http://host:8080/users/a@b", "http://host:8080/users/a@b"),
        ("a user name alone: http://user@host", "a user name alone: http://user@host"),
        ("password=***", "password=***"),
    ],
)
def test_passwords_become_stars_and_nothing_else_does(text, expected):
    assert without_passwords(text) == expected


def test_no_line_of_progress_holds_one(capsys):
    say("mlflow at http://u:p4ss@host")
    assert capsys.readouterr().out == "[reland] mlflow at http://u:***@host\n"
