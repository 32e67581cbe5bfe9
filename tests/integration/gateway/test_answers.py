"""What the gateway answers while everything behind it is there."""

import time

import numpy as np
import pytest

from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.serving import (
    EVENTS_FOLDER,
    EXPOSURES,
    EXPOSURES_FOLDER,
    ID_ONLY_MODEL,
    OUTCOME_EVENTS,
    RANKED_REQUESTS,
    RANKED_REQUESTS_FOLDER,
    log_folder,
    read_log,
)
from components.recommenders.ranker import Ranker

TEXT = 6


def pairs(answer: dict) -> dict[str, float]:
    return {item["item_id"]: item["score"] for item in answer["items"]}


def assert_ranked_by(ranker: Ranker, answer: dict, expected_scores, rationale) -> None:
    items = [item["item_id"] for item in answer["items"]]
    served = np.array([item["score"] for item in answer["items"]])
    assert (np.diff(served) <= 0).all()
    np.testing.assert_allclose(served, expected_scores(ranker, rationale, items), rtol=1e-3, atol=1e-4)


def test_candidates_are_ranked_as_pytorch_ranks_them_and_unknown_ones_are_listed(gateway, stack, scores_of):
    candidates = ["item 03", "no item", "item 30", "item 01", "item 07"]
    response = gateway.post("/v1/rank", {"user_id": "known", "candidates": candidates})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert sorted(pairs(answer)) == ["item 01", "item 03", "item 07", "item 30"]
    assert_ranked_by(stack.rankers[MODEL_NAME], answer, scores_of, [0.5] * TEXT)
    assert answer["unknown_items"] == ["no item"]
    assert answer["explanation"] == {
        "preference_summary": "likes quiet films",
        "rationale_id": "r1",
        "similarity": 0.75,
    }
    assert (answer["arm"], answer["model"], answer["model_version"]) == ("champion", MODEL_NAME, 1)
    assert (answer["ladder_step"], answer["cold_start"]) == ("fresh", False)


def test_a_recommendation_is_the_best_of_all_items_that_the_user_has_not_consumed(gateway, stack, scores_of):
    response = gateway.post("/v1/recommend", {"user_id": "known", "count": 10})
    answer = response.json()
    assert len(answer["items"]) == 10 and answer["candidates_from"] == "exact"
    assert_ranked_by(stack.rankers[MODEL_NAME], answer, scores_of, [0.5] * TEXT)
    others = [f"item {n:02}" for n in range(1, 31) if n not in (5, 7, 9)]
    scores = scores_of(stack.rankers[MODEL_NAME], [0.5] * TEXT, others)
    assert [item["item_id"] for item in answer["items"]] == [others[row] for row in np.argsort(-scores)[:10]]


def test_no_more_items_than_there_are(gateway):
    answer = gateway.post("/v1/recommend", {"user_id": "known", "count": 100}).json()
    assert len(answer["items"]) == 27


def test_a_user_without_a_rationale_is_ranked_by_the_same_model_without_one(gateway, stack, scores_of):
    for user in ("bare", "banned"):
        answer = gateway.post("/v1/rank", {"user_id": user, "candidates": ["item 03", "item 01"]}).json()
        assert (answer["ladder_step"], answer["model"], answer["explanation"]) == ("fresh", MODEL_NAME, None)
        assert_ranked_by(stack.rankers[MODEL_NAME], answer, scores_of, [0.0] * TEXT)


def test_a_rationale_of_another_text_encoder_is_refused(gateway, stack, scores_of):
    answer = gateway.post("/v1/rank", {"user_id": "misfit", "candidates": ["item 03", "item 01"]}).json()
    assert (answer["ladder_step"], answer["model"], answer["explanation"]) == ("id_only", ID_ONLY_MODEL, None)
    assert_ranked_by(stack.rankers[ID_ONLY_MODEL], answer, scores_of, [0.0] * TEXT)
    assert gateway.metric("mismatches_total", feature="rationale") >= 1


@pytest.mark.parametrize("user", ["nobody", "known\x00", "known ", "KNOWN", "known'--", "🎬", "x" * 512])
def test_an_unknown_user_gets_what_is_popular(gateway, user):
    answer = gateway.post("/v1/recommend", {"user_id": user, "count": 3}).json()
    assert [item["item_id"] for item in answer["items"]] == ["item 30", "item 29", "item 28"]
    assert (answer["ladder_step"], answer["model"], answer["cold_start"]) == ("popular", "popular", True)
    assert answer["explanation"] is None
    ranked = gateway.post("/v1/rank", {"user_id": user, "candidates": ["item 02", "item 12"]}).json()
    assert pairs(ranked) == {"item 12": 12.0, "item 02": 2.0}
    assert list(pairs(ranked)) == ["item 12", "item 02"]


