"""What a ranker is trained on, lined up: users with their rationales, items with their texts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor

from components.contracts.artifacts import CONFIG_FILE, ITEMS_FILE, MATCHES_FILE
from components.contracts.lineage import pool_of
from components.contracts.ranking_signature import RATIONALES_PER_USER
from components.contracts.tables import ITEMS, MATCHES, read_table, read_vectors
from components.foundation.errors import InputError
from components.foundation.files import read_json
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.rationale_assignments import RationaleAssignments


@dataclass(frozen=True)
class RankerInputs:
    """Everything the variants read.

    Attributes:
        sequences: interactions of U users with I items.
        rationales: the matched rationales of the U users, t components each.
        item_text: float32[I + 1, t], row 0 (padding) zero.
        text_encoder: name of the encoder that made rationale and item embeddings.
        pool: collection that the users were matched in.
    """

    sequences: InteractionSequences
    rationales: RationaleAssignments
    item_text: Tensor
    text_encoder: str
    pool: str


def read_ranker_inputs(
    prepared: Path, matches: Path, rationale_embeddings: Path, item_text_embeddings: Path
) -> RankerInputs:
    """Read and line up the artifacts of the earlier steps.

    Raises:
        InputError: they are not of one run: an item without a text, a match to an unknown rationale, two text encoders.
    """
    sequences = read_sequences(prepared)
    text_encoder = _text_encoder(rationale_embeddings)
    if _text_encoder(item_text_embeddings) != text_encoder:
        raise InputError(f"{item_text_embeddings}: not encoded by {text_encoder}, as the rationales are")
    item_ids, item_vectors = read_vectors(item_text_embeddings, "item_id")
    if item_ids != sequences.item_ids:
        raise InputError(f"{item_text_embeddings}: not the embeddings of the items in {prepared}")
    rationales = _read_assignments(matches / MATCHES_FILE, rationale_embeddings, prepared, sequences)
    text_dimension = rationales.embeddings.shape[1]
    if item_vectors.shape[1] != text_dimension:
        raise InputError(
            f"{item_text_embeddings}: {item_vectors.shape[1]} dimensions, rationales have {text_dimension}"
        )
    return RankerInputs(
        sequences=sequences,
        rationales=rationales,
        item_text=_with_zero_row(item_vectors),
        text_encoder=text_encoder,
        pool=pool_of(matches),
    )


def _read_assignments(
    matches: Path, rationale_embeddings: Path, prepared: Path, sequences: InteractionSequences
) -> RationaleAssignments:
    rationale_ids, vectors = read_vectors(rationale_embeddings, "rationale_id")
    seed_users = np.full(len(rationale_ids) + 1, -1, dtype=np.int64)
    row_of = {rationale_id: row for row, rationale_id in enumerate(rationale_ids, start=1)}
    user_of = {user_id: user for user, user_id in enumerate(sequences.user_ids)}
    table = read_table(matches, MATCHES)
    table = table.filter(pc.less_equal(table.column("rank"), RATIONALES_PER_USER))
    rows = np.zeros((sequences.n_users, RATIONALES_PER_USER), dtype=np.int64)
    columns = ("user_id", "rationale_id", "seed_user_id", "rank")
    for user_id, rationale_id, seed_user_id, rank in zip(
        *(table.column(name).to_pylist() for name in columns), strict=True
    ):
        for name in (user_id, seed_user_id):
            if name not in user_of:
                raise InputError(f"{matches}: user {name!r} is not among the prepared users")
        if rationale_id not in row_of:
            raise InputError(f"{matches}: rationale {rationale_id!r} has no embedding")
        rows[user_of[user_id], rank - 1] = row_of[rationale_id]
        seed_users[row_of[rationale_id]] = user_of[seed_user_id]
    return RationaleAssignments(
        _with_zero_row(vectors),
        torch.from_numpy(rows),
        torch.from_numpy(seed_users),
        _category_shares(prepared, sequences, seed_users),
    )


def _category_shares(prepared: Path, sequences: InteractionSequences, users: np.ndarray) -> Tensor | None:
    """Shares of each category in the categories of users' training items: float32[B, c]; zero for a user -1.

    None where no item has a category.
    """
    lists = read_table(prepared / ITEMS_FILE, ITEMS, ["categories"]).column("categories").combine_chunks()
    encoded = pc.list_flatten(lists).dictionary_encode()
    if not len(encoded.dictionary):
        return None
    of_items = np.zeros((sequences.n_items + 1, len(encoded.dictionary)), dtype=np.float32)
    np.add.at(of_items, (pc.list_parent_indices(lists).to_numpy() + 1, encoded.indices.to_numpy()), 1)
    shares = np.zeros((len(users), of_items.shape[1]), dtype=np.float32)
    for row, user in enumerate(users):
        if user >= 0:
            begin = sequences.offsets[user]
            counts = of_items[sequences.items[begin : begin + sequences.train_lengths[user]]].sum(axis=0)
            shares[row] = counts / max(counts.sum(), 1)
    return torch.from_numpy(shares)


def _with_zero_row(vectors: np.ndarray) -> Tensor:
    return torch.from_numpy(np.concatenate([np.zeros((1, vectors.shape[1]), np.float32), vectors]))


def _text_encoder(folder: Path) -> str:
    configuration = read_json(folder / CONFIG_FILE)
    if not isinstance(configuration, dict) or not isinstance(configuration.get("text_encoder"), str):
        raise InputError(f"{folder / CONFIG_FILE}: names no text_encoder")
    return configuration["text_encoder"]
