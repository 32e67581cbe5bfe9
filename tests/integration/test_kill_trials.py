"""A job of the rationale factory that is killed at random moments; the whole measurement is tests/performance."""

import pytest

from tests.performance.kill_trials import with_stub, with_vllm


def check(outcome, requests, kills):
    assert (outcome.requests, outcome.kills, outcome.unanswered) == (requests, kills, 0)
    assert (outcome.asked_twice, outcome.lost) == (0, 0)
    # Something was finished at a kill, so that something could have been lost or asked twice.
    assert outcome.finished_at_kills > 0
    # And what was asked was seen, so that it could have been seen to be asked twice: every answer was asked for.
    assert outcome.handed_over >= outcome.finished


@pytest.mark.slow
def test_a_job_that_is_killed_loses_nothing_and_asks_nothing_twice(tmp_path):
    outcome = with_stub(tmp_path, users=60, kills=2)
    check(outcome, 60, 2)
    # Each request and each further attempt is answered once, and what was under way at a kill once more.
    assert outcome.handed_over <= outcome.finished + 2 * 32


@pytest.mark.vllm
def test_the_same_with_real_vllm(tmp_path, vllm_python, monkeypatch):
    monkeypatch.setenv("RELAND_VLLM_PYTHON", str(vllm_python))
    check(with_vllm(tmp_path, users=60, kills=2), 60, 2)
