"""The three steps in a row, as the pipeline calls them."""

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from components.contracts.artifacts import RATIONALES_FILE, REJECTED_RATIONALES_FILE
from components.contracts.batch_format import make_response, read_lines, write_lines
from components.contracts.language_model import LanguageModel, write_language_model
from components.contracts.tables import RATIONALES, REJECTED_RATIONALES, read_table
from components.foundation.errors import InputError
from components.language_model.configuration import RATIONALE_TEXTS
from components.rationale_generation.component import build_prompts, generate_rationales, validate_rationales
from components.rationale_generation.rationale_table import make_rationale_id, text_to_encode
from components.rationale_generation.validation import ValidAnswer
from tests.contract.chat_endpoint import CONTENT, answer, answer_with, chat_endpoint


def run(
    prepared,
    seeds,
    output,
    engine,
    recorded="",
    tamper=None,
    shards=1,
    model="",
    ceilings=(0, 0, 0.0),
    version="recommendation-v1",
):
    prepared, seeds = (SimpleNamespace(path=str(path)) for path in (prepared, seeds))
    tuned, requests, rationales, report = (
        SimpleNamespace(path=str(output / name)) for name in ("tuned", "requests", "rationales", "report.json")
    )
    output.mkdir()
    write_language_model(output / "tuned", LanguageModel(name=model))
    max_calls, max_tokens, max_cost = ceilings
    section = {
        "rationale_engine": engine,
        "recorded_rationales": str(recorded),
        "prompt_version": version,
        "shards": shards,
        "max_calls": max_calls,
        "max_tokens": max_tokens,
        "max_cost": max_cost,
    }
    numbers = build_prompts.python_func(prepared, seeds, tuned, section, requests)
    responses = [SimpleNamespace(path=str(output / f"responses-{shard}")) for shard in numbers]
    for shard, answered in enumerate(responses):
        generate_rationales.python_func(requests, prepared, tuned, section, shard, answered)
    if tamper:
        path = output / "responses-0" / "responses.jsonl"
        write_lines(path, tamper([row for _, row in read_lines(path)]))
    validate_rationales.python_func(requests, responses, prepared, section, rationales, report)
    folder = output / "rationales"
    return (
        read_table(folder / RATIONALES_FILE, RATIONALES).to_pylist(),
        read_table(folder / REJECTED_RATIONALES_FILE, REJECTED_RATIONALES).to_pylist(),
        json.loads((output / "report.json").read_text())["generation_cost"],
    )


def test_template(prepared, seeds, tmp_path):
    rationales, rejected, cost = run(prepared, seeds, tmp_path / "a", "template")
    assert [row["seed_user_id"] for row in rationales] == ["ann", "bob", "cid"]
    assert rejected == []
    expected = {
        "engine": "template",
        "model": "template-v1 (no language model)",
        "inferences": 3,
        "reused": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "rejected": 0,
        "ceiling": "",
    }
    assert {name: cost[name] for name in expected} == expected
    # 3 users and 6 items; 8 training interactions and two held out of each user.
    assert {name: method["calls"] for name, method in cost["methods"].items()} == {"reland": 3, "kar": 9, "slim": 14}
    assert cost["per_thousand_users"]["calls"] == 1000
    assert {(row["engine"], row["model"]) for row in rationales} == {("template", "template-v1 (no language model)")}
    # ann chose Alien and Brazil: Dune is the Sci-Fi film that is left, and there is no other Horror film.
    assert rationales[0]["recommendation"] == "Recommended categories: Sci-Fi, Horror; recommended items: Dune (1984)."
    assert rationales[0]["items"] == ["dune"]


def test_the_ablation_is_run_by_its_name(prepared, seeds, tmp_path):
    rationales, rejected, _ = run(prepared, seeds, tmp_path / "a", "template", version="direct-v1")
    assert {row["prompt_version"] for row in rationales} == {"direct-v1"} and len(rationales) == 3 and not rejected
    for _, request in read_lines(tmp_path / "a" / "requests" / "requests.jsonl"):
        schema = request["body"]["response_format"]["json_schema"]["schema"]
        assert schema["required"] == ["categories", "items", "preference_summary"]
        assert "Step 1" not in request["body"]["messages"][0]["content"]