def test_candidates_that_are_all_unknown_are_all_listed(gateway):
    answer = gateway.post("/v1/rank", {"user_id": "known", "candidates": ["a", "b"]}).json()
    assert (answer["items"], answer["unknown_items"]) == ([], ["a", "b"])


def test_an_explanation_is_the_borrowed_one(gateway):
    answer = gateway.client.get("/v1/explanations/known").json()
    assert answer["explanation"]["preference_summary"] == "likes quiet films"
    assert (answer["ladder_step"], answer["cold_start"], answer["model_version"]) == ("fresh", False, 1)
    for user, cold in (("bare", False), ("banned", False), ("misfit", False), ("nobody", True), ("a/b", True)):
        answer = gateway.client.get(f"/v1/explanations/{user}").json()
        assert (answer["explanation"], answer["cold_start"]) == (None, cold)


@pytest.mark.slow
def test_what_is_served_and_what_becomes_of_it_is_logged(gateway, stack):
    answer = gateway.post("/v1/recommend", {"user_id": "known", "count": 2}).json()
    items = [item["item_id"] for item in answer["items"]]
    event = {"request_id": answer["request_id"], "item_id": items[1], "outcome": "click", "time": 1_700_000_000}
    response = gateway.post("/v1/events", {"events": [event]})
    assert (response.status_code, response.json()) == (202, {"accepted": 1, "refused": []})
    invented = event | {"request_id": "f" * 56}
    response = gateway.post("/v1/events", {"events": [invented, event | {"time": "2023-11-14T22:13:20Z"}]})
    assert response.json() == {"accepted": 1, "refused": [{"index": 0, "reason": "no request of this gateway"}]}
    assert gateway.post("/v1/events", {"events": [invented]}).status_code == 422

    def row_of(folder, schema) -> dict:
        for _ in range(400):
            for row in read_log(log_folder(stack.settings, folder), schema).to_pylist():
                if row["request_id"] == answer["request_id"]:
                    return row
            time.sleep(0.1)
        raise AssertionError(f"{folder}: the request is not logged within 40 s")

    exposure = row_of(EXPOSURES_FOLDER, EXPOSURES)
    assert (exposure["items"], exposure["positions"]) == (items, [1, 2])
    np.testing.assert_allclose(exposure["scores"], [item["score"] for item in answer["items"]], rtol=1e-6)
    told = (
        "user_id",
        "endpoint",
        "arm",
        "state",
        "model",
        "model_version",
        "ladder_step",
        "cold_start",
        "rationale_id",
    )
    assert [exposure[name] for name in told] == [
        *("known", "recommend", "champion", 1, MODEL_NAME, 1, "fresh", False, "r1")
    ]
    stages = [exposure[f"seconds_{stage}"] for stage in ("features", "candidates", "ranking")]
    assert all(seconds > 0 for seconds in stages) and exposure["seconds_total"] >= sum(stages) * 0.999

    outcome = row_of(EVENTS_FOLDER, OUTCOME_EVENTS)
    assert (outcome["item_id"], outcome["outcome"], outcome["time"].timestamp()) == (items[1], "click", 1_700_000_000)

    asked = row_of(RANKED_REQUESTS_FOLDER, RANKED_REQUESTS)
    assert asked["history"] == [9, 5, 7] + [0] * 47 and asked["rationale"] == [0.5] * TEXT
    assert len(asked["candidates"]) == len(asked["scores"]) == 27
    assert (asked["model"], asked["model_version"], asked["slot"]) == (MODEL_NAME, 1, "blue")


def test_metrics_say_what_was_answered_and_name_no_user(gateway):
    gateway.post("/v1/rank", {"user_id": "known", "candidates": ["item 03"]})
    assert gateway.metric("answers_total", endpoint="rank", step="fresh", arm="champion") >= 1
    assert gateway.metric("stage_seconds_count", stage="ranking") >= 1
    assert gateway.metric("responses_total", route="/v1/rank", status="200") >= 1
    assert gateway.metric("cache_total", cache="user", result="hit") >= 1
    assert gateway.metric("feature_age_seconds_count") >= 1
    # Of a user who is known speak the help, and the name of a step that a busy machine may have served.
    lines = gateway.client.get("/metrics").text.replace('step="last_known"', "").splitlines()
    samples = "\n".join(line for line in lines if not line.startswith("#"))
    assert "known" not in samples and "item 03" not in samples


def test_health_and_readiness(gateway):
    assert gateway.client.get("/healthz").json() == {"status": "ok"}
    assert gateway.client.get("/readyz").json() == {
        "status": "ready",
        "state": 1,
        "arms": {"champion": 1},
        "open_circuits": [],
        "newer_record_refused": False,
        "newer_exclusions_refused": False,
    }


def test_neither_users_nor_rationales_are_in_what_the_process_prints(gateway):
    gateway.client.get("/v1/explanations/known")
    text = gateway.log.read_text()
    assert "gateway: http://127.0.0.1:" in text
    assert "known" not in text and "quiet" not in text
