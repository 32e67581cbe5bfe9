"""Training histories of the users, all that an encoder may read of interactions: at once, or a stretch at a time.

A history has one entry for each visit, a run of a user's consecutive interactions with one item.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.behavior_encoder.identifiers import Identifiers
from components.contracts.artifacts import INTERACTIONS_FILE
from components.foundation.errors import InputError
from components.recommenders.interaction_sequences import (
    SPLIT_COLUMN,
    InteractionSequences,
    number_rows,
    read_item_ids,
    visit_begins,
)

ROWS_AT_ONCE = 1 << 19
_COLUMNS = ["user_id", "item_id", SPLIT_COLUMN]


def read_histories(prepared: Path) -> InteractionSequences:
    """Every user of a prepared data set with the training interactions alone: there is no target in it to leak.

    A user without a training interaction is there, with an empty history.

    Raises:
        InputError: a table is missing or of another schema, its rows are not sorted by user_id, or there are none.
    """
    path = prepared / INTERACTIONS_FILE
    file = _open(path)
    item_ids = read_item_ids(prepared)
    table = file.read(columns=_COLUMNS)
    if not table.num_rows:
        raise InputError(f"{path}: no interactions, so there is no user to encode")
    return _histories(table, item_ids, item_ids.to_pylist(), path)


def stream_histories(prepared: Path, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[InteractionSequences]:
    """`read_histories` in stretches of whole users, in ascending order; memory depends on `rows_at_once` alone.

    A stretch is cut where a user ends; a user of more rows than that makes a longer one.
    """
    path = prepared / INTERACTIONS_FILE
    file = _open(path)
    item_ids = read_item_ids(prepared)
    item_list = item_ids.to_pylist()
    last_user = ""
    waiting = file.schema_arrow.empty_table().select(_COLUMNS)
    for batch in file.iter_batches(batch_size=rows_at_once, columns=_COLUMNS):
        table = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
        users = table.column("user_id")
        # The rows of the last user of a batch may go on in the next one.
        is_last = pc.equal(users, users[-1])
        cut = pc.index(is_last, True).as_py()
        if cut:
            stretch = _histories(table.slice(0, cut), item_ids, item_list, path)
            _check_order(last_user, stretch, path)
            last_user = stretch.user_ids[-1]
            yield stretch
        waiting = table.slice(cut)
    if waiting.num_rows:
        stretch = _histories(waiting, item_ids, item_list, path)
        _check_order(last_user, stretch, path)
        yield stretch


def item_histories(items: Identifiers, histories: Sequence[Sequence[str]]) -> InteractionSequences:
    """Histories given as item ids, oldest first, as sequences of users without a name.

    Items that are not among `items` are skipped; then runs of one item become one visit.
    """
    positions = items.positions([item for history in histories for item in history])
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    is_item = positions >= 0
    return build_sequences([""] * len(histories), [], users[is_item], positions[is_item] + 1)


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from error
    for name in _COLUMNS:
        if name not in file.schema_arrow.names or not pa.types.is_string(file.schema_arrow.field(name).type):
            raise InputError(f"{path}: has no column {name} of strings, expected a table of prepared interactions")
    return file


def _histories(table: pa.Table, item_ids: pa.Array, item_list: list[str], path: Path) -> InteractionSequences:
    user_ids, users, items = number_rows(table, item_ids, path)
    is_training = pc.equal(table.column(SPLIT_COLUMN), "train").to_numpy(zero_copy_only=False)
    return build_sequences(user_ids, item_list, users[is_training], items[is_training])


def build_sequences(
    user_ids: list[str], item_ids: list[str], users: np.ndarray, items: np.ndarray
) -> InteractionSequences:
    """Sequences from the user (int[M], ascending, from 0) and the item (int[M], from 1) of each interaction."""
    begins = visit_begins(users, items)
    lengths = np.bincount(users[begins], minlength=len(user_ids)).astype(np.int64)
    return InteractionSequences(
        user_ids=user_ids,
        item_ids=item_ids,
        items=items[begins],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        train_lengths=lengths,
    )


def _check_order(last_user: str, stretch: InteractionSequences, path: Path) -> None:
    if stretch.user_ids[0] <= last_user:
        raise InputError(f"{path}: rows are not sorted by user_id")
