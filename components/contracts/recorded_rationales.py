"""Files of recorded answers, in either of two forms.

- OpenAI batch output: `{"custom_id": …, "response": {"status_code": 200, "body": {…}}, "error": null}` a line; an
  answer belongs to the request with that `custom_id`. Of lines that repeat one, at most one may carry an answer, as
  where the output of a second batch, with what had failed in the first, was appended.
- Free text by user: `{"user_id": …, "model": …, "preference_summary": …, "recommendation": …}` a line; an answer
  belongs to that seed user. Other fields are passed over.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contracts.batch_format import Answer, canonical_json, read_answer, read_lines
from components.foundation.errors import InputError

TEXT_FIELDS = ("user_id", "model", "preference_summary", "recommendation")


@dataclass(frozen=True)
class RecordedFile:
    """The answers of a file by their key: the user id where `by_user`, else the `custom_id`.

    Attributes:
        models: the names under which models answered, in the order of the file.
    """

    path: Path
    by_user: bool
    models: list[str]
    answers: dict[str, Answer]


def read_recorded_file(path: Path, asked_model: str | None = None) -> RecordedFile:
    """Read a file of either form.

    Lines of batch output that carry an error instead of an answer are left out.

    Args:
        asked_model: what the requests called the model, where it is known. Batch output may then name other models: an
            alias such as `gpt-4o` is answered under the name of a snapshot, which may change within a batch.

    Raises:
        InputError: the file is missing, a folder, empty, no text, holds no answer or answers of two models; a line is
            no JSON object, is of neither form or of the other form than the first, or repeats the key of another.
    """
    rows = read_lines(path)
    by_user = "custom_id" not in rows[0][1]
    key_name = "user_id" if by_user else "custom_id"
    line_of_key: dict[str, int] = {}
    answers: dict[str, Answer] = {}
    models: dict[str, None] = {}
    for number, row in rows:
        key = row.get(key_name)
        if not isinstance(key, str) or not key:
            expected = "custom_id and response, or user_id, model, preference_summary and recommendation"
            raise InputError(f"{path}:{number}: no {key_name} as text, expected lines of {expected}")
        answer = _free_text_answer(row, path, number) if by_user else _batch_answer(row, path, number)
        if answer is None:
            continue
        if key in line_of_key:
            raise InputError(f"{path}:{number}: {key_name} {key!r} is there already, in line {line_of_key[key]}")
        line_of_key[key] = number
        models.setdefault(answer.model)
        if len(models) > 1 and (by_user or asked_model is None):
            before, _ = models
            hint = "" if by_user else "; if one model was asked under another name, give that name by --model"
            raise InputError(f"{path}:{number}: an answer of {answer.model!r}, those before are of {before!r}{hint}")
        answers[key] = answer
    if not answers:
        raise InputError(f"{path}: holds no answer, only errors")
    return RecordedFile(path, by_user, list(models), answers)


def _free_text_answer(row: dict[str, Any], path: Path, number: int) -> Answer:
    for name in TEXT_FIELDS:
        if not isinstance(row.get(name), str):
            raise InputError(f"{path}:{number}: no {name} as text, expected {', '.join(TEXT_FIELDS)}")
    content = {name: row[name] for name in ("preference_summary", "recommendation")}
    return Answer(
        canonical_json(content), row["model"], prompt_tokens=0, completion_tokens=0
    )  # counts are not recorded


def _batch_answer(row: dict[str, Any], path: Path, number: int) -> Answer | None:
    if "response" not in row and "error" not in row:
        raise InputError(f'{path}:{number}: neither "response" nor "error", expected OpenAI batch output')
    try:
        return read_answer(row)
    except ValueError:
        return None
