"""The OpenAI batch format: requests and responses, one JSON object a line, joined by `custom_id`."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.foundation.errors import InputError
from components.foundation.files import replacing_file

Request = dict[str, Any]
Response = dict[str, Any]


def canonical_json(content: Any) -> str:
    """JSON that is the same text for the same content: sorted keys, no white space."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def make_request(body: dict[str, Any]) -> Request:
    """A request line; `custom_id` is the SHA-256 of the body, which is the messages, the model and the sampling."""
    custom_id = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def make_response(
    custom_id: str,
    model: str,
    content: str,
    prompt_tokens: int,
    completion_tokens: int,
    finish_reason: str = "stop",
) -> Response:
    """A response line that carries the answer `content`; `finish_reason` is `length` where it was cut off."""
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    message = {"role": "assistant", "content": content}
    body = {
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": usage,
    }
    return {
        "id": f"response-{custom_id[:16]}",
        "custom_id": custom_id,
        "response": {"status_code": 200, "body": body},
        "error": None,
    }


def make_failure(custom_id: str, code: str, message: str) -> Response:
    """A response line that says why there is no answer."""
    error = {"code": code, "message": message}
    return {"id": f"response-{custom_id[:16]}", "custom_id": custom_id, "response": None, "error": error}


@dataclass(frozen=True)
class Answer:
    """What a response carries: the text of the model's message, and what it cost."""

    content: str
    model: str
    prompt_tokens: int
    completion_tokens: int


def read_answer(response: Response) -> Answer:
    """The answer in a response line.

    Raises:
        ValueError: there is none; the message says why.
    """
    error = response.get("error")
    if error:
        raise ValueError(str(error.get("message", error)) if isinstance(error, dict) else str(error))
    outer = response.get("response")
    if not isinstance(outer, dict) or not isinstance(outer.get("body"), dict):
        raise ValueError('the response has no "body"')
    if outer.get("status_code") != 200:
        raise ValueError(f"status code {outer.get('status_code')}")
    body = outer["body"]
    try:
        content = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise ValueError("the response has no message") from None
    model = body.get("model")
    if not isinstance(content, str) or not isinstance(model, str) or not model:
        raise ValueError('the response has no text or no "model"')
    try:
        (content + model).encode()
    except UnicodeEncodeError:
        raise ValueError("the response holds half a surrogate pair, which is no text") from None
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    return Answer(content, model, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, all of them or nothing; the number of lines."""
    count = 0
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read one JSON object a line, each with its line number, which counts from 1; blank lines are passed over.

    Raises:
        InputError: the file is missing, a folder, empty or no text; a line is not a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # with or without a byte-order mark
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file, expected one JSON object a line") from None
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error

    rows: list[tuple[int, dict[str, Any]]] = []
    # Not splitlines(): a JSON text may hold a line separator of Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            canonical_json(row).encode()  # half a surrogate pair is JSON, but no text
        except (ValueError, RecursionError):
            raise InputError(f"{path}:{number}: not JSON, expected one object a line") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: not a JSON object, expected one object a line")
        rows.append((number, row))
    if not rows:
        raise InputError(f"{path}: empty, expected one JSON object a line")
    return rows
