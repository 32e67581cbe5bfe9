"""Steps 1 and 2 of the prompt (RELAND 3.1.2), asked of a chat model in one request with a JSON answer."""

import json
from pathlib import Path
from typing import Any

from components.contracts.batch_format import Request, make_request
from components.contracts.errors import InputError
from components.prompting.history import CondensedHistory

TEMPLATES = Path(__file__).parent / "templates"

# Temperature 0: an answer is as good as any other to an equal prompt, so that answers can be reused by content.
SAMPLING: dict[str, Any] = {
    "temperature": 0,
    "max_tokens": 512,
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "rationale",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {
                    "preference_summary": {"type": "string"},
                    "categories": {"type": "array", "items": {"type": "string"}},
                    "items": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["preference_summary", "categories", "items"],
                "additionalProperties": False,
            },
        },
    },
}


def read_template(prompt_version: str) -> str:
    """The system message of a prompt version; it is the prefix that all requests share.

    Raises:
        InputError: there is no such version.
    """
    versions = sorted(path.stem for path in TEMPLATES.glob("*.txt"))
    if prompt_version not in versions:
        raise InputError(f"prompt version {prompt_version!r} is not known, expected one of {', '.join(versions)}")
    return (TEMPLATES / f"{prompt_version}.txt").read_text(encoding="utf-8").strip()


def build_request(history: CondensedHistory, template: str, model: str) -> Request:
    """The request for one user. The user message is one JSON document, which no title can end or leave."""
    document = json.dumps(history.to_document(), ensure_ascii=False)
    messages = [{"role": "system", "content": template}, {"role": "user", "content": document}]
    return make_request({"model": model, "messages": messages, **SAMPLING})
