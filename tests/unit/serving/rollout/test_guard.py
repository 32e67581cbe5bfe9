"""Outcomes that the guard joins to the lists it has seen."""

import pyarrow as pa

from components.contracts.serving import EXPOSURES, OUTCOME_EVENTS
from serving.rollout.guard import OUTCOME_SECONDS, OutcomeJoin, StageMeasures
from serving.rollout.guardrails import Limits


def served(arm: str, users: range) -> pa.Table:
    """A list of five items for each user."""
    rows = [
        {
            "request_id": f"{arm} {user}",
            "user_id": f"user of {arm} {user}",
            "endpoint": "recommend",
            "arm": arm,
            "state": 1,
            "model": "reland_ranker",
            "model_version": 1,
            "generation": "one",
            "items": list("abcde"),
            "positions": [1, 2, 3, 4, 5],
            "scores": [0.0] * 5,
            "ladder_step": "fresh",
            "cold_start": False,
            "rationale_id": "r",
            "seconds_total": 0.01,
            "time": 0,
        }
        for user in users
    ]
    return pa.Table.from_pylist(rows, EXPOSURES)


def happened(*events: tuple[str, str, str]) -> pa.Table:
    names = ("request_id", "item_id", "outcome")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) | {"time": 0} for row in events], OUTCOME_EVENTS)


NOTHING, NOBODY = happened(), served("candidate", range(0))


def test_each_outcome_counts_once_for_the_arm_of_its_list() -> None:
    join = OutcomeJoin()
    early = happened(("control 1", "a", "click"), ("other", "a", "click"))
    assert join.add(NOBODY, early, 0.0)[1].clicks.sum() == 0
    # The list of an event that was written before it is seen with the next look.
    lists = pa.concat_tables([served("candidate", range(2)), served("control", range(2)), served("champion", range(2))])
    clicks = happened(("candidate 0", "a", "click"), ("candidate 0", "a", "click"), ("champion 1", "a", "click"))
    candidate, control = join.add(lists, clicks, 1.0)
    assert (candidate.impressions.sum(), candidate.clicks.sum()) == (10, 1)
    assert (control.impressions.sum(), control.clicks.sum()) == (10, 1)
    candidate, _ = join.add(NOBODY, happened(("candidate 0", "a", "click"), ("candidate 0", "a", "conversion")), 2.0)
    assert (candidate.clicks.sum(), candidate.conversions.sum()) == (0, 1)


def test_no_other_behavior_and_no_item_that_was_not_shown_counts() -> None:
    join = OutcomeJoin()
    events = happened(("candidate 0", "a", "cart"), ("candidate 0", "z", "click"), ("candidate 0", "e", "conversion"))
    candidate, _ = join.add(served("candidate", range(1)), events, 0.0)
    assert (candidate.clicks.sum(), candidate.conversions.sum()) == (0, 1)


def test_lists_wait_for_their_outcomes_for_a_time() -> None:
    join = OutcomeJoin()
    join.add(served("candidate", range(1)), NOTHING, 0.0)
    join.add(served("candidate", range(1, 2)), NOTHING, OUTCOME_SECONDS + 1)
    late = happened(("candidate 0", "a", "click"), ("candidate 1", "a", "click"))
    assert join.add(NOBODY, late, OUTCOME_SECONDS + 2)[0].clicks.sum() == 1


def test_a_candidate_that_nobody_clicks_is_found() -> None:
    """965 clicks of the control's 20,000 items, and none of as many of the candidate's: as the report once passed."""
    measures = StageMeasures()
    lists = pa.concat_tables([served("candidate", range(4_000)), served("control", range(4_000))])
    clicks = happened(*((f"control {user}", "a", "click") for user in range(0, 3_860, 4)))
    measures.add(lists, NOTHING, 0.0)
    assert measures.breached(Limits()) == []
    measures.add(NOBODY, clicks, 5.0)
    assert [guardrail.name for guardrail in measures.breached(Limits())] == ["ctr"]
