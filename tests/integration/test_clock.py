"""A job of the rationale factory whose clock is set back in the middle of it, by Debian's libfaketime.

What it shifts is what a process reads as the date (`time.time`, `datetime.now`, the times of files). The monotonic
clock runs on, as it does when an operator or NTP sets a machine's clock.
"""

import itertools
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from components.contracts.artifacts import ACCOUNT_FILE, RESPONSES_FILE
from components.contracts.batch_format import make_request, read_lines
from components.contracts.language_model import LanguageModel
from components.language_model.account import read_account
from tests.contract.chat_endpoint import Reply, answer, chat_endpoint
from tests.performance.kill_trials import Job, make_job

pytestmark = pytest.mark.services

USERS = 40
SET_BACK_AFTER = 10  # requests


@pytest.fixture
def clock(tmp_path, missing_dependency) -> tuple[Path, dict[str, str]]:
    """A file that says how far from the machine's clock another one is, and the environment of a process with it."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        missing_dependency("no libfaketime: `make services` installs it")
    file = tmp_path / "clock"
    file.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",  # the file is read at every look at the clock
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return file, environment


def read_date(environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", "import time; print(time.time())"]
    return float(subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True).stdout)


def end(job: Job) -> None:
    with job.start() as process:
        try:
            status = process.wait(timeout=120)
        finally:
            process.kill()
    assert status == 0, (job.folder / "errors.txt").read_text()


def test_a_clock_that_is_set_back_changes_nothing_and_asks_nothing_twice(tmp_path, clock):
    file, environment = clock
    before = read_date(environment)
    numbers = itertools.count(1)
    told_to_wait: list[int] = []

    def script(_body, asked_before):
        number = next(numbers)
        if number == SET_BACK_AFTER:
            file.write_text("-1d\n")
        if number % 7 == 0 and not asked_before:
            told_to_wait.append(number)
            date = datetime.now(UTC) + timedelta(seconds=1)  # of the endpoint's clock, which nobody touched
            return Reply(503, headers={"Retry-After": format_datetime(date, usegmt=True)})
        return answer()

    job = make_job(tmp_path / "job", "openai", USERS, LanguageModel(name="stub"))
    with chat_endpoint(script) as endpoint:
        job.environment.update(environment, RELAND_OPENAI_BASE_URL=endpoint.url)
        end(job)
        assert read_date(environment) < before - 80_000  # the date went back, as far as the job can tell
        ids = [make_request(body)["custom_id"] for body in endpoint.bodies]
        assert len(set(ids)) == USERS and len(ids) == USERS + len(told_to_wait)
        assert max(told_to_wait) > SET_BACK_AFTER
        # Next week by the run's count, which is a month ago by its clock.
        file.write_text("-30d\n")
        end(job)
        assert len(endpoint.bodies) == len(ids)
    responses = [row for _, row in read_lines(job.folder / "responses" / RESPONSES_FILE)]
    assert len(responses) == USERS and all(row["error"] is None for row in responses)
    account = read_account(job.folder / "responses" / ACCOUNT_FILE)
    assert (account.behind.calls, account.inferences, account.not_asked) == (USERS, 0, 0)
    assert 0 <= account.hours < 0.1
