"""What a prepared folder keeps, so that new files are added to its own without reading those again.

Its interactions are accepted rows, and so are those that filtering left out, which it keeps beside them; with the items
and profiles that were accepted, and the accounts of its files, a later run goes on where this one stopped.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from components.contracts.artifacts import (
    ACCEPTED_FOLDER,
    ACCOUNTS_FILE,
    INTERACTIONS_FILE,
    ITEMS_FILE,
    REJECTED_FILE,
    USERS_FILE,
)
from components.contracts.tables import ITEMS, REJECTED, check_table, protocols_of
from components.data_preparation.engines import read, stream
from components.data_preparation.staging import (
    STAGED_INTERACTIONS,
    STAGED_ITEMS,
    STAGED_REJECTED,
    STAGED_USERS,
    FileAccount,
    Progress,
    write_batches,
)
from components.data_preparation.validation import RAW_INTERACTIONS
from components.foundation.errors import InputError
from components.foundation.files import read_json, write_json

ACCEPTED_ITEMS = pa.schema([*ITEMS, pa.field("described", pa.bool_()), pa.field("position", pa.int64())])
ACCEPTED_USERS = pa.schema([field for field in STAGED_USERS if field.name != "raw"])
FORMAT = 1  # of the accounts


def check_previous(previous: Path) -> None:
    """Raises InputError where `previous` is no folder that can be gone on from."""
    if not (previous / ACCEPTED_FOLDER / ACCOUNTS_FILE).is_file():
        raise InputError(f"previous {previous}: expected a folder that `reland prepare` has written")
    read_progress(previous)
    protocols_of(previous / INTERACTIONS_FILE)
    check_table(previous / ACCEPTED_FOLDER / INTERACTIONS_FILE, RAW_INTERACTIONS)
    check_table(previous / ACCEPTED_FOLDER / ITEMS_FILE, ACCEPTED_ITEMS)
    check_table(previous / ACCEPTED_FOLDER / USERS_FILE, ACCEPTED_USERS)
    check_table(previous / REJECTED_FILE, REJECTED)


def read_progress(previous: Path) -> tuple[str, Progress]:
    """The name of the data set that was prepared, and what became of its files.

    Raises:
        InputError: the file that tells it is missing or damaged.
    """
    path = previous / ACCEPTED_FOLDER / ACCOUNTS_FILE
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        accounts = {
            file["name"]: FileAccount(file["order"], file["kind"], file["read"], Counter(file["rejected"]), False)
            for file in content["files"]
        }
        return str(content["name"]), Progress(accounts, int(content["rows"]), int(content["items"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the accounts of prepared data in format {FORMAT} ({error!r})") from error


def with_previous_interactions(connection: ibis.BaseBackend, staged: ir.Table, previous: Path) -> ir.Table:
    """`STAGED_INTERACTIONS`: the accepted rows of `previous`, without their origin, and those that are staged now."""
    return _united(
        staged,
        STAGED_INTERACTIONS.names,
        read(connection, previous / INTERACTIONS_FILE, "previous_core"),
        read(connection, previous / ACCEPTED_FOLDER / INTERACTIONS_FILE, "previous_left_out"),
    )


def with_previous_items(connection: ibis.BaseBackend, staged: ir.Table, previous: Path) -> ir.Table:
    """`STAGED_ITEMS`, likewise."""
    path = previous / ACCEPTED_FOLDER / ITEMS_FILE
    return _united(staged, STAGED_ITEMS.names, read(connection, path, "previous_items"))


def with_previous_users(connection: ibis.BaseBackend, staged: ir.Table, previous: Path) -> ir.Table:
    """`STAGED_USERS`, likewise."""
    path = previous / ACCEPTED_FOLDER / USERS_FILE
    return _united(staged, STAGED_USERS.names, read(connection, path, "previous_users"))


def with_previous_rejected(
    connection: ibis.BaseBackend, staged: ir.Table, previous: Path, accounts: dict[str, FileAccount]
) -> ir.Table:
    """`STAGED_REJECTED`, likewise."""
    rows = read(connection, previous / REJECTED_FILE, "previous_rejected")
    orders = [(name, account.order) for name, account in accounts.items() if not account.is_new]
    rows = rows.mutate(file_order=rows.file.cases(*orders).cast("int64"))
    return _united(staged, STAGED_REJECTED.names, rows)


def keep_accepted(
    connection: ibis.BaseBackend,
    output: Path,
    left_out: ir.Table,
    items: ir.Table,
    users: ir.Table,
    name: str,
    progress: Progress,
) -> None:
    """Write what a later run goes on from into the prepared folder `output`.

    Args:
        connection: of the engine.
        output: a prepared folder.
        left_out: `RAW_INTERACTIONS`, the accepted rows that are not among its interactions.
        items: `ACCEPTED_ITEMS`, one row for an item.
        users: `ACCEPTED_USERS`, rows of profiles.
        name: of the data set.
        progress: of its files.
    """
    folder = output / ACCEPTED_FOLDER
    left_out = left_out.select(RAW_INTERACTIONS.names).order_by("sequence")
    write_batches(stream(connection, left_out), folder / INTERACTIONS_FILE, RAW_INTERACTIONS)
    items = items.select(ACCEPTED_ITEMS.names).order_by("item_id")
    write_batches(stream(connection, items), folder / ITEMS_FILE, ACCEPTED_ITEMS)
    users = users.select(ACCEPTED_USERS.names).order_by(["file_order", "source_line"])
    write_batches(stream(connection, users), folder / USERS_FILE, ACCEPTED_USERS)
    files: list[dict[str, Any]] = [
        {"name": file, "order": account.order, "kind": account.kind, "read": account.read, "rejected": account.rejected}
        for file, account in progress.accounts.items()
    ]
    content = {"format": FORMAT, "name": name, "rows": progress.rows, "items": progress.items, "files": files}
    write_json(folder / ACCOUNTS_FILE, content)


def _united(staged: ir.Table, names: list[str], *before: ir.Table) -> ir.Table:
    """`staged` and the rows of before; what of `names` those do not tell is null."""
    for rows in before:
        missing = {name: ibis.null(staged[name].type()) for name in names if name not in rows.columns}
        staged = staged.union(rows.mutate(**missing).select(staged.columns))
    return staged
