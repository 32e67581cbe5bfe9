"""What every engine must do, over all engines."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.contracts.batch_format import make_response, read_answer, write_lines
from components.contracts.errors import InputError
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request
from components.rationale_generation.engine import RationaleEngine
from components.rationale_generation.engines import ENGINES, engine_class, engine_model, open_engine
from components.rationale_generation.recorded_engine import RecordedEngine
from components.rationale_generation.template_engine import TemplateEngine
from components.rationale_generation.validation import AnswerValidator

CATALOGUE = Catalogue(
    {
        name: Item(name, name.title(), "", (category,), popularity)
        for name, category, popularity in [("alien", "Sci-Fi", 3), ("dune", "Sci-Fi", 2), ("emma", "Drama", 1)]
    }
)
SEEDS = ["ann", "bob"]


def make_requests(model: str) -> list[dict]:
    histories = [condense([CATALOGUE.items["alien"]]), condense([CATALOGUE.items["emma"]])]
    return [build_request(history, read_template("recommendation-v1"), CATALOGUE, model) for history in histories]


def seed_of_request(model: str) -> dict[str, str]:
    return {request["custom_id"]: seed for request, seed in zip(make_requests(model), SEEDS, strict=True)}


def open_template(_folder: Path) -> RationaleEngine:
    return open_engine("template", CATALOGUE, "", {})


def open_recorded_batch(folder: Path) -> RationaleEngine:
    content = json.dumps({"preference_summary": "Likes it.", "categories": ["Drama"], "items": []})
    lines = [make_response(request["custom_id"], "gpt", content, 10, 5) for request in make_requests("gpt")]
    write_lines(folder / "batch.jsonl", lines)
    return open_engine("recorded", CATALOGUE, str(folder / "batch.jsonl"), {})


def open_recorded_text(folder: Path) -> RationaleEngine:
    row = {"model": "gpt", "preference_summary": "Likes it.", "recommendation": "Drama."}
    write_lines(folder / "text.jsonl", [{"user_id": seed, **row} for seed in SEEDS])
    return open_engine("recorded", CATALOGUE, str(folder / "text.jsonl"), seed_of_request("gpt"))


@pytest.fixture(params=[open_template, open_recorded_batch, open_recorded_text])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RationaleEngine]:
    opener: Callable[[Path], RationaleEngine] = request.param
    yield opener(tmp_path)


def test_every_engine_is_in_the_suite():
    assert set(ENGINES.values()) == {TemplateEngine, RecordedEngine}


def test_an_engine_that_nothing_opens_is_not_answered_by_another(monkeypatch):
    monkeypatch.setitem(ENGINES, "new", type("NewEngine", (TemplateEngine,), {"name": "new"}))
    with pytest.raises(NotImplementedError, match="new"):
        open_engine("new", CATALOGUE, "", {})


def test_it_is_listed_under_its_name(engine):
    assert ENGINES[engine.name] is type(engine)
    assert engine.model


def test_every_request_is_answered_once_in_the_batch_format(engine):
    requests = make_requests(engine.model)
    responses = list(engine.generate(requests))
    assert sorted(row["custom_id"] for row in responses) == sorted(row["custom_id"] for row in requests)
    for response in responses:
        assert set(response) == {"id", "custom_id", "response", "error"}
        assert response["error"] is None and response["response"]["status_code"] == 200
        assert response["response"]["body"]["choices"][0]["message"]["role"] == "assistant"
        assert read_answer(response).model == engine.model
        assert set(response["response"]["body"]["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_its_answers_are_valid(engine):
    validator = AnswerValidator(CATALOGUE, free_text=not engine.infers)
    requests = {request["custom_id"]: request for request in make_requests(engine.model)}
    for response in engine.generate(requests.values()):
        assert validator.validate(read_answer(response).content, requests[response["custom_id"]]).recommendation


def test_it_repeats_itself(engine):
    requests = make_requests(engine.model)
    assert list(engine.generate(requests)) == list(engine.generate(requests))


def test_no_requests_no_responses(engine):
    assert list(engine.generate([])) == []


def test_no_answer_names_a_user(engine):
    text = json.dumps(list(engine.generate(make_requests(engine.model))))
    assert not any(seed in text for seed in SEEDS)


def test_an_unknown_engine_is_named_with_the_known_ones():
    with pytest.raises(
        InputError, match="--rationale-engine 'oracle' is not known, expected one of recorded, template"
    ):
        engine_class("oracle")


def test_recorded_without_a_file():
    with pytest.raises(InputError, match="needs --rationales"):
        engine_model("recorded", "")


def test_a_request_that_is_not_recorded_gets_an_error(tmp_path):
    engine = open_recorded_batch(tmp_path)
    other = build_request(condense([]), read_template("recommendation-v1"), CATALOGUE, "gpt")
    responses = {row["custom_id"]: row for row in engine.generate([other, *make_requests("gpt")])}
    assert responses[other["custom_id"]]["error"]["code"] == "not_recorded"
    with pytest.raises(ValueError, match="none for this request"):
        read_answer(responses[other["custom_id"]])


def test_a_recorded_file_that_answers_no_request(tmp_path):
    engine = open_recorded_batch(tmp_path)
    with pytest.raises(InputError, match="covers nobody, it answers none of the 1 requests to the model 'gpt'"):
        list(engine.generate([build_request(condense([]), read_template("recommendation-v1"), CATALOGUE, "gpt")]))
