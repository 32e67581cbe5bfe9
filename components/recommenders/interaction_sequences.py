"""Prepared interactions as flat integer arrays, the form that encoders, rankers and the evaluator work on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE
from components.contracts.tables import ITEMS, LEAVE_ONE_OUT, SPLIT_PREFIX, SPLITS, read_interactions, read_table
from components.foundation.errors import InputError

SPLIT_COLUMN = SPLIT_PREFIX + LEAVE_ONE_OUT


@dataclass(frozen=True)
class InteractionSequences:
    """Every user's items in the order of time, one user after the other (compressed rows).

    An entry is a visit: a run of interactions with one item (a click and the purchase that follows) is one step of the
    user, so it is predicted once, and never from its own beginning.

    Attributes:
        user_ids: U ids, sorted; a user's position is the user's index.
        item_ids: I ids, sorted; an item's index is its position + 1, and 0 is padding.
        items: int64[N], item indices of all visits.
        offsets: int64[U + 1]; the visits of user u are items[offsets[u]:offsets[u + 1]].
        train_lengths: int64[U]; the first train_lengths[u] of them are for training.
        valid_lengths: int64[U]; so many after them are validation targets, the others test targets. None: the next one
            is the validation target, the one after it the test target (leave-one-out).
    """

    user_ids: list[str]
    item_ids: list[str]
    items: np.ndarray
    offsets: np.ndarray
    train_lengths: np.ndarray
    valid_lengths: np.ndarray | None = None

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items; indices run from 1 to it, 0 is padding."""
        return len(self.item_ids)

    def training_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Users (int64[M], from 0) and items (int64[M], from 1) of the training visits, by user and time."""
        within = np.arange(len(self.items)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))
        users = np.repeat(np.arange(self.n_users), np.diff(self.offsets))
        is_training = within < self.train_lengths[users]
        return users[is_training], self.items[is_training]

    def held_out(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Of each user's `valid` or `test` targets, the place of the first in `items`, and their number: int64[U] each.

        What the user had before them is items[offsets[u] : place].
        """
        begins = self.offsets[:-1] + self.train_lengths
        if self.valid_lengths is None:
            return begins + (split == "test"), np.ones_like(begins)
        if split == "valid":
            return begins, self.valid_lengths
        begins = begins + self.valid_lengths
        return begins, self.offsets[1:] - begins

    def recent_items(self, users: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
        """The last `length` of the first `ends[b]` items of users[b]: int64[B, length], oldest first, 0-padded."""
        starts = self.offsets[users] + np.maximum(ends - length, 0)
        return gather_windows(self.items, starts, np.minimum(ends, length), length)


def gather_windows(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Rows values[starts[b] : starts[b] + lengths[b]] as int64[B, width], 0-padded at the end."""
    columns = np.arange(width)
    positions = np.minimum(starts[:, None] + columns, len(values) - 1)
    return np.where(columns < lengths[:, None], values[positions], 0)


def read_sequences(prepared: Path, protocol: str = LEAVE_ONE_OUT) -> InteractionSequences:
    """Read the sequences of a prepared-data artifact, split by `leave_one_out` or `ratio`.

    Raises:
        InputError: a table is missing or of another schema, or its rows are not in the order the contract asks for.
    """
    path = prepared / INTERACTIONS_FILE
    column = SPLIT_PREFIX + protocol
    table = read_interactions(prepared, ["user_id", "item_id", column], protocol)
    item_ids = read_item_ids(prepared)
    user_ids, user_index, items = number_rows(table, item_ids, path)
    splits = pc.index_in(table.column(column), value_set=pa.array(SPLITS)).to_numpy(zero_copy_only=False)

    begins = visit_begins(user_index, items)
    if (splits[1:] != splits[:-1])[~begins[1:]].any():
        raise InputError(f"{path}: {column} tears a visit, a run of interactions with one item, apart")
    user_index, items, splits = user_index[begins], items[begins], splits[begins]

    train, valid, test = (
        np.bincount(user_index[splits == SPLITS.index(split)], minlength=len(user_ids)).astype(np.int64)
        for split in SPLITS
    )
    if protocol == LEAVE_ONE_OUT and (valid + test != 2).any():
        raise InputError(f"{path}: {column} does not leave exactly two visits out for every user")
    if (valid == 0).any() or (test == 0).any():
        raise InputError(f"{path}: {column} leaves a user without a visit to validate or to test with")
    offsets = np.concatenate([[0], np.cumsum(train + valid + test)]).astype(np.int64)
    expected = np.repeat(np.tile(range(len(SPLITS)), len(user_ids)), np.stack([train, valid, test], axis=1).ravel())
    if (splits != expected).any():
        raise InputError(f"{path}: {column} is not, in each user's order, train, then valid, then test")
    return InteractionSequences(
        user_ids=user_ids,
        item_ids=item_ids.to_pylist(),
        items=items,
        offsets=offsets,
        train_lengths=train,
        valid_lengths=None if protocol == LEAVE_ONE_OUT else valid,
    )


def read_item_ids(prepared: Path) -> pa.Array:
    """The ids of the prepared items, in ascending order.

    Raises:
        InputError: the table is missing, of another schema, or not sorted.
    """
    item_ids = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id"]).column("item_id").combine_chunks()
    if not pc.all(pc.less(item_ids[:-1], item_ids[1:]), min_count=0).as_py():
        raise InputError(f"{prepared / ITEMS_FILE}: rows are not sorted by item_id, each once")
    return item_ids


def number_rows(interactions: pa.Table, item_ids: pa.Array, path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids of the users of some interactions, and of each row the user (int64[M], from 0) and item (int64[M], from 1).

    Args:
        path: of the interactions, for messages.

    Raises:
        InputError: rows are not sorted by user_id, or an item is not among `item_ids`.
    """
    users = interactions.column("user_id").combine_chunks().dictionary_encode()
    user_ids, user_index = users.dictionary.to_pylist(), users.indices.to_numpy().astype(np.int64)
    if (np.diff(user_index) < 0).any() or user_ids != sorted(user_ids):
        raise InputError(f"{path}: rows are not sorted by user_id")
    positions = pc.index_in(interactions.column("item_id"), value_set=item_ids)
    if positions.null_count:
        raise InputError(f"{path}: {positions.null_count} interactions with items that {ITEMS_FILE} does not hold")
    return user_ids, user_index, positions.to_numpy().astype(np.int64) + 1


def visit_begins(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Which rows begin a visit, bool[M]: those of another user or another item than the row before."""
    begins = np.ones(len(items), dtype=bool)
    begins[1:] = (np.diff(users) != 0) | (np.diff(items) != 0)
    return begins
