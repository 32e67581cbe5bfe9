"""From a trained ranker to what Triton serves: ONNX files (`contracts.ranking_signature`) and item vectors."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from components.contracts.ranking_signature import CANDIDATES, HISTORY, OUTPUTS, RATIONALE
from components.contracts.serving import USER_VECTOR_OUTPUT
from components.foundation.files import replacing_file
from components.recommenders.backbones.registry import check_reads_history
from components.recommenders.configuration import RankerConfig
from components.recommenders.ranker import Ranker

# What the ONNX Runtime of the official image (`contracts.images.TRITON_SERVER`) reads; newer operator sets bring this
# model nothing.
OPERATOR_SET = 18
IR_VERSION = 10


class _ServingRanker(nn.Module):
    """A ranker whose item table is computed once, so that a request pays for its own candidates only."""

    table: Tensor

    def __init__(self, ranker: Ranker):
        super().__init__()
        self.ranker = ranker
        self.register_buffer("table", ranker.item_table().detach().clone())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """`inputs`: those of a user that the ranker declares, in their order, then the candidates."""
        given = dict(zip(self.ranker.config.inputs, inputs[:-1], strict=True))
        user, weights = self.ranker.current_user(self.table, given[HISTORY], given[RATIONALE])
        scores = (self.table[inputs[-1]] * user[:, None]).sum(dim=-1)
        return scores, weights


class _ServingUser(nn.Module):
    """The user's side of a ranker: e'_u, whose product with an item's row of the table is the item's score."""

    table: Tensor

    def __init__(self, ranker: Ranker):
        super().__init__()
        self.ranker = ranker
        self.register_buffer("table", ranker.item_table().detach().clone())

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.ranker.config.inputs, inputs, strict=True))
        return self.ranker.current_user(self.table, given[HISTORY], given[RATIONALE])[0]


def export_ranker(ranker: Ranker, path: Path) -> None:
    """Write `ranker` as ONNX; batch size B and number of candidates C stay free.

    Raises:
        InputError: the backbone reads no history, so that its rankers cannot be released.
        ValueError: the exported graph does not have the signature's inputs and outputs.
    """
    check_reads_history(ranker.config.backbone)
    candidates = torch.ones(2, 3, dtype=torch.int64)
    shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("candidates")}
    _export(_ServingRanker(ranker.eval()), ranker.config, {CANDIDATES: (candidates, shape)}, OUTPUTS, path)


def export_user_vector(ranker: Ranker, path: Path) -> None:
    """Write what makes the vector that the item index is searched with (`contracts.serving.USER_VECTOR_MODEL`).

    Its product with an item's vector (`item_vectors`) is the score that the ranker gives the item.

    Raises:
        InputError, ValueError: as `export_ranker`.
    """
    check_reads_history(ranker.config.backbone)
    _export(_ServingUser(ranker.eval()), ranker.config, {}, (USER_VECTOR_OUTPUT,), path)


def item_vectors(ranker: Ranker) -> np.ndarray:
    """The ranker's own item side: float32[I, e], in the order of the item index, without the padding item."""
    with torch.inference_mode():
        return ranker.item_table()[1:].numpy()


def _export(
    module: nn.Module,
    config: RankerConfig,
    further: dict[str, tuple[Tensor, dict[int, Any]]],
    outputs: tuple[str, ...],
    path: Path,
) -> None:
    """`further`: example and free dimensions of inputs beyond those of a user, by name."""
    batch = {0: torch.export.Dim("batch")}
    examples = {
        HISTORY: torch.ones(2, config.history_length, dtype=torch.int64),
        RATIONALE: torch.ones(2, config.rationales_per_user, config.text_dimension),
    }
    inputs = {name: (examples[name], batch) for name in config.inputs} | further
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(example for example, _ in inputs.values()),
            dynamo=True,
            opset_version=OPERATOR_SET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=(tuple(shape for _, shape in inputs.values()),),  # of the one argument *inputs
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    names = tuple(value.name for value in model.graph.input), tuple(value.name for value in model.graph.output)
    if names != (tuple(inputs), outputs):
        raise ValueError(f"exported graph has inputs and outputs {names}, expected {(tuple(inputs), outputs)}")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    with replacing_file(path) as temporary:
        onnx.save(model, temporary)
