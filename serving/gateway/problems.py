"""The one form of every refusal: `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import orjson

MEDIA_TYPE = "application/problem+json"


def problem_body(status: int, detail: str, errors: list[dict[str, Any]] | None = None) -> bytes:
    """The document that says why a request was not answered; it does not repeat what was sent.

    Args:
        detail: what stands in the way of this request.
        errors: what is wrong with which part of it, where several things may be.
    """
    content: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    content["detail"] = detail
    if errors is not None:
        content["errors"] = errors
    return orjson.dumps(content)
