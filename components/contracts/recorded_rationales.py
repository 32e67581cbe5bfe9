"""Files of recorded answers, in either of two forms.

- Batch output: `{"custom_id": …, "response": {"status_code": 200, "body": {…}}, "error": null}` a row, as OpenAI and
  what is compatible with it write it, or `{"custom_id": …, "result": {…}}`, as Anthropic does; an answer belongs to the
  request with that `custom_id`. A row may say why there is no answer. Of rows that repeat a `custom_id`, the first that
  carries an answer counts, as where the output of a second batch, with what had failed in the first, was appended.
- Free text by user: `{"user_id": …, "model": …, "preference_summary": …, "recommendation": …}` a row; an answer
  belongs to that seed user. Other fields are passed over.

The rows are JSON objects: one a line, written over several lines, or in one array; in UTF-8, or as a byte-order mark
says. A row that cannot be used is left out, and reported; the others count.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contracts.batch_format import (
    Answer,
    NoAnswerError,
    Response,
    canonical_json,
    make_failure,
    read_answer,
    read_bytes,
    write_answer,
)
from components.foundation.errors import InputError

TEXT_FIELDS = ("user_id", "model", "preference_summary", "recommendation")
_EXPECTED = f"rows of batch output (custom_id, response) or of free text ({', '.join(TEXT_FIELDS)})"


@dataclass(frozen=True)
class RecordedFile:
    """The answers of a file by their key: the user id where `by_user`, else the `custom_id`.

    Attributes:
        models: the names under which models answered, that of the most answers first.
        failures: the rows of batch output without an answer, by `custom_id`, as response lines.
        left_out: the rows that cannot be used, each as `line NUMBER: why`.
    """

    path: Path
    by_user: bool
    models: list[str]
    answers: dict[str, Answer]
    failures: dict[str, Response] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


class _UnusableRowError(Exception):
    """A row that is left out; the message says why."""


def read_recorded_file(path: Path) -> RecordedFile:
    """Read a file of either form; the form is that of most of its rows.

    Raises:
        InputError: the file is missing, a folder, empty, no text, or holds no answer.
    """
    rows, left_out = _read_rows(path)
    by_user = sum("custom_id" in row for _, row in rows) < sum("user_id" in row for _, row in rows)
    key_name = "user_id" if by_user else "custom_id"
    line_of_key: dict[str, int] = {}
    answers: dict[str, Answer] = {}
    failures: dict[str, Response] = {}
    reasons: Counter[str] = Counter()
    for number, row in rows:
        try:
            key = _read_key(row, key_name)
            if key in line_of_key:
                raise _UnusableRowError(f"{key_name} {key!r} is there already, in line {line_of_key[key]}")
            answers[key] = _free_text_answer(row) if by_user else read_answer(row)
            line_of_key[key] = number
        except NoAnswerError as error:
            reasons[f"{error.reason} ({error})"] += 1
            failures[key] = (
                write_answer(key, error.answer) if error.answer else make_failure(key, error.reason, str(error))
            )
        except _UnusableRowError as error:
            left_out.append((number, str(error)))
    if not answers:
        whys = [f"{count} × {why}" for why, count in reasons.most_common(3)]
        whys += [f"line {number}: {why}" for number, why in sorted(left_out)[:1]]
        raise InputError(
            f"{path}: holds no answer; {'; '.join(whys)}" if whys else f"{path}: empty, expected {_EXPECTED}"
        )
    models = Counter(answer.model for answer in answers.values())
    return RecordedFile(
        path,
        by_user,
        [model for model, _ in models.most_common()],
        answers,
        {key: response for key, response in failures.items() if key not in answers},
        [f"line {number}: {why}" for number, why in sorted(left_out)],
    )


def _read_key(row: dict[str, Any], name: str) -> str:
    key = row.get(name)
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if isinstance(key, str) and key:
        if name == "custom_id" and not {"response", "error", "result"} & set(row):
            if "body" in row:
                raise _UnusableRowError("a request, not an answer; expected the output of the batch")
            raise _UnusableRowError('neither "response" nor "error", expected OpenAI batch output')
        return key
    raise _UnusableRowError(f"no {name} as text, expected {_EXPECTED}")


def _free_text_answer(row: dict[str, Any]) -> Answer:
    for name in TEXT_FIELDS[1:]:
        if not isinstance(row.get(name), str):
            raise _UnusableRowError(f"no {name} as text, expected {', '.join(TEXT_FIELDS)}")
    content = {name: row[name] for name in ("preference_summary", "recommendation")}
    return Answer(
        canonical_json(content), row["model"], prompt_tokens=0, completion_tokens=0
    )  # counts are not recorded


def _read_rows(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, str]]]:
    """The objects of a file with the line in which each begins, and the lines that hold something else, with why.

    Raises:
        InputError: the file cannot be read or is no text.
    """
    content = read_bytes(path)
    encoding = json.detect_encoding(content)
    try:
        # A byte that is no UTF-8 costs its row: what stands for it is no text.
        text = content.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file, expected {_EXPECTED}") from None
    rows: list[tuple[int, dict[str, Any]]] = []
    left_out: list[tuple[int, str]] = []
    for number, value in _decode_values(text):
        if isinstance(value, _UnusableRowError):
            left_out.append((number, str(value)))
        elif not isinstance(value, dict):
            left_out.append((number, "not a JSON object"))
        elif not _is_text(value):
            left_out.append((number, "holds bytes or escapes that are no text"))
        else:
            rows.append((number, value))
    if not rows and not _is_text(text):
        raise InputError(f"{path}: not a text file, expected {_EXPECTED}")
    return rows, left_out


def _decode_values(text: str) -> Iterator[tuple[int, Any]]:
    """The JSON values that a text holds, one after the other, each with the number of its first line; the values of an
    array singly. What is no JSON is passed over to the end of its line, and an error stands for it.
    """
    decoder = json.JSONDecoder()
    position, number = 0, 1
    while True:
        begin = position
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        number += text.count("\n", begin, position)
        if position == len(text):
            return
        begin = position
        try:
            value, position = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            end = text.find("\n", begin)
            position = len(text) if end < 0 else end
            yield number, _UnusableRowError("not JSON")
            continue
        yield from ((number, item) for item in (value if isinstance(value, list) else [value]))
        number += text.count("\n", begin, position)


def _is_text(value: Any) -> bool:
    """Whether it can be written as UTF-8: half a surrogate pair is JSON, but no text."""
    try:
        canonical_json(value).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True
