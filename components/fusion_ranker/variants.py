"""Training of the variants that are compared (the columns of the paper's Table 2, and a control)."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.contracts.artifacts import (
    ITEM_INDEX_FILE,
    METRICS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    USER_VECTOR_ONNX_FILE,
)
from components.contracts.serving import (
    ITEM_VECTORS_FILE,
    POPULAR_ITEMS,
    POPULAR_ITEMS_FILE,
    SIMILAR_ITEMS,
    SIMILAR_ITEMS_FILE,
)
from components.contracts.tables import ITEM_INDEX, vectors, write_table
from components.foundation.errors import InputError
from components.foundation.files import write_json
from components.foundation.progress import say
from components.fusion_ranker.configuration import RankingSection
from components.fusion_ranker.export import export_ranker, export_user_vector, item_vectors
from components.recommenders.classics.configuration import ItemKNNSettings
from components.recommenders.classics.item_knn import item_similarities
from components.recommenders.configuration import RankerConfig, TrainingConfig
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.ranker import Ranker, save_ranker
from components.recommenders.ranker_inputs import RankerInputs
from components.recommenders.training.processes import TrainingResources, default_device
from components.recommenders.training.rankers import TrainingResult, train_ranker
from components.recommenders.variant_rankers import assignments_for, build_ranker
from components.recommenders.variants import ID_ONLY, RELAND, variant_named

BASELINE = ID_ONLY
SERVED = RELAND
SIMILAR_ITEMS_OF_EACH = 50


def parse_variants(text: str) -> list[str]:
    """Names of variants, separated by commas; the baseline and the served one must be among them.

    Raises:
        InputError: an unknown name, a name twice, or one of the two that every run needs is missing.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        try:
            variant_named(name)
        except InputError as error:
            raise InputError(f"variants: {error}") from error
    if len(set(names)) != len(names):
        raise InputError(f"variants: {text!r} names a variant twice")
    for name in (BASELINE, SERVED):
        if name not in names:
            raise InputError(f"variants: {name!r} is missing, every run needs it")
    return names


def train_variants(inputs: RankerInputs, section: RankingSection, output: Path, seed: int) -> None:
    """Train each variant with the same budget and write one ranker artifact for each below `output`.

    Raises:
        InputError: an unknown backbone, settings that it does not have, or as `train_ranker`.
    """
    config = dataclasses.replace(section.training, seed=seed)
    for variant in parse_variants(section.variants):
        ranker = build_ranker(variant, inputs, section.backbone, section.model, seed)
        assert isinstance(ranker, Ranker)  # a section refuses backbones that cannot be released
        result = train_ranker(
            ranker,
            inputs.sequences,
            assignments_for(variant, inputs.rationales, config.seed),
            config,
            TrainingResources(device=default_device()),
        )
        _write_artifact(ranker, inputs, config, result, output / variant)


def _write_artifact(
    ranker: Ranker, inputs: RankerInputs, config: TrainingConfig, result: TrainingResult, directory: Path
) -> None:
    save_ranker(ranker, directory)
    export_ranker(ranker, directory / ONNX_FILE)
    write_json(directory / METRICS_FILE, {"training": dataclasses.asdict(config), "result": dataclasses.asdict(result)})
    item_ids = inputs.sequences.item_ids
    write_table(
        pa.table([pa.array(item_ids), pa.array(range(1, len(item_ids) + 1), pa.int64())], schema=ITEM_INDEX),
        directory / ITEM_INDEX_FILE,
        ITEM_INDEX,
    )
    if ranker.config.variant == SERVED:
        write_candidate_vectors(ranker, item_ids, directory)
        _write_popular_items(inputs.sequences, directory)
        write_similar_items(inputs.sequences, directory)
    (directory / MODEL_CARD_FILE).write_text(_model_card(ranker.config, result), encoding="utf-8")
    say(f"{ranker.config.variant}: trained, validation chose step {result.best_step} of {result.steps}")


def write_candidate_vectors(ranker: Ranker, item_ids: list[str], directory: Path) -> None:
    """Write what candidate retrieval reads: the ranker's user side and its item vectors, in the order of `item_ids`."""
    export_user_vector(ranker, directory / USER_VECTOR_ONNX_FILE)
    matrix = item_vectors(ranker)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    schema = vectors("item_id", matrix.shape[1])
    table = pa.table([pa.array(item_ids, pa.string()), rows], schema=schema)
    write_table(table, directory / ITEM_VECTORS_FILE, schema)


def _write_popular_items(sequences: InteractionSequences, directory: Path) -> None:
    item_ids = pa.array(sequences.item_ids, pa.string())
    _, visited = sequences.training_pairs()
    visits = np.bincount(visited, minlength=sequences.n_items + 1)[1:]
    order = np.argsort(-visits, kind="stable")  # the items are sorted by id
    popular = pa.table([item_ids.take(pa.array(order)), pa.array(visits[order])], schema=POPULAR_ITEMS)
    write_table(popular, directory / POPULAR_ITEMS_FILE, POPULAR_ITEMS)


def write_similar_items(sequences: InteractionSequences, directory: Path) -> None:
    """Write what answers a user with a history when no model does: what others visited after each item."""
    similarities = item_similarities(sequences, ItemKNNSettings(neighbours=SIMILAR_ITEMS_OF_EACH))
    item_ids = pa.array(sequences.item_ids, pa.string())
    offsets = pa.array(similarities.indptr, pa.int32())
    neighbours = pa.ListArray.from_arrays(offsets, item_ids.take(pa.array(similarities.indices)))
    values = pa.ListArray.from_arrays(offsets, pa.array(similarities.data, pa.float32()))
    table = pa.table([item_ids, neighbours, values], schema=SIMILAR_ITEMS)
    write_table(table, directory / SIMILAR_ITEMS_FILE, SIMILAR_ITEMS)


def _model_card(config: RankerConfig, result: TrainingResult) -> str:
    lines = [
        f"# RELAND ranker, variant `{config.variant}`",
        "",
        f"Scores {config.items} items for a user from the last {config.history_length} interactions"
        + (", and from the rationale the user was matched to." if config.variant == SERVED else "."),
        "",
        f"- Backbone: {config.backbone}, {config.layers} layers, {config.embedding_dimension} dimensions.",
        f"- Text encoder that its features must come from: {config.text_encoder} ({config.text_dimension} dimensions).",
        f"- Trained {result.passes:.1f} passes over the data; validation chose the weights of step {result.best_step}.",
        "- Validation, full ranking: " + ", ".join(f"{name} {value:.4f}" for name, value in result.validation.items()),
        "- Not for: users without any interaction, items that were not in the training data.",
        "",
    ]
    return "\n".join(lines)
