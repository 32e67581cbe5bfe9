"""Requests: their content, their hash, and what must never be in them."""

import hashlib
import re
from dataclasses import replace

from components.contracts.batch_format import canonical_json
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request
from components.rationale_generation.request_building import (
    build_seed_requests,
    read_seed_requests,
    write_seed_requests,
)

VERSION = "recommendation-v1"
TEMPLATE = read_template(VERSION)


def build(prepared, seeds, model="m"):
    return build_seed_requests(prepared, seeds, VERSION, model)


def test_the_request_is_the_document_after_the_shared_instruction(catalogue):
    request = build_request(condense([]), TEMPLATE, catalogue, "m")
    assert request["method"] == "POST" and request["url"] == "/v1/chat/completions"
    assert request["body"]["messages"] == [
        {"role": "system", "content": TEMPLATE.system},
        {"role": "user", "content": '{"history": [], "category_counts": {}}'},
    ]
    assert request["body"]["response_format"]["json_schema"]["schema"] == TEMPLATE.answer_schema()
    assert request["custom_id"] == hashlib.sha256(canonical_json(request["body"]).encode()).hexdigest()


def test_the_hash_covers_prompt_and_model(catalogue):
    base = build_request(condense([]), TEMPLATE, catalogue, "m")["custom_id"]
    assert build_request(condense([]), TEMPLATE, catalogue, "m")["custom_id"] == base
    assert build_request(condense([]), replace(TEMPLATE, system="Another."), catalogue, "m")["custom_id"] != base
    assert build_request(condense([]), TEMPLATE, catalogue, "n")["custom_id"] != base


def test_a_request_that_was_asked_before_has_the_same_id_so_that_its_answer_is_used_again(catalogue):
    history = condense([catalogue.items["casablanca"], catalogue.items["alien"]])
    request = build_request(history, TEMPLATE, catalogue, "m")
    assert request["custom_id"] == "ee00e488c1f6174acbf5ac1645caeaf8fa819f0d794647b26e572f52c7e6f015"


def test_no_user_id_is_in_a_prompt(prepared, seeds):
    text = " ".join(
        message["content"] for request in build(prepared, seeds).requests for message in request["body"]["messages"]
    )
    assert not any(re.search(rf"\b{user}\b", text) for user in ("ann", "bob", "cid"))


def test_held_out_interactions_change_no_byte(prepare, seeds, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, held_out in zip(folders, [("emma", "emma"), ("dune", "casablanca")], strict=True):
        write_seed_requests(build(prepare(*held_out), seeds), folder)
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second and len(first) == 2
    assert b"Emma" not in first["requests.jsonl"]  # held out of everyone's history


def test_seed_users_with_equal_prompts_share_a_request(prepared, seeds, monkeypatch):
    from components.rationale_generation import request_building

    monkeypatch.setattr(
        request_building, "condense_histories", lambda _prepared, users, _catalogue: dict.fromkeys(users, condense([]))
    )
    content = build(prepared, seeds)
    assert len(content.requests) == 1
    assert list(content.request_of_seed) == ["ann", "bob", "cid"]
    assert content.seed_of_request == {content.requests[0]["custom_id"]: "ann"}


def test_requests_are_read_back_as_written(prepared, seeds, tmp_path):
    content = build(prepared, seeds)
    write_seed_requests(content, tmp_path / "requests")
    assert read_seed_requests(tmp_path / "requests") == content
    ids = [request["custom_id"] for request in content.requests]
    assert ids == sorted(ids)
