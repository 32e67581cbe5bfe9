"""Schemathesis asks the gateway what its own OpenAPI document describes, and what it does not."""

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

# Not `positive_data_acceptance`: an id is bounded in bytes, and a JSON schema can only bound characters.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


OPERATIONS = [
    ("/v1/rank", "post"),
    ("/v1/recommend", "post"),
    ("/v1/events", "post"),
    ("/v1/explanations/{user_id}", "get"),
    ("/readyz", "get"),
]
CASES = [(*operation, mode) for operation in OPERATIONS for mode in GenerationMode]
CASES.remove(("/readyz", "get", GenerationMode.NEGATIVE))  # it takes nothing that could be wrong


@pytest.fixture(scope="module")
def described(gateway):
    return schemathesis.openapi.from_url(f"{gateway.client.base_url}/openapi.json")


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_answers_are_as_described(described, path, method, mode):
    ask(described[path][method], mode, cases=25)


@pytest.mark.services  # takes minutes: 9 × 250 cases
@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_answers_are_as_described_at_length(described, path, method, mode):
    ask(described[path][method], mode, cases=250)


def ask(operation, mode: GenerationMode, cases: int) -> None:
    """Ask an operation what its description allows, or what it does not allow, in `cases` ways."""

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_as_described(case):
        case.call_and_validate(checks=CHECKS, timeout=30)

    answers_as_described()


def test_the_page_about_it_loads_nothing_from_anywhere(gateway):
    answer = gateway.client.get("/docs")
    assert "POST /v1/rank" in answer.text and "<script" not in answer.text and "http://" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_every_answer_states_the_version_of_the_interface(gateway):
    answers = [gateway.client.get(path) for path in ("/healthz", "/openapi.json", "/v1/nowhere")]
    answers.append(gateway.post("/v1/rank", {}))
    assert {answer.headers["API-Version"] for answer in answers} == {answers[1].json()["info"]["version"]}


def test_every_example_is_as_its_schema_says(gateway):
    document = gateway.client.get("/openapi.json").json()
    bodies = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            parts = [operation["requestBody"]] if "requestBody" in operation else []
            bodies += len(parts)
            parts += [response for response in operation["responses"].values() if "content" in response]
            for content in (content for part in parts for content in part["content"].values()):
                # The document's own references are found from its root.
                schema = content["schema"] | {"components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(content["example"])
    assert bodies == 3


def test_every_operation_has_examples_and_its_errors_are_described(gateway):
    document = gateway.client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) == 6
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                assert {"401", "413", "422", "429"} <= set(operation["responses"])
            for status, response in operation["responses"].items():
                assert status < "400" or set(response.get("content", {})) <= {"application/problem+json"}
    for name in ("RankRequest", "RecommendRequest", "RankResponse", "Explanation"):
        properties = document["components"]["schemas"][name]["properties"].values()
        assert any("examples" in entry for entry in properties)
