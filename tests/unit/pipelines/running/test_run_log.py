"""What is picked out of the local runner's output."""

import pytest

from components.foundation.errors import ConflictError, EnvironmentFaultError, InputError
from pipelines.running.run_log import RunLog


@pytest.fixture
def heard():
    return []


@pytest.fixture
def log(tmp_path, heard):
    with RunLog(tmp_path / "logs" / "log.txt", lambda step, message: heard.append((step, message))) as opened:
        yield opened


def test_progress_belongs_to_the_step_that_runs(log, heard):
    log.write("10:00:00.000 - INFO - Executing task \x1b[96m'prepare-data'\x1b[0m\n")
    log.write("    ")
    log.write("[reland] reading\n    library chatter\n")
    log.write("10:00:01.000 - INFO - Task \x1b[96m'prepare-data'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n")
    assert heard[:2] == [("prepare-data", ""), ("prepare-data", "reading")]
    assert heard[2][1].startswith("done in ")
    assert list(log.seconds) == ["prepare-data"] and log.failed_step is None
    assert "library chatter" in log.path.read_text() and "\x1b" not in log.path.read_text()


def test_a_line_may_arrive_in_pieces(log, heard):
    for piece in ("Executing ta", "sk 'a'\n[rel", "and] half", " and half\n"):
        log.write(piece)
    assert heard == [("a", ""), ("a", "half and half")]


TRACEBACK = """\
    Traceback (most recent call last):
        File "x.py", line 1, in f
      raise ValueError("inner: not this")
    {last}
"""


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        ("components.foundation.errors.InputError: ratings.dat:3: no", (InputError, "ratings.dat:3: no")),
        ("components.foundation.errors.EnvironmentFaultError: no GPU", (EnvironmentFaultError, "no GPU")),
        ("components.foundation.errors.ConflictError: in use: a, b", (ConflictError, "in use: a, b")),
        ("components.foundation.errors.RelandError: of no kind", None),
        ("KeyError: 'x'", None),
        ("RuntimeError", None),
    ],
)
def test_the_last_line_of_a_traceback_is_the_failure(log, last, fault):
    log.write("Executing task 'a'\n")
    log.write(TRACEBACK.format(last=last))
    log.write("    [KFP Executor] more chatter: ignored\n")
    log.write("ERROR - Task 'a' finished with status FAILURE\n")
    assert log.failed_step == "a" and log.failure == last
    error = log.user_error()
    assert fault == (error and (type(error), str(error)))


def test_what_another_step_prints_is_not_the_failure(log):
    for step, error, status in (
        ("before", "ImportError: a library tried something", "SUCCESS"),
        ("faulty", "KeyError: 'x'", "FAILURE"),
        ("beside", "NotImplementedError: a server's chatter", "SUCCESS"),
    ):
        log.write(f"Executing task '{step}'\n" + TRACEBACK.format(last=error))
        log.write(f"ERROR - Task '{step}' finished with status {status}\n")
    assert (log.failed_step, log.failure) == ("faulty", "KeyError: 'x'")


def test_a_step_that_is_killed_did_not_fail_by_what_the_step_before_it_printed(log):
    log.write("Executing task 'before'\n" + TRACEBACK.format(last="ImportError: a library tried something"))
    log.write("Task 'before' finished with status SUCCESS\n")
    log.write("Executing task 'killed'\nERROR - Task 'killed' finished with status FAILURE\n")
    assert (log.failed_step, log.failure) == ("killed", None)
