import pytest

from components.foundation.errors import EnvironmentFaultError
from components.foundation.progress import say
from components.foundation.redaction import split_credentials, without_passwords


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


def test_no_message_of_an_error_holds_one():
    assert str(EnvironmentFaultError("http://u:p4ss@host:\n no answer")) == "http://u:***@host: no answer"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://u:p%40ss@host:5000/x?y=z", ("http://host:5000/x?y=z", ("u", "p@ss"))),
        ("https://u@[::1]:5000", ("https://[::1]:5000", ("u", ""))),
        ("http://host:5000", ("http://host:5000", None)),
        ("postgresql://u:p@host/mlflow", ("postgresql://u:p@host/mlflow", None)),
        ("", ("", None)),
    ],
)
def test_user_and_password_are_taken_out_of_http_addresses_alone(url, expected):
    assert split_credentials(url) == expected
