"""Names of a team's own: which of its columns are the platform's, and what its behaviors mean."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from components.contracts.tables import BEHAVIORS, interactions_schema
from components.foundation.errors import InputError

NEEDED_COLUMNS = ("user_id", "item_id", "timestamp")
INTERACTION_COLUMNS = tuple(name for name in interactions_schema([]).names if name != "sequence")
ITEM_COLUMNS = ("title", "brand", "categories", "description")
FIELDS = (*INTERACTION_COLUMNS, *ITEM_COLUMNS)


@dataclass(frozen=True)
class ColumnMapping:
    """What a file's columns and behaviors are called, where the platform would not know them by their names.

    Attributes:
        columns: the platform's column to the file's, {"item_id": "sku"}.
        behaviors: the file's value to the platform's behavior, {"0": "click"}.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    behaviors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, columns: str, behaviors: str) -> "ColumnMapping":
        """Read "user_id=customer,item_id=sku" and "0=click,2=purchase"; empty texts map nothing.

        Raises:
            InputError: an entry is no pair, names what the platform does not have, or is there twice.
        """
        own_columns = _pairs("columns", columns, "item_id=sku", lambda entry: entry.partition("="))
        for name in own_columns:
            if name not in FIELDS:
                raise InputError(
                    f"columns {columns!r}: {name!r} is none of the platform's columns, {', '.join(FIELDS)}"
                )
        twice = _first_repeated(own_columns.values())
        if twice is not None:
            raise InputError(f"columns {columns!r}: the column {twice!r} is given two meanings, expected one")
        meanings = _pairs("behaviors", behaviors, "2=purchase", lambda entry: entry.rpartition("="))
        for behavior in meanings.values():
            if behavior not in BEHAVIORS:
                expected = ", ".join(BEHAVIORS)
                raise InputError(f"behaviors {behaviors!r}: {behavior!r} is no behavior, expected one of {expected}")
        return cls(own_columns, meanings)

    def __bool__(self) -> bool:
        """Whether anything is mapped."""
        return bool(self.columns or self.behaviors)

    def resolve(self, names: Collection[str], fields: Iterable[str]) -> dict[str, str]:
        """Which of a file's columns `names` is which of the platform's `fields`; those that are not there are left out.

        A field that is mapped is that column alone. Another is the column of its own name or else, if there is just
        one, that whose name differs in case, underscores or spaces ("USER_ID", "userId").
        """
        resolved = {}
        taken = set(self.columns.values())
        for name in fields:
            if name in self.columns:
                candidates = [own for own in names if own == self.columns[name]]
            elif name in names and name not in taken:
                candidates = [name]
            else:
                candidates = [own for own in names if simplified(own) == simplified(name) and own not in taken]
            if len(set(candidates)) == 1:
                resolved[name] = candidates[0]
        return resolved

    def rename(self, names: list[str], fields: Iterable[str]) -> list[str]:
        """`names` with the platform's own for those that `resolve` finds."""
        resolved = {own: name for name, own in self.resolve(names, fields).items()}
        mapped_elsewhere = set(self.columns) - set(resolved)
        return [
            resolved.get(own, f"{own} (not read)" if own in mapped_elsewhere | set(resolved.values()) else own)
            for own in names
        ]


NO_MAPPING = ColumnMapping()


def simplified(name: str) -> str:
    """A name without what spellings differ in: case, underscores, spaces, hyphens."""
    return re.sub(r"[\W_]+", "", name).lower()


def _pairs(setting: str, text: str, example: str, split: Callable[[str], tuple[str, str, str]]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for entry in text.split(",") if text.strip() else []:
        left, equals, right = (part.strip() for part in split(entry))
        if not (left and equals and right):
            raise InputError(f"{setting} {text!r}: {entry.strip()!r} is no pair, expected entries like {example}")
        if left in pairs:
            raise InputError(f"{setting} {text!r}: {left!r} is there twice, expected once")
        pairs[left] = right
    return pairs


def _first_repeated(values: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
