"""What a ranker is trained on, lined up: users with their rationales, items with their texts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor

from components.contracts.artifacts import CONFIG_FILE, MATCHES_FILE
from components.contracts.lineage import pool_of
from components.contracts.ranking_signature import RATIONALES_PER_USER
from components.contracts.tables import MATCHES, read_table, read_vectors
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
    rationales = _read_assignments(matches / MATCHES_FILE, rationale_embeddings, sequences)
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
    matches: Path, rationale_embeddings: Path, sequences: InteractionSequences
) -> RationaleAssignments:
    rationale_ids, vectors = read_vectors(rationale_embeddings, "rationale_id")
    row_of = {rationale_id: row for row, rationale_id in enumerate(rationale_ids, start=1)}
    user_of = {user_id: user for user, user_id in enumerate(sequences.user_ids)}
    table = read_table(matches, MATCHES)
    table = table.filter(pc.less_equal(table.column("rank"), RATIONALES_PER_USER))
    rows = np.zeros((sequences.n_users, RATIONALES_PER_USER), dtype=np.int64)
    for user_id, rationale_id, rank in zip(
        *(table.column(name).to_pylist() for name in ("user_id", "rationale_id", "rank")), strict=True
    ):
        if user_id not in user_of:
            raise InputError(f"{matches}: user {user_id!r} is not among the prepared users")
        if rationale_id not in row_of:
            raise InputError(f"{matches}: rationale {rationale_id!r} has no embedding")
        rows[user_of[user_id], rank - 1] = row_of[rationale_id]
    return RationaleAssignments(_with_zero_row(vectors), torch.from_numpy(rows))


def _with_zero_row(vectors: np.ndarray) -> Tensor:
    return torch.from_numpy(np.concatenate([np.zeros((1, vectors.shape[1]), np.float32), vectors]))


def _text_encoder(folder: Path) -> str:
    configuration = read_json(folder / CONFIG_FILE)
    if not isinstance(configuration, dict) or not isinstance(configuration.get("text_encoder"), str):
        raise InputError(f"{folder / CONFIG_FILE}: names no text_encoder")
    return configuration["text_encoder"]
