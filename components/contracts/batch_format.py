"""The OpenAI batch format: requests and responses, one JSON object a line, joined by `custom_id`."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.foundation.errors import InputError
from components.foundation.files import replacing_file

Request = dict[str, Any]
Response = dict[str, Any]

_MESSAGE_CHARACTERS = 500  # of what an endpoint says is wrong
_CODE_CHARACTERS = 40


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
    """A response line that carries the answer `content`; `finish_reason` as of `Answer`."""
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
    """What a response carries: the text of the model's message, and what it cost.

    Attributes:
        content: the text; empty where the model answered without one.
        finish_reason: why the model stopped, in the words of OpenAI: `stop`, `length` (cut off), `content_filter`,
            `tool_calls`; and `refusal`, `error` and `not_text` of answers without a usable text.
    """

    content: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str = "stop"


class NoAnswerError(ValueError):
    """A response that carries no usable text. The message says why, and quotes nothing that the model wrote.

    Attributes:
        reason: under which it is counted, a word of lower-case letters, digits and underscores: one of
            `REASON_OF_FINISH`, `empty`, the code of an error as the endpoint gives it, or `status_400` and the like.
        answer: what the model's answer cost and why it stopped, where the model did answer, without a text. Such an
            answer is charged for like any other.
    """

    def __init__(self, reason: str, message: str, answer: Answer | None = None):
        super().__init__(message)
        self.reason = reason
        self.answer = answer


# What a stop without a usable text is counted as, and the message that explains it.
REASON_OF_FINISH = {
    "length": "cut_off",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "refusal": "refusal",
    "error": "error",
    "not_text": "not_text",
}
_MESSAGES = {
    "cut_off": "the answer was cut off before its text (finish_reason length)",
    "content_filter": "a content filter withheld the answer",
    "tool_call": "the model called a tool instead of answering",
    "refusal": "the model refused to answer",
    "error": "the endpoint ended the answer with an error",
    "not_text": "the answer holds half a surrogate pair, which is no text",
    "empty": "the answer has no text",
}
# Words of other endpoints for those of OpenAI.
_FINISH_REASONS = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "guardrail_intervened": "content_filter",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "completed": "stop",
}
_TEXT_PARTS = (None, "text", "output_text")


def read_answer(response: Response, default_model: str = "") -> Answer:
    """The answer in a response line.

    Understood are bodies of chat completions (a content that is a text or a list of parts), of text completions and of
    the Responses API, and the lines of an Anthropic message batch.

    Args:
        default_model: whose answer it is where the body does not name the model.

    Raises:
        NoAnswerError: there is no answer, or one without a usable text.
    """
    if "result" in response and "response" not in response:
        body = _body_of_result(response["result"])
    else:
        body = _body_of_response(response)
    answer, text = _read_body(body, default_model)
    if not answer.model:
        raise NoAnswerError("no_model", 'the response names no "model"')
    if not text.strip():
        reason = REASON_OF_FINISH.get(answer.finish_reason, "empty")
        raise NoAnswerError(reason, _MESSAGES[reason], answer)
    try:
        (text + answer.model).encode()
    except UnicodeEncodeError:
        model = answer.model.encode(errors="replace").decode()
        answer = replace(answer, model=model, finish_reason="not_text")
        raise NoAnswerError("not_text", _MESSAGES["not_text"], answer) from None
    return replace(answer, content=text)


def write_answer(custom_id: str, answer: Answer) -> Response:
    """The response line of an answer, with or without a text, from which `read_answer` reads the same."""
    return make_response(
        custom_id,
        answer.model,
        answer.content,
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.finish_reason,
    )


def read_error(error: Any) -> tuple[str, str]:
    """Code and message of the error object in a body or in a line of batch output; what is not stated is empty."""
    if not isinstance(error, dict):
        return "", _one_line(error)
    inner = error.get("error")
    if isinstance(inner, dict):  # of Anthropic: {"type": "error", "error": {"type": …, "message": …}}
        return read_error(inner)
    code = error.get("code") or error.get("type") or ""
    return _as_code(code), _one_line(error.get("message") or inner or error)


def _body_of_response(response: Response) -> dict[str, Any]:
    outer = response.get("response")
    outer = outer if isinstance(outer, dict) else {}
    body = outer.get("body")
    body = body if isinstance(body, dict) else {}
    status = "200" if outer.get("status_code") is None else str(outer["status_code"])
    error = response.get("error") or body.get("error")
    if status != "200":
        message = read_error(error)[1] if error else _one_line(body.get("message", ""))
        raise NoAnswerError(f"status_{_as_code(status)}", f"status code {status}{f': {message}' if message else ''}")
    if response.get("error") or (error and not body.get("choices") and not body.get("output")):
        code, message = read_error(error)
        raise NoAnswerError(code or "error", message)
    if not body:
        raise NoAnswerError("no_body", 'the response has no "body"')
    return body


def _body_of_result(result: Any) -> dict[str, Any]:
    """The message of a line of an Anthropic message batch, as a body of the Responses API."""
    result = result if isinstance(result, dict) else {}
    message = result.get("message")
    if result.get("type") != "succeeded" or not isinstance(message, dict):
        code, text = read_error(result.get("error") or "")
        kind = _as_code(result.get("type", "")) or "error"
        raise NoAnswerError(code or kind, text or f"the request ended as {kind}")
    part = {"type": "message", "content": message.get("content"), "finish_reason": message.get("stop_reason")}
    return {"model": message.get("model"), "output": [part], "usage": message.get("usage")}


def _read_body(body: dict[str, Any], default_model: str) -> tuple[Answer, str]:
    """The answer without its text, and the text."""
    usage = body.get("usage")
    message, finish = _read_message(body)
    if message is None and not isinstance(usage, dict):
        raise NoAnswerError("no_message", "the response has no message")
    message = message or {}
    text, refused = _read_content(message.get("content"))
    refused = refused or bool(message.get("refusal"))
    if not text.strip():
        if refused:
            finish = "refusal"
        elif (message.get("tool_calls") or message.get("function_call")) and finish == "stop":
            finish = "tool_calls"
    usage = usage if isinstance(usage, dict) else {}
    model = body.get("model")
    return (
        Answer(
            "",
            model if isinstance(model, str) and model else default_model,
            _count(usage, "prompt_tokens", "input_tokens"),
            _count(usage, "completion_tokens", "output_tokens"),
            finish,
        ),
        text,
    )


def _read_message(body: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The message of a body of any form, None where there is none, and why the model stopped."""
    choices, output = body.get("choices"), body.get("output")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice = choices[0]
        finish = _finish_reason(choice.get("finish_reason"))
        message = choice.get("message")
        if not isinstance(message, dict):
            message = {"content": choice.get("text")}
        is_answer = not {"message", "text", "finish_reason"}.isdisjoint(choice)
        return (message if is_answer else None), finish
    if isinstance(output, list):
        items = [item for item in output if isinstance(item, dict)]
        messages = [item for item in items if item.get("type", "message") == "message"]
        parts = [part for item in messages for part in _as_parts(item.get("content"))]
        called = any(str(item.get("type", "")).endswith("_call") for item in items)
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        for item in messages:
            reason = reason or item.get("finish_reason")
        return {"content": parts, "tool_calls": called}, _finish_reason(reason)
    return None, "stop"