def test_two_runs_and_other_held_out_rows_give_equal_bytes(prepare, seeds, tmp_path):
    for name, held_out in (("a", ("emma", "emma")), ("b", ("emma", "emma")), ("c", ("alien", "dune"))):
        run(prepare(*held_out), seeds, tmp_path / name, "template")
    for file in ("requests/requests.jsonl", "requests/seed_requests.parquet", "responses-0/responses.jsonl",
                 "rationales/rationales.parquet"):  # fmt: skip
        assert len({(tmp_path / name / file).read_bytes() for name in "abc"}) == 1, file


def test_recorded_by_user(prepared, seeds, tmp_path):
    recorded = tmp_path / "recorded.jsonl"
    row = {"user_id": "ann", "model": "gpt", "preference_summary": "Likes space.", "recommendation": "Any sci-fi."}
    write_lines(recorded, [row, {**row, "user_id": "cid", "recommendation": ""}])
    rationales, rejected, cost = run(prepared, seeds, tmp_path / "a", "recorded", recorded)
    assert [(row["seed_user_id"], row["recommendation"], row["categories"]) for row in rationales] == [
        ("ann", "Any sci-fi.", ["Sci-Fi"])
    ]
    assert [(row["seed_user_id"], row["reason"], row["detail"]) for row in rejected] == [
        ("bob", "not_recorded", "the file of recorded answers has none for this request"),
        ("cid", "length", "recommendation is empty"),
    ]
    assert (cost["engine"], cost["model"], cost["inferences"], cost["reused"], cost["rejected"]) == (
        "recorded", "gpt", 0, 2, 2,
    )  # fmt: skip


def test_recorded_batch_output_answers_the_same_requests(prepared, seeds, tmp_path):
    first, _, _ = run(prepared, seeds, tmp_path / "a", "template")
    batch = tmp_path / "a" / "responses-0" / "responses.jsonl"
    second, _, cost = run(prepared, seeds, tmp_path / "b", "recorded", batch)
    assert (cost["inferences"], cost["reused"]) == (0, 3)
    assert [{**row, "engine": ""} for row in first] == [{**row, "engine": ""} for row in second]


def test_rejected_answers_are_kept_with_the_reason_and_rationale_ids_are_opaque(prepared, seeds, tmp_path):
    def break_first(responses):
        return [make_response(responses[0]["custom_id"], "m", "no JSON", 1, 1), *responses[1:]]

    rationales, rejected, cost = run(prepared, seeds, tmp_path / "a", "template", tamper=break_first)
    assert cost["rejected"] == 1 and len(rationales) == 2
    assert [rejected[0][name] for name in ("reason", "detail", "answer")] == ["not_json", "not JSON", "no JSON"]
    for row in rationales:
        assert len(row["rationale_id"]) == 32 and row["seed_user_id"] not in row["rationale_id"]


def test_a_rationale_id_stands_for_the_texts_that_are_served():
    answer = ValidAnswer("s", ["C"], ["i"], "r", "r and w")
    expected = hashlib.sha256(b'["a","s","r"]').hexdigest()[:32]
    assert make_rationale_id("a", answer, "r") == expected
    # Of the same answer another catalogue leaves another text.
    other = ValidAnswer("s", ["C"], [], "r, but one item", "r and w", dropped_items=1)
    assert make_rationale_id("a", other, "r, but one item") != expected
    # A vector of another text is another row.
    assert make_rationale_id("a", answer, "r and w") == hashlib.sha256(b'["a","s","r","r and w"]').hexdigest()[:32]


def test_what_is_encoded_is_chosen():
    answer = ValidAnswer("Likes space.", ["Sci-Fi"], ["i"], "Resolved.", "Written.")
    texts = [text_to_encode(answer, which) for which in RATIONALE_TEXTS]
    assert texts == ["Resolved.", "Written.", "Likes space.", "Likes space. Written."]
    # Where every name that was written breaks a rule, those of the catalogue are left.
    assert text_to_encode(replace(answer, written=""), "written") == "Resolved."


