"""What the gateway says of itself: the OpenAPI document, and a page made of it that loads nothing from anywhere."""

import json
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.gateway.problems import MEDIA_TYPE

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
            for status, response in operation["responses"].items():
                if status >= "400" and "application/json" in response.get("content", {}):
                    response["content"][MEDIA_TYPE] = response["content"].pop("application/json")
    return document


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