def _finish_reason(reason: Any) -> str:
    word = _as_code(reason) if isinstance(reason, str) else ""
    return _FINISH_REASONS.get(word, word or "stop")


def _as_parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _read_content(content: Any) -> tuple[str, bool]:
    """The text of a message's content, its parts joined, and whether a part of it is a refusal. No part that is a
    thought, a tool's call or a picture is text.
    """
    texts: list[str] = []
    refused = False
    for part in _as_parts(content):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            refused = refused or part.get("type") == "refusal"
            text = part.get("text")
            if isinstance(text, dict):
                text = text.get("value")
            if part.get("type") in _TEXT_PARTS and isinstance(text, str):
                texts.append(text)
    return "".join(texts), refused


def _count(usage: dict[str, Any], *names: str) -> int:
    values = (usage.get(name) for name in names)
    return next((value for value in values if isinstance(value, int) and value >= 0), 0)


def _as_code(code: Any) -> str:
    """A word to count by: lower case, at most 40 characters, of letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", str(code).lower())[:_CODE_CHARACTERS].strip("_")


def _one_line(text: Any) -> str:
    line = " ".join(str(text).split())[:_MESSAGE_CHARACTERS]
    return line.encode(errors="replace").decode()  # half a surrogate pair could not be written anywhere


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
        text = read_bytes(path).decode("utf-8-sig")  # with or without a byte-order mark
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file, expected one JSON object a line") from None

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


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: the file is missing, a folder or not readable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error
