"""What every engine must do, over all engines."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from components.contracts.batch_format import make_request, make_response, read_answer, write_lines
from components.contracts.language_model import LanguageModel
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings
from components.language_model.engine import RationaleEngine
from components.language_model.engines import ENGINES, check_engine, engine_class, engine_model, open_engine
from components.language_model.openai_engine import OpenAIEngine
from components.language_model.recorded_engine import RecordedEngine
from components.language_model.template_engine import TemplateEngine
from components.language_model.vllm_engine import VllmEngine
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request
from components.rationale_generation.validation import AnswerValidator
from tests.contract.chat_endpoint import CONTENT, answer, chat_endpoint
from tests.tiny_language_model import CONTEXT

CATALOGUE = Catalogue(
    {
        name: Item(name, name.title(), "", (category,), popularity)
        for name, category, popularity in [("alien", "Sci-Fi", 3), ("dune", "Sci-Fi", 2), ("emma", "Drama", 1)]
    }
)
SEEDS = ["ann", "bob"]


# A model of random weights ends no text by itself.
SCHEMA = {
    "type": "object",
    "properties": {
        "preference_summary": {"type": "string", "maxLength": 60},
        "categories": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 3},
        "items": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 3},
    },
    "required": ["preference_summary", "categories", "items"],
    "additionalProperties": False,
}


def make_requests(model: str) -> list[dict]:
    histories = [condense([CATALOGUE.items["alien"]]), condense([CATALOGUE.items["emma"]])]
    template = read_template("recommendation-v1")
    requests = [build_request(history, template, CATALOGUE, model) for history in histories]
    for request in requests:
        request["body"]["response_format"]["json_schema"]["schema"] = SCHEMA
    return [make_request(request["body"]) for request in requests]


def seed_of_request(model: str) -> dict[str, str]:
    return {request["custom_id"]: seed for request, seed in zip(make_requests(model), SEEDS, strict=True)}


@pytest.fixture
def template_engine() -> RationaleEngine:
    return open_engine("template", None, CATALOGUE, "", {}, Settings())


@pytest.fixture
def recorded_batch_engine(tmp_path: Path) -> RationaleEngine:
    lines = [make_response(request["custom_id"], "gpt", CONTENT, 10, 5) for request in make_requests("gpt")]
    write_lines(tmp_path / "batch.jsonl", lines)
    return open_engine("recorded", None, CATALOGUE, str(tmp_path / "batch.jsonl"), {}, Settings())


@pytest.fixture
def recorded_text_engine(tmp_path: Path) -> RationaleEngine:
    row = {"model": "gpt", "preference_summary": "Likes it.", "recommendation": "Drama."}
    write_lines(tmp_path / "text.jsonl", [{"user_id": seed, **row} for seed in SEEDS])
    return open_engine("recorded", None, CATALOGUE, str(tmp_path / "text.jsonl"), seed_of_request("gpt"), Settings())


@pytest.fixture
def openai_stub_engine() -> Iterator[RationaleEngine]:
    with chat_endpoint(lambda body, before: answer(model="gpt")) as endpoint:
        settings = Settings(openai_base_url=endpoint.url)
        yield open_engine("openai", LanguageModel(name="gpt"), CATALOGUE, "", {}, settings)


@pytest.fixture(scope="module")
def vllm_engine(tiny_model: Path, vllm_settings: Settings) -> Iterator[RationaleEngine]:
    model = LanguageModel(name="tiny", weights=str(tiny_model))
    with open_engine("vllm", model, CATALOGUE, "", {}, vllm_settings) as engine:
        yield engine


@pytest.fixture(scope="module")
def openai_vllm_engine(vllm_server: str) -> RationaleEngine:
    settings = Settings(openai_base_url=vllm_server)
    return open_engine("openai", LanguageModel(name="tiny"), CATALOGUE, "", {}, settings)


LANGUAGE_MODELS = [pytest.param(name, marks=pytest.mark.vllm) for name in ("vllm_engine", "openai_vllm_engine")]
ALL = ["template_engine", "recorded_batch_engine", "recorded_text_engine", "openai_stub_engine", *LANGUAGE_MODELS]


@pytest.fixture(params=ALL)
def engine(request: pytest.FixtureRequest) -> RationaleEngine:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=LANGUAGE_MODELS)
def language_model_engine(request: pytest.FixtureRequest) -> RationaleEngine:
    return request.getfixturevalue(request.param)


def test_every_engine_is_in_the_suite():
    assert set(ENGINES.values()) == {TemplateEngine, RecordedEngine, VllmEngine, OpenAIEngine}


def test_an_engine_that_nothing_opens_is_not_answered_by_another(monkeypatch):
    monkeypatch.setitem(ENGINES, "new", type("NewEngine", (TemplateEngine,), {"name": "new"}))
    with pytest.raises(NotImplementedError, match="new"):
        open_engine("new", LanguageModel(name="m"), CATALOGUE, "", {}, Settings())


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


@pytest.mark.parametrize("engine", ALL[:4], indirect=True)
def test_its_answers_are_valid(engine):
    validator = AnswerValidator(CATALOGUE, free_text=engine.name == "recorded")
    requests = {request["custom_id"]: request for request in make_requests(engine.model)}
    for response in engine.generate(requests.values()):
        assert validator.validate(read_answer(response).content, requests[response["custom_id"]]).recommendation


def test_its_answers_are_of_the_schema_that_was_asked_for(language_model_engine):
    requests = make_requests("tiny")
    bodies = [{**request["body"], "temperature": 1.0, "seed": seed} for request in requests for seed in range(20)]
    responses = list(language_model_engine.generate(make_request(body) for body in bodies))
    answers = [read_answer(response).content for response in responses]
    assert len(set(answers)) >= 20  # random texts, not one that happens to fit
    for content in answers:
        jsonschema.validate(json.loads(content), SCHEMA)


def test_a_seed_gives_an_answer_that_it_gives_again_and_another_seed_another(language_model_engine):
    (request, _) = make_requests("tiny")

    def content(seed: int) -> str:
        body = {**request["body"], "temperature": 1.0, "seed": seed}
        (response,) = language_model_engine.generate([make_request(body)])
        return read_answer(response).content

    assert content(1) == content(1) != content(2)


def test_a_prompt_that_is_too_long_is_an_error_of_its_request_alone(language_model_engine):
    requests = make_requests("tiny")
    body = json.loads(json.dumps(requests[0]["body"]))
    body["messages"][1]["content"] = "long " * CONTEXT
    long = make_request(body)
    responses = {row["custom_id"]: row for row in language_model_engine.generate([long, *requests])}
    assert len(responses) == 3
    error = responses.pop(long["custom_id"])["error"]
    assert "context length" in error["message"] and "\n" not in error["message"]
    assert all(response["error"] is None for response in responses.values())
    with pytest.raises(InputError, match=r"no request is answered: .*context length"):
        list(language_model_engine.generate([long]))


def test_an_answer_that_is_cut_off_says_so(language_model_engine):
    body = {**make_requests("tiny")[0]["body"], "max_tokens": 5}
    (response,) = language_model_engine.generate([make_request(body)])
    assert response["response"]["body"]["choices"][0]["finish_reason"] == "length"
    assert read_answer(response).completion_tokens == 5


@pytest.mark.vllm
def test_both_ways_to_vllm_give_equal_answers(vllm_engine, openai_vllm_engine):
    first, second = (
        {row["custom_id"]: row for row in engine.generate(make_requests("tiny"))}
        for engine in (vllm_engine, openai_vllm_engine)
    )
    assert first == second


def test_it_repeats_itself(engine):
    requests = make_requests(engine.model)
    first, second = ({row["custom_id"]: row for row in engine.generate(requests)} for _ in range(2))
    assert first == second


def test_the_rest_of_the_work_is_dropped_when_the_iterator_is_closed_and_the_engine_goes_on(engine):
    requests = make_requests(engine.model)
    responses = engine.generate(requests)
    assert next(responses)["error"] is None
    responses.close()
    assert len(list(engine.generate(requests))) == 2


def test_no_requests_no_responses(engine):
    assert list(engine.generate([])) == []


def test_no_answer_names_a_user(engine):
    text = json.dumps(list(engine.generate(make_requests(engine.model))))
    assert not any(seed in text for seed in SEEDS)


def test_an_unknown_engine_is_named_with_the_known_ones():
    with pytest.raises(
        InputError, match="--rationale-engine 'oracle' is not known, expected one of openai, recorded, template, vllm"
    ):
        engine_class("oracle")


def test_answers_of_a_snapshot_belong_to_the_requests_that_named_its_alias(tmp_path):
    lines = [
        make_response(request["custom_id"], snapshot, "{}", 10, 5)
        for request, snapshot in zip(make_requests("gpt"), ["gpt-2026-08-06", "gpt-2026-10-01"], strict=True)
    ]
    write_lines(tmp_path / "batch.jsonl", lines)
    asked = LanguageModel(name="gpt")
    assert engine_model("recorded", str(tmp_path / "batch.jsonl"), asked) == asked
    engine = open_engine("recorded", asked, CATALOGUE, str(tmp_path / "batch.jsonl"), {}, Settings())
    answers = [read_answer(response).model for response in engine.generate(make_requests("gpt"))]
    assert answers == ["gpt-2026-08-06", "gpt-2026-10-01"]  # who answered, not who was asked
    with pytest.raises(InputError, match=r":2: an answer of 'gpt-2026-10-01'.*--model"):
        engine_model("recorded", str(tmp_path / "batch.jsonl"), None)


def test_batch_output_in_another_order_with_foreign_and_missing_answers(tmp_path, capsys):
    first, second = make_requests("gpt")
    lines = [make_response(name, "gpt", "{}", 1, 1) for name in ("foreign", second["custom_id"])]
    write_lines(tmp_path / "batch.jsonl", lines)
    engine = open_engine("recorded", None, CATALOGUE, str(tmp_path / "batch.jsonl"), {}, Settings())
    responses = {row["custom_id"]: row for row in engine.generate([first, second])}
    assert responses[first["custom_id"]]["error"]["code"] == "not_recorded"
    assert read_answer(responses[second["custom_id"]]).content == "{}"
    assert "1 answers belong to none of the 2 requests" in capsys.readouterr().out


def test_recorded_without_a_file():
    with pytest.raises(InputError, match="needs --rationales"):
        engine_model("recorded", "", None)


@pytest.mark.parametrize("name", ["vllm", "openai"])
def test_an_engine_that_asks_a_model_needs_one(name):
    for model in (None, LanguageModel(name="")):
        with pytest.raises(InputError, match=f"--rationale-engine {name} needs --model"):
            engine_model(name, "", model)


def test_what_is_missing_is_found_before_the_model_is_there(tmp_path):
    model = LanguageModel(name="scratch")
    with pytest.raises(EnvironmentFaultError, match=r"setting RELAND_VLLM_PYTHON: .*make vllm"):
        check_engine("vllm", "", model, Settings(vllm_python=tmp_path / "python"))
    with pytest.raises(InputError, match="setting RELAND_OPENAI_BASE_URL"):
        check_engine("openai", "", model, Settings())
    check_engine("openai", "", model, Settings(openai_base_url="http://vllm/v1"))
    check_engine("template", "", None, Settings())


def test_a_request_that_is_not_recorded_gets_an_error(recorded_batch_engine):
    engine = recorded_batch_engine
    other = build_request(condense([]), read_template("recommendation-v1"), CATALOGUE, "gpt")
    responses = {row["custom_id"]: row for row in engine.generate([other, *make_requests("gpt")])}
    assert responses[other["custom_id"]]["error"]["code"] == "not_recorded"
    with pytest.raises(ValueError, match="none for this request"):
        read_answer(responses[other["custom_id"]])


def test_a_recorded_file_that_answers_no_request(recorded_batch_engine):
    engine = recorded_batch_engine
    with pytest.raises(
        InputError, match=r"covers nobody, it answers none of the 1 requests to the model 'gpt'.*--model"
    ):
        list(engine.generate([build_request(condense([]), read_template("recommendation-v1"), CATALOGUE, "gpt")]))
