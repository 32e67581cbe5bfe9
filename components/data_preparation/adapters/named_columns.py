"""A team's own log as delimited text: `interactions.csv` or any name; `items` and `users` beside it.

Line 1 names the columns; the separator is a comma, a semicolon, a tab or "|", files may be gzipped. Interactions need
user_id, item_id and timestamp and may have behavior, value (or rating), query and scene. They go by these names, in any
case, or by those of a `ColumnMapping`. Without a behavior, a row with a value is a rating and any other a click. Items
(`items.csv`, `items.tsv`) need item_id and may have title, brand, categories ("A|B" or a list in brackets) and
description; of users (`users.csv`) every column but user_id is an attribute. A folder of parts (`part-00000….csv`) is
one log. Other columns are not read.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.data_preparation.adapters.behaviors import behavior_column
from components.data_preparation.adapters.categories import category_list
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    Adapter,
    Layout,
    RowBatch,
    row_batch,
)
from components.data_preparation.adapters.profiles import attributes
from components.data_preparation.column_mapping import (
    INTERACTION_COLUMNS,
    ITEM_COLUMNS,
    NEEDED_COLUMNS,
    NO_MAPPING,
    ColumnMapping,
)
from components.data_preparation.delimited import numbers
from components.data_preparation.headed import read_headed, separator_of
from components.data_preparation.source_files import files_in
from components.data_preparation.timestamps import seconds

VALUE_SYNONYM = "rating"


class NamedColumns(Adapter):
    """Delimited text with a header: the platform's column names, or a team's own by `--columns`."""

    name = "named-columns"
    description = f"delimited text whose line 1 names the columns {', '.join(NEEDED_COLUMNS)}"

    def __init__(self, mapping: ColumnMapping = NO_MAPPING):
        self.mapping = mapping

    def recognise(self, source: Path) -> Layout | None:
        """One log with the needed columns, or several named `part-*`, with `items` and `users` beside them."""
        logs = [path for path in files_in(source) if separator_of(path, NEEDED_COLUMNS, self._interaction_names)]
        if not logs or (len(logs) > 1 and not all(path.name.startswith("part-") for path in logs)):
            return None
        root = logs[0].parent
        items = [path for path in _named(root, "items") if separator_of(path, ("item_id",), self._item_names)]
        users = [path for path in _named(root, "users") if separator_of(path, ("user_id",), self._user_names)]
        return Layout(root, tuple(logs), tuple(items), tuple(users))

    def interactions(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the log: columns and behaviors by the mapping, times in any unit that `seconds` reads."""
        for path in layout.interactions:
            for refusals, fields in read_headed(path, NEEDED_COLUMNS, self._interaction_names):
                columns = {name: fields[name] for name in INTERACTION_COLUMNS if name in fields}
                columns["timestamp"] = seconds(columns["timestamp"])
                columns["behavior"] = behavior_column(path, self.mapping, columns)
                for name in ("value", "query", "scene"):
                    if name in columns:
                        columns[name] = _without_empty(columns[name])
                if "value" in columns:
                    given = columns["value"]
                    columns["value"] = pc.if_else(pc.is_null(given), pa.scalar(None, pa.float64()), numbers(given))
                yield row_batch(path.name, refusals, columns, UNCHECKED_INTERACTIONS)

    def items(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the items; texts that have no column are empty."""
        for path in layout.items:
            for refusals, fields in read_headed(path, ("item_id",), self._item_names):
                empty = pa.repeat(pa.scalar("", pa.large_string()), len(fields["item_id"]))
                columns = {
                    name: pc.utf8_trim_whitespace(fields.get(name, empty)) for name in ("title", "brand", "description")
                }
                columns["item_id"] = fields["item_id"]
                categories = [category_list(text) for text in fields.get("categories", empty).to_pylist()]
                columns["categories"] = pa.array(categories, pa.list_(pa.string()))
                yield row_batch(path.name, refusals, columns, UNCHECKED_ITEMS)

    def users(self, layout: Layout) -> Iterator[RowBatch]:
        """Read the profiles: every column with a name but `user_id` is an attribute."""
        for path in layout.users:
            for refusals, fields in read_headed(path, ("user_id",), self._user_names):
                users = fields.pop("user_id")
                named = {name: values for name, values in fields.items() if name}  # an index has no name
                columns = {"user_id": users, "attributes": attributes(named, len(users))}
                yield row_batch(path.name, refusals, columns, UNCHECKED_USERS)

    def _interaction_names(self, names: list[str]) -> list[str]:
        renamed = self.mapping.rename(self._untyped(names), INTERACTION_COLUMNS)
        return renamed if "value" in renamed else ["value" if name == VALUE_SYNONYM else name for name in renamed]

    def _item_names(self, names: list[str]) -> list[str]:
        return self.mapping.rename(self._untyped(names), ("item_id", *ITEM_COLUMNS))

    def _user_names(self, names: list[str]) -> list[str]:
        return self.mapping.rename(self._untyped(names), ("user_id",))

    def _untyped(self, names: list[str]) -> list[str]:
        """Where columns are mapped, RecBole's "product_id:token" may be called by its name alone."""
        return [name.partition(":")[0] if self.mapping else name for name in names]


def _without_empty(texts: pa.Array) -> pa.Array:
    """Null where a text is empty or white space."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar(None, texts.type), texts)


def _named(folder: Path, stem: str) -> list[Path]:
    return [path for path in files_in(folder) if path.name.partition(".")[0].lower() == stem]