def test_a_paid_engine_in_shards_is_asked_once_and_again_where_an_answer_is_invalid(
    prepared, seeds, tmp_path, monkeypatch
):
    """Over the wire: the first answer to every request is no JSON, those to other seeds are valid."""

    def script(body, _asked_before):
        return answer("Sure! Here is" if "seed" not in body else CONTENT)

    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RELAND_GPU_TOKENS_PER_SECOND", "10")
    with chat_endpoint(script) as endpoint:
        monkeypatch.setenv("RELAND_OPENAI_BASE_URL", endpoint.url)
        rationales, rejected, cost = run(prepared, seeds, tmp_path / "a", "openai", model="stub", shards=5)
        assert len(rationales) == 3 and not rejected and len(endpoint.bodies) == 6
        assert (cost["inferences"], cost["asked_again"], cost["reused"]) == (6, 3, 0)
        # An answer of the stub is 7 + 3 tokens, one second of a GPU; KAR's 9 calls are as many seconds.
        assert (cost["calls"], cost["prompt_tokens"], cost["completion_tokens"]) == (6, 42, 18)
        assert cost["methods"]["kar"]["gpu_hours"] == pytest.approx(9 / 3600, abs=1e-6)
        # Next week, in another number of shards: everything is there.
        again, _, cost = run(prepared, seeds, tmp_path / "b", "openai", model="stub", shards=2)
        assert again == rationales and len(endpoint.bodies) == 6
        assert (cost["inferences"], cost["reused"], cost["calls"]) == (0, 3, 0)
        assert cost["methods"]["reland"]["calls"] == 6


def test_answers_without_a_text_are_counted_under_their_reasons_and_asked_for_once(
    prepared, seeds, tmp_path, monkeypatch, capsys
):
    """Over the wire: one seed user's answer is refused, one is cut off within its JSON, one is valid."""
    cut = answer_with({"message": {"content": '{"preference_summary": "Likes'}, "finish_reason": "length"})
    refused = answer_with({"message": {"content": None, "refusal": "I cannot help."}, "finish_reason": "stop"})
    replies = {}

    def script(body, _repeats):
        user = body["messages"][-1]["content"]
        if user not in replies:
            replies[user] = [refused, cut, answer()][len(replies)]
        return replies[user]

    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    with chat_endpoint(script) as endpoint:
        monkeypatch.setenv("RELAND_OPENAI_BASE_URL", endpoint.url)
        for name, calls in (("a", 5), ("b", 0)):
            rationales, rejected, cost = run(prepared, seeds, tmp_path / name, "openai", model="stub")
            assert len(rationales) == 1 and cost["calls"] == calls
            assert sorted((row["reason"], row["detail"]) for row in rejected) == [
                ("cut_off", "cut off (finish_reason length)"),
                ("refusal", "the model refused to answer"),
            ]
    assert len(endpoint.bodies) == 5  # the refused one once, the valid one once, that with the broken text three times
    assert "2 answers rejected (" in capsys.readouterr().out
    assert cost["reused"] == 3 and cost["methods"]["reland"]["calls"] == 5


def test_a_ceiling_leaves_a_partial_result_that_says_so(prepared, seeds, tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    with chat_endpoint(lambda *_: answer()) as endpoint:
        monkeypatch.setenv("RELAND_OPENAI_BASE_URL", endpoint.url)
        rationales, rejected, cost = run(prepared, seeds, tmp_path / "a", "openai", model="stub", ceilings=(2, 0, 0.0))
    assert len(rationales) == 2 and cost["ceiling"] == "max_calls" and cost["not_asked"] == 1
    assert [row["detail"] for row in rejected] == ["not asked, because of the ceiling max_calls"]
    assert cost["forecast"]["calls"] == 3


def test_no_valid_answer_ends_the_run(prepared, seeds, tmp_path):
    def break_all(responses):
        return [make_response(row["custom_id"], "m", "no JSON", 1, 1) for row in responses]

    with pytest.raises(InputError, match=r"no valid rationale of 3 answers \(not_json 3\); the first answer: not JSON"):
        run(prepared, seeds, tmp_path / "a", "template", tamper=break_all)


def test_seed_users_who_share_a_request_share_the_rationale_and_cost_one_inference(prepared, seeds, tmp_path):
    from components.language_model.template_engine import TemplateEngine
    from components.prompting.catalogue import load_catalogue
    from components.prompting.history import condense
    from components.prompting.prompt_template import read_template
    from components.prompting.prompts import build_request
    from components.rationale_generation.rationale_table import validate_responses
    from components.rationale_generation.request_building import SeedRequests
    from components.rationale_generation.validation import AnswerValidator

    catalogue = load_catalogue(prepared)
    request = build_request(condense([catalogue.items["alien"]]), read_template("recommendation-v1"), catalogue, "m")
    asked = SeedRequests([request], {"ann": request["custom_id"], "bob": request["custom_id"]}, "v")
    responses = list(TemplateEngine(catalogue).generate([request]))
    result = validate_responses(asked, responses, TemplateEngine, AnswerValidator(catalogue, free_text=False))
    assert len(set(result.rationales["rationale_id"].to_pylist())) == 1
    assert result.answered == 2  # of which one answer was made, and one is reused
