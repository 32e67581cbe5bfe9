"""What operators keep out of serving: items, rationales, and texts that no rationale that is served may contain.

`RELAND_HOME/serving/exclusions.jsonl` has a line for each decision: who, when, why. Lines are only added, so the file
is what is in force and the audit of it in one. `reland items` and `reland rationales` write it, gateways follow it, and
a push of features marks the rationales that it bans for whoever reads the feature store without a gateway.

A rationale's id is the hash of its prompt and text, so a ban of an id does not hold for an equal text under another id,
as the next run may make it; a ban of a text does.
"""

import fcntl
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from components.foundation.account import account
from components.foundation.errors import InputError, write_failure
from components.foundation.settings import Settings

EXCLUSIONS_FILE = "exclusions.jsonl"
ITEM, RATIONALE, TEXT = KINDS = ("item", "rationale", "text")
EXCLUDE, ADMIT = ACTIONS = ("exclude", "admit")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One line.

    Attributes:
        time: UTC, in ISO form.
        by: the account that decided.
        action: `exclude`, or `admit`, which takes an earlier exclusion back.
        kind: one of `KINDS`.
        value: an item id, the id of a rationale, or a text.
        reason: what it said.
    """

    time: str
    by: str
    action: str
    kind: str
    value: str
    reason: str

    @property
    def subject(self) -> tuple[str, str]:
        """What is decided on: texts that are matched alike are one."""
        return self.kind, _plain(self.value) if self.kind == TEXT else self.value


@dataclass(frozen=True)
class _Bans:
    rationales: frozenset[str] = frozenset()
    texts: re.Pattern[str] | None = None

    def hold_for(self, rationale_id: str, text: str) -> bool:
        if rationale_id in self.rationales:
            return True
        return self.texts is not None and self.texts.search(_plain(text)) is not None


@dataclass(frozen=True)
class Exclusions:
    """What the decisions, oldest first, amount to."""

    decisions: Sequence[Decision] = ()

    @cached_property
    def in_force(self) -> list[Decision]:
        """The exclusions that were not taken back, in the order in which they were made."""
        newest = {decision.subject: decision for decision in self.decisions}
        return [decision for decision in newest.values() if decision.action == EXCLUDE]

    @cached_property
    def items(self) -> frozenset[str]:
        """The items that no list may hold."""
        return frozenset(decision.value for decision in self.in_force if decision.kind == ITEM)

    @cached_property
    def _bans(self) -> _Bans:
        return _bans(self.in_force)

    @cached_property
    def _bans_ever(self) -> _Bans:
        return _bans(self.decisions)

    def ban(self, rationale_id: str, text: str, stored: bool) -> bool:
        """Whether a rationale is banned.

        Args:
            text: its preference summary, which users are shown.
            stored: whether it is marked as banned in the feature store. That counts where these decisions never said
                anything of it; else the mark is what an earlier push made of them.
        """
        if self._bans.hold_for(rationale_id, text):
            return True
        return stored and not self._bans_ever.hold_for(rationale_id, text)


def exclusions_file(settings: Settings) -> Path:
    """Where the decisions are."""
    return settings.home / "serving" / EXCLUSIONS_FILE


def decide(path: Path, action: str, kind: str, values: Iterable[str], reason: str) -> list[Decision]:
    """Add a line for each value; on disk when this returns.

    Raises:
        InputError: a value or the reason is empty, a value that is to be admitted is not excluded, or the file cannot
            be read or written.
    """
    if not reason.strip():
        raise InputError("--reason: empty, expected why, for whoever looks later")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    decisions = [
        Decision(time=now, by=account(), action=action, kind=kind, value=value, reason=reason) for value in values
    ]
    for decision in decisions:
        if not decision.subject[1].strip():
            raise InputError(f"{kind} {decision.value!r}: empty")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if action == ADMIT:
                excluded = {decision.subject for decision in read_exclusions(path).in_force}
                for decision in decisions:
                    if decision.subject not in excluded:
                        raise InputError(
                            f"{kind} {decision.value!r}: is not excluded, so there is nothing to take back"
                        )
            # A writer that was killed on the way may have left a part of a line: it was never decided.
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            for decision in decisions:
                file.write(json.dumps(asdict(decision), ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_failure(f"{path}: cannot be written ({error.strerror})", error) from error
    return decisions


def read_exclusions(path: Path) -> Exclusions:
    """Every decision; none where there is no file yet.

    Raises:
        InputError: the file is not readable, or a line is no decision; the message names it.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last end of a line was never written whole
    except FileNotFoundError:
        return Exclusions()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror})") from error
    return Exclusions(tuple(_read(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)))


def _read(line: bytes, place: str) -> Decision:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise InputError(f"{place}: not readable as JSON ({error})") from error
    names = {each.name for each in fields(Decision)}
    if not isinstance(content, dict) or set(content) != names or not all(isinstance(v, str) for v in content.values()):
        raise InputError(f"{place}: no decision, expected an object of texts: {', '.join(sorted(names))}")
    if content["action"] not in ACTIONS or content["kind"] not in KINDS:
        raise InputError(f"{place}: expected an action of {', '.join(ACTIONS)} and a kind of {', '.join(KINDS)}")
    return Decision(**content)


def _bans(decisions: Iterable[Decision]) -> _Bans:
    excluded = [decision for decision in decisions if decision.action == EXCLUDE]
    texts = sorted({_plain(decision.value) for decision in excluded if decision.kind == TEXT})
    pattern = re.compile("|".join(map(_whole_words, texts))) if texts else None
    return _Bans(frozenset(decision.value for decision in excluded if decision.kind == RATIONALE), pattern)


def _plain(text: str) -> str:
    """Texts that differ in case, white space or the form of their letters alone are equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _whole_words(text: str) -> str:
    """A pattern of `text` that does not begin or end inside a word; scripts without case may write without spaces."""
    before, after = (r"(?<!\w)", r"(?!\w)")
    return f"{before if _bounds(text[0]) else ''}{re.escape(text)}{after if _bounds(text[-1]) else ''}"


def _bounds(character: str) -> bool:
    return character.isdecimal() or character.lower() != character.upper()
