"""What every engine must do, over all engines of the registry."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from components.contracts.batch_format import (
    NoAnswerError,
    make_failure,
    make_request,
    make_response,
    read_answer,
    write_lines,
)
from components.contracts.language_model import LanguageModel
from components.foundation.errors import InputError, RelandError
from components.foundation.settings import Settings
from components.language_model import vllm_engine as vllm_engine_module
from components.language_model.engine import EngineOptions, RationaleEngine
from components.language_model.engines import ENGINES, engine_class
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


def options(model: str = "", recorded: Path | str = "", settings: Settings | None = None) -> EngineOptions:
    return EngineOptions(
        settings=settings or Settings(), model=LanguageModel(name=model), recorded_rationales=str(recorded)
    )


def open_engine(name: str, chosen: EngineOptions, seeds: dict[str, str] | None = None) -> RationaleEngine:
    """Open an engine as a step does; what is checked before and what answers must agree."""
    engine = engine_class(name)
    engine.check(chosen)
    opened = engine.open(chosen, CATALOGUE, seeds or {})
    assert opened.model == engine.answering_model(chosen).name
    return opened


@pytest.fixture
def template_engine() -> RationaleEngine:
    return open_engine("template", options())


@pytest.fixture
def recorded_batch_engine(tmp_path: Path) -> RationaleEngine:
    lines = [make_response(request["custom_id"], "gpt", CONTENT, 10, 5) for request in make_requests("gpt")]
    write_lines(tmp_path / "batch.jsonl", lines)
    return open_engine("recorded", options(recorded=tmp_path / "batch.jsonl"))


@pytest.fixture
def recorded_text_engine(tmp_path: Path) -> RationaleEngine:
    row = {"model": "gpt", "preference_summary": "Likes it.", "recommendation": "Drama."}
    write_lines(tmp_path / "text.jsonl", [{"user_id": seed, **row} for seed in SEEDS])
    return open_engine("recorded", options(recorded=tmp_path / "text.jsonl"), seed_of_request("gpt"))


@pytest.fixture
def openai_stub_engine() -> Iterator[RationaleEngine]:
    with chat_endpoint(lambda body, before: answer(model="gpt")) as endpoint:
        yield open_engine("openai", options("gpt", settings=Settings(openai_base_url=endpoint.url)))


@pytest.fixture
def vllm_stand_in_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[RationaleEngine]:
    monkeypatch.setattr(vllm_engine_module, "WORKER", Path(__file__).with_name("vllm_stand_in.py"))
    with open_engine("vllm", options("tiny", settings=Settings(vllm_python=Path(sys.executable)))) as engine:
        yield engine


@pytest.fixture(scope="module")
def vllm_engine(tiny_model: Path, vllm_settings: Settings) -> Iterator[RationaleEngine]:
    model = LanguageModel(name="tiny", weights=str(tiny_model))
    with open_engine("vllm", EngineOptions(settings=vllm_settings, model=model)) as engine:
        yield engine


@pytest.fixture(scope="module")
def openai_vllm_engine(vllm_server: str) -> RationaleEngine:
    return open_engine("openai", options("tiny", settings=Settings(openai_base_url=vllm_server)))


LANGUAGE_MODELS = [pytest.param(name, marks=pytest.mark.vllm) for name in ("vllm_engine", "openai_vllm_engine")]
WITHOUT_MODEL = {
    "template_engine": "template",
    "recorded_batch_engine": "recorded",
    "recorded_text_engine": "recorded",
    "openai_stub_engine": "openai",
    "vllm_stand_in_engine": "vllm",
}


@pytest.fixture(params=[*WITHOUT_MODEL, *LANGUAGE_MODELS])
def engine(request: pytest.FixtureRequest) -> RationaleEngine:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=LANGUAGE_MODELS)
def language_model_engine(request: pytest.FixtureRequest) -> RationaleEngine:
    return request.getfixturevalue(request.param)


# What an engine is not given, and the words that say so. The template needs nothing.
LACKS: dict[str, list[tuple[EngineOptions, str]]] = {
    "template": [],
    "recorded": [
        (options(), "rationale_engine recorded needs recorded_rationales, a file"),
        (options(recorded="none.jsonl"), "none.jsonl: no such file"),
    ],
    "vllm": [
        (options(settings=Settings(vllm_python=Path(sys.executable))), "rationale_engine vllm needs language_model"),
        (options("m", settings=Settings(vllm_python=Path("/none/python"))), "setting RELAND_VLLM_PYTHON: .*make vllm"),
    ],
    "openai": [
        (options(settings=Settings(openai_base_url="http://vllm/v1")), "rationale_engine openai needs language_model"),
        (options("m"), "setting RELAND_OPENAI_BASE_URL"),
    ],
}


def test_every_engine_is_in_the_suite():
    assert set(ENGINES) == set(WITHOUT_MODEL.values()) == set(LACKS)


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in LACKS.items() for case in cases])
def test_what_an_engine_lacks_is_named_before_anything_is_prepared_and_when_it_is_opened(name, case):
    chosen, message = case
    with pytest.raises(RelandError, match=message):
        engine_class(name).check(chosen)
    with pytest.raises(RelandError, match=message):
        engine_class(name).open(chosen, CATALOGUE, {})


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


@pytest.mark.parametrize("engine", WITHOUT_MODEL, indirect=True)
def test_its_answers_are_valid(engine):
    validator = AnswerValidator(CATALOGUE, free_text=engine.free_text)
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


def test_an_unknown_engine_is_named_with_the_engines_there_are():
    expected = "rationale_engine 'oracle' is not known, expected one of openai, recorded, template, vllm"
    with pytest.raises(InputError, match=expected):
        engine_class("oracle")


def test_answers_of_a_snapshot_belong_to_the_requests_that_named_its_alias(tmp_path):
    lines = [
        make_response(request["custom_id"], snapshot, "{}", 10, 5)
        for request, snapshot in zip(make_requests("gpt"), ["gpt-2026-08-06", "gpt-2026-10-01"], strict=True)
    ]
    write_lines(tmp_path / "batch.jsonl", lines)
    engine = open_engine("recorded", options("gpt", recorded=tmp_path / "batch.jsonl"))
    answers = [read_answer(response).model for response in engine.generate(make_requests("gpt"))]
    assert answers == ["gpt-2026-08-06", "gpt-2026-10-01"]  # the model that answered, not the name in the request
    # Without the alias, the requests would name the first of the two snapshots, and none would be answered.
    engine = open_engine("recorded", options(recorded=tmp_path / "batch.jsonl"))
    with pytest.raises(InputError, match=r"answers none .*'gpt-2026-08-06'; .*give its name as language_model"):
        list(engine.generate(make_requests(engine.model)))


def test_batch_output_in_another_order_with_foreign_missing_failed_and_unusable_rows(tmp_path, capsys):
    first, second = make_requests("gpt")
    third = make_request({**first["body"], "seed": 1})
    lines = [
        *(make_response(name, "gpt", "{}", 1, 1, "length") for name in ("foreign", second["custom_id"])),
        make_failure(third["custom_id"], "batch_expired", "not executed in time"),
        {"custom_id": None, "response": None},
    ]
    write_lines(tmp_path / "batch.jsonl", lines)
    engine = open_engine("recorded", options(recorded=tmp_path / "batch.jsonl"))
    responses = {row["custom_id"]: row for row in engine.generate([first, second, third])}
    assert responses[first["custom_id"]]["error"]["code"] == "not_recorded"
    answered = read_answer(responses[second["custom_id"]])
    assert (answered.content, answered.finish_reason) == ("{}", "length")
    with pytest.raises(NoAnswerError, match="not executed in time") as error:
        read_answer(responses[third["custom_id"]])
    assert error.value.reason == "batch_expired"
    output = capsys.readouterr().out
    assert "1 answers belong to none of the 3 requests" in output
    assert "1 rows left out (line 4: no custom_id as text" in output


def test_a_request_that_is_not_recorded_gets_an_error(recorded_batch_engine):
    engine = recorded_batch_engine
    other = build_request(condense([]), read_template("recommendation-v1"), CATALOGUE, "gpt")
    responses = {row["custom_id"]: row for row in engine.generate([other, *make_requests("gpt")])}
    assert responses[other["custom_id"]]["error"]["code"] == "not_recorded"
    with pytest.raises(ValueError, match="none for this request"):
        read_answer(responses[other["custom_id"]])


def test_a_recorded_file_that_answers_no_request(recorded_batch_engine):
    other = build_request(condense([]), read_template("recommendation-v1"), CATALOGUE, "gpt")
    message = r"covers nobody, it answers none of the 1 requests to the model 'gpt'.*as language_model"
    with pytest.raises(InputError, match=message):
        list(recorded_batch_engine.generate([other]))
