"""How the `reland` command ends."""

import sys
from types import SimpleNamespace

import pytest

from components.foundation.errors import ConflictError, EnvironmentFaultError, InputError
from pipelines.running.run_log import StepFailedError
from reland import main as module
from serving.rollout import guard


def ended(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reland", *arguments])
    with pytest.raises(SystemExit) as end:
        module.main()
    return end.value.code


@pytest.mark.parametrize(
    ("kind", "status"), [(StepFailedError, 1), (InputError, 2), (EnvironmentFaultError, 3), (ConflictError, 4)]
)
def test_a_failure_is_one_line_and_its_kind_is_the_status(monkeypatch, capsys, kind, status):
    def fail():
        raise kind("a file:\nat fault")

    monkeypatch.setattr(module, "app", fail)
    assert ended(monkeypatch) == status
    assert capsys.readouterr().err == "reland: a file: at fault\n"


def test_a_breached_guardrail_is_a_conflict(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path))
    breached = SimpleNamespace(breached=["coverage 0.1, limit 0.2"], ended=False)
    monkeypatch.setattr(guard, "watch", lambda *_: breached)
    assert ended(monkeypatch, "rollout", "guard") == 4
    assert capsys.readouterr().err.splitlines()[-1] == "reland: aborted: coverage 0.1, limit 0.2"
