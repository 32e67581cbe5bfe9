"""What the gateway says of itself: the OpenAPI document, and a page made of it that loads nothing from anywhere."""

import json
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.gateway.api import API_VERSION, VERSION_HEADER
from serving.gateway.problems import MEDIA_TYPE, problem_body

TAGS = [
    {"name": "lists", "description": "Ranked and recommended items, and why."},
    {"name": "outcomes", "description": "What became of the items that were shown."},
    {"name": "operation", "description": "Whether the gateway answers, and how."},
]
_SECURITY_SCHEMES = {
    "none": {},
    "keys": {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer", "description": "the same key as a bearer token"},
    },
    "oidc": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
}
_REQUEST_ID = "8a5f1f0c6d7e4b0b9b7f1d2c3e4a5b6c1f09a2d47be0c55a91d3ee02"
_LIST = {
    "arm": "champion",
    "model_version": 3,
    "ladder_step": "fresh",
    "cold_start": False,
    "explanation": {
        "preference_summary": "Prefers slow films about families, and old ones.",
        "rationale_id": "9c1f2ab0",
        "similarity": 0.87,
    },
}
_ITEMS = [{"item_id": "i-230", "score": 4.71}, {"item_id": "i-17", "score": 2.05}]
_RANKED = {"request_id": _REQUEST_ID, "model": "reland_ranker", "items": _ITEMS}
# By path: a request's body, None where it has none, and the answer to it.
EXAMPLES: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "/v1/rank": (
        {"user_id": "u-104", "candidates": ["i-17", "i-4", "i-230"]},
        _LIST | _RANKED | {"unknown_items": ["i-4"], "excluded_items": []},
    ),
    "/v1/recommend": ({"user_id": "u-104", "count": 2}, _LIST | _RANKED | {"candidates_from": "item_index"}),
    "/v1/events": (
        {
            "events": [
                {"request_id": _REQUEST_ID, "item_id": "i-17", "outcome": "click", "time": "2026-01-31T12:00:00Z"},
                {"request_id": _REQUEST_ID, "item_id": "i-17", "outcome": "conversion", "time": 1_769_860_860_000},
                {"request_id": "invented", "item_id": "i-4", "outcome": "cart"},
            ]
        },
        {"accepted": 2, "refused": [{"index": 2, "reason": "no request of this gateway"}]},
    ),
    "/v1/explanations/{user_id}": (None, _LIST),
    "/healthz": (None, {"status": "ok"}),
    "/readyz": (
        None,
        {
            "status": "degraded",
            "state": 12,
            "arms": {"champion": 3, "candidate": 4},
            "open_circuits": ["feature_store"],
            "newer_record_refused": False,
            "newer_exclusions_refused": False,
        },
    ),
}
_PROBLEM_DETAILS = {
    "400": "invalid content length",
    "401": "unauthorized",
    "403": "the token is of another user",
    "408": "body too slow",
    "413": "body too large",
    "421": "host is not this machine",
    "422": "the request is not as described",
    "429": "busy",
    "431": "headers too large",
    "503": "events cannot be kept",
}
_FAULT = {"location": ["body", "user_id"], "message": "Field required"}
_HEADERS = {VERSION_HEADER: {"schema": {"type": "string"}, "description": "of this interface", "example": API_VERSION}}
_RETRY_HEADER = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait at least", "example": 1}
}
# The page has no script; browsers are told so.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def openapi_document(app: FastAPI, authentication: str) -> dict[str, Any]:
    """The OpenAPI document: errors in their own media type, and what `authentication` (a setting's value) wants."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
    )
    schemes = _SECURITY_SCHEMES[authentication]
    if schemes:
        document["components"]["securitySchemes"] = schemes
        document["security"] = [{name: []} for name in schemes]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if schemes and path in ("/healthz", "/readyz"):
                operation["security"] = []
            request, answer = EXAMPLES[path]
            if request is not None:
                operation["requestBody"]["content"]["application/json"]["example"] = request
            for status, response in operation["responses"].items():
                response["headers"] = _HEADERS | (_RETRY_HEADER if status in ("429", "503") else {})
                if status < "400":
                    response["content"]["application/json"]["example"] = answer
                elif "application/json" in response.get("content", {}):
                    response["content"][MEDIA_TYPE] = response["content"].pop("application/json")
                    response["content"][MEDIA_TYPE]["example"] = _problem_example(status)
    return document


def _problem_example(status: str) -> Any:
    return json.loads(problem_body(int(status), _PROBLEM_DETAILS[status], [_FAULT] if status == "422" else None))


def documentation_page(document: dict[str, Any]) -> str:
    """The document as a page to read: each operation with its answers, then the schemas."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(document['info']['title'])}</title>",
        "<style>body{font:16px sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "pre{background:#f4f4f4;padding:1rem;overflow-x:auto}</style>",
        f"<h1>{escape(document['info']['title'])}</h1><p>{escape(document['info']['description'])}</p>",
        '<p>The same for programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2>{method.upper()} {escape(path)}</h2><p><b>{escape(operation['summary'])}.</b> ")
            parts.append(f"{escape(operation.get('description', ''))}</p><ul>")
            for status, response in operation["responses"].items():
                parts.append(f"<li>{status}: {escape(response['description'])}</li>")
            parts.append("</ul>")
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h3>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>")
    return "".join(parts)
