"""When a generation was begun, as its name tells."""

from datetime import UTC, datetime

from components.contracts.generation import generation_begun, generation_id


def test_a_name_tells_when_the_generation_was_begun():
    moment = datetime(2026, 11, 20, 9, 30, 5, 7_000, tzinfo=UTC)
    assert generation_begun(generation_id(moment)) == moment.replace(microsecond=0)


def test_a_name_that_a_run_was_given_tells_nothing():
    for name in ("one", "", "20261399t000000000"):
        assert generation_begun(name) is None
