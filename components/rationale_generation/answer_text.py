"""Finds the JSON object of an answer in what a model wrote around it."""

import json
import re
from collections import Counter
from typing import Any

from components.rationale_generation.text_rules import Reason, RejectedAnswerError

# The ways in which models mark what they reasoned before they answer.
_THOUGHTS = r"think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis"
_OPENING = rf"<(?:\w+:)?(?:{_THOUGHTS})>|\[think\]|◁think▷|<\|(?:begin_of_thought|channel\|>(?:analysis|commentary))"
_BEGIN_OF_THOUGHTS = re.compile(_OPENING, re.IGNORECASE)
_END_OF_THOUGHTS = re.compile(
    rf"</(?:\w+:)?(?:{_THOUGHTS})>|\[/think\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>final\b", re.IGNORECASE
)
# With which models end a text: <|im_end|>, </s>, <end_of_turn>, <｜end▁of▁sentence｜>.
_END_TOKEN = re.compile(r"<[|｜][^<>]{1,40}[|｜]>|</s>|<eos>|<end_of_turn>|\[/?inst\]", re.IGNORECASE)
_BEGIN_OF_VALUE = re.compile(r"(?:t|tr|tru|f|fa|fal|fals|n|nu|nul|-|\\?u?[0-9a-fA-F]{0,4})")  # or nothing
_BRACES = frozenset("{}")
_BEGIN_OF_OBJECT = re.compile(r"\{\s*[\"}]")


def read_object(content: str) -> dict[str, Any]:
    """The one JSON object in the text of a message.

    Passed over is what stands around it: reasoning that is marked as such, a code fence, sentences, tokens that end a
    text, a byte-order mark. Of two objects neither is taken, nor one with braces behind it: a title that a model copied
    as it is may have ended the object early.

    Raises:
        RejectedAnswerError: there is none, or more than one; it ends in the middle, or the reasoning does.
    """
    *_, text = _END_OF_THOUGHTS.split(content)
    begin = _BEGIN_OF_OBJECT.search(text)
    if _BEGIN_OF_THOUGHTS.search(text, 0, begin.start() if begin else len(text)):
        raise RejectedAnswerError(Reason.CUT_OFF, "cut off within its reasoning")
    if begin is None:
        unfinished = re.search(r"\{\s*\Z", text)
        raise RejectedAnswerError(Reason.CUT_OFF, "cut off") if unfinished else _not_json("not JSON")
    try:
        # Not strict: control characters within a text are made white space later.
        answer, end = json.JSONDecoder(object_pairs_hook=_object, strict=False).raw_decode(text, begin.start())
    except json.JSONDecodeError as error:
        if _ends_in_the_middle(text, error):
            raise RejectedAnswerError(Reason.CUT_OFF, "cut off") from None
        raise _not_json("not JSON") from None
    except (ValueError, RecursionError):
        raise _not_json("not JSON") from None
    if not _BRACES.isdisjoint(text[end:]):
        raise _not_json("not JSON: more than one object, or the rest of one")
    return answer


def _ends_in_the_middle(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the text ended before the object did."""
    rest = _END_TOKEN.split(text[error.pos :], maxsplit=1)[0].strip(" \t\r\n`")
    return error.msg.startswith("Unterminated string") or _BEGIN_OF_VALUE.fullmatch(rest) is not None


def _not_json(detail: str) -> RejectedAnswerError:
    return RejectedAnswerError(Reason.NOT_JSON, detail)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError("a name twice in one object")
    return dict(pairs)
