"""Faults under steady load, by the command that measures them all: those of which no other test has the parts."""

import os

import pytest

from tests.performance import serving_faults
from tests.performance.serving_faults import ASKED, FAULTS, lost_exposures, serving, trouble
from tests.serving_stack import NoRedisError

pytestmark = pytest.mark.services  # real parts are broken, hang and are gone


@pytest.fixture(scope="module")
def running(missing_dependency, triton_environment, tmp_path_factory):
    """`reland serve` with Redis, Triton and Milvus Lite, asked all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAND_TRITON_ENVIRONMENT", str(triton_environment))
        try:
            with serving(tmp_path_factory.mktemp("faults")) as started:
                yield started
        except NoRedisError as error:
            missing_dependency(str(error))


def fault(name: str) -> serving_faults.Fault:
    return next(fault for fault in FAULTS if fault.name == name)


@pytest.mark.parametrize("name", ["stubs killed", "stubs stopped"])
def test_a_stub_that_dies_or_hangs_costs_steps_and_no_request_and_the_top_step_is_back_in_time(running, name):
    outcome = trouble(running, fault(name))
    assert outcome.failed == 0 and outcome.wrong == 0
    assert outcome.back <= ASKED
    assert outcome.steps.get("popular", 0) > 0  # without models


def test_a_full_disk_costs_no_request_and_no_exposure(running):
    if os.geteuid() != 0:
        pytest.skip("a small disk to fill is mounted, which needs root")
    first = len(running.answers)
    with serving_faults.unmounted_after(running):
        outcome = trouble(running, fault("exposure log's disk full"))
        assert outcome.failed == 0 and outcome.wrong == 0 and outcome.back == 0.0
        assert lost_exposures(running, running.answers[first:]) == 0
