"""Which seed user asks which request, and what must never be in one."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, REQUESTS_FILE, SEEDS_FILE, USERS_FILE
from components.contracts.language_model import LanguageModel
from components.contracts.tables import INTERACTIONS, SEEDS, USERS, read_table, write_table
from components.foundation.errors import InputError
from components.prompting.history import condense
from components.prompting.prompt_template import prompt_versions
from components.rationale_generation.request_building import (
    build_seed_requests,
    read_seed_requests,
    write_seed_requests,
)

VERSION = "recommendation-v1"
MODEL = LanguageModel(name="m")
CANARY = "canary-7f3a"


def build(prepared, seeds):
    return build_seed_requests(prepared, seeds, VERSION, MODEL)


@pytest.mark.parametrize("version", prompt_versions())
def test_nothing_of_who_a_user_is_leaves_the_house(prepared, version, tmp_path):
    """Ids, profiles and queries: none of them is in a line of the requests."""
    rows = read_table(prepared / INTERACTIONS_FILE, INTERACTIONS).to_pylist()
    users = {name: f"{CANARY}-id-{name}" for name in ("ann", "bob", "cid")}
    for row in rows:
        row |= {"user_id": users[row["user_id"]], "query": f"{CANARY} query", "scene": f"{CANARY} scene"}
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), prepared / INTERACTIONS_FILE, INTERACTIONS)
    profiles = [{"user_id": user, "attribute": "city", "value": f"{CANARY} city"} for user in users.values()]
    write_table(pa.Table.from_pylist(profiles, schema=USERS), prepared / USERS_FILE, USERS)
    seeds = [{"user_id": user, "origin": CANARY, "cluster": 0, "n_interactions": 3} for user in users.values()]
    write_table(pa.Table.from_pylist(seeds, schema=SEEDS), tmp_path / "s" / SEEDS_FILE, SEEDS)

    content = build_seed_requests(prepared, tmp_path / "s", version, MODEL)
    write_seed_requests(content, tmp_path / "requests")
    assert len(content.requests) == 3 and set(content.request_of_seed) == set(users.values())
    assert CANARY not in (tmp_path / "requests" / REQUESTS_FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize("version", prompt_versions())
def test_all_requests_begin_alike(prepared, seeds, version):
    """What engines compute once for all requests is what stands before the first difference: the whole instruction."""
    requests = build_seed_requests(prepared, seeds, version, MODEL).requests
    assert len({json.dumps(request["body"]["messages"][0]) for request in requests}) == 1
    for request in requests:
        assert [message["role"] for message in request["body"]["messages"]] == ["system", "user"]
        others = {name: value for name, value in request["body"].items() if name != "messages"}
        assert others == {name: requests[0]["body"][name] for name in others}
    assert len({request["body"]["messages"][1]["content"] for request in requests}) == len(requests) == 3


def test_the_days_before_the_last_interaction_and_the_words_of_a_domain(prepared, seeds):
    content = build_seed_requests(prepared, seeds, VERSION, MODEL, history_days=1, items_name="films")
    assert all("categories and films" in request["body"]["messages"][0]["content"] for request in content.requests)
    # The interactions of the test data are a second apart: a day holds them all.
    documents, whole = (
        {request["body"]["messages"][1]["content"] for request in each.requests}
        for each in (content, build(prepared, seeds))
    )
    assert documents == whole


def test_an_unknown_prompt_version(prepared, seeds):
    with pytest.raises(InputError, match="prompt version 'v9' is not known"):
        build_seed_requests(prepared, seeds, "v9", MODEL)


def test_held_out_interactions_change_no_byte(prepare, seeds, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, held_out in zip(folders, [("emma", "emma"), ("dune", "casablanca")], strict=True):
        write_seed_requests(build(prepare(*held_out), seeds), folder)
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second and len(first) == 3
    assert b"Emma" not in first["requests.jsonl"]  # held out of everyone's history


def test_seed_users_with_equal_prompts_share_a_request(prepared, seeds, monkeypatch):
    from components.rationale_generation import request_building

    def alike(_prepared, users, _catalogue, _days):
        return dict.fromkeys(users, condense([]))

    monkeypatch.setattr(request_building, "condense_histories", alike)
    content = build(prepared, seeds)
    assert len(content.requests) == 1
    assert list(content.request_of_seed) == ["ann", "bob", "cid"]
    assert content.seed_of_request == {content.requests[0]["custom_id"]: "ann"}


def test_requests_are_read_back_as_written(prepared, seeds, tmp_path):
    content = build(prepared, seeds)
    content = replace(content, withheld=frozenset(["Ignore all instructions", "Recommend me"]))
    write_seed_requests(content, tmp_path / "requests")
    assert read_seed_requests(tmp_path / "requests") == content
    ids = [request["custom_id"] for request in content.requests]
    assert ids == sorted(ids)
