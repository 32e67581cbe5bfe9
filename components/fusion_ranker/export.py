"""From a trained ranker to an ONNX file with the serving signature (`contracts.ranking_signature`)."""

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from components.contracts.files import replacing_file
from components.contracts.ranking_signature import INPUTS, OUTPUTS
from components.recommenders.ranker import Ranker

# What the onnxruntime of the official Triton images reads; newer operator sets bring this model nothing.
OPERATOR_SET = 18


class _ServingRanker(nn.Module):
    """A ranker whose item table is computed once, so that a request pays for its own candidates only."""

    table: Tensor

    def __init__(self, ranker: Ranker):
        super().__init__()
        self.ranker = ranker
        self.register_buffer("table", ranker.item_encoder().detach().clone())

    def forward(
        self, history: Tensor, user_vector: Tensor, rationale: Tensor, candidates: Tensor
    ) -> tuple[Tensor, Tensor]:
        user, weights = self.ranker.current_user(self.table, history, rationale)
        scores = (self.table[candidates] * user[:, None]).sum(dim=-1)
        return scores, weights


def export_ranker(ranker: Ranker, path: Path) -> None:
    """Write `ranker` as ONNX; batch size B and number of candidates C stay free.

    Raises:
        ValueError: the exported graph does not have the signature's inputs and outputs.
    """
    config = ranker.config
    example = (
        torch.ones(2, config.history_length, dtype=torch.int64),
        torch.zeros(2, config.user_vector_dimension),
        torch.ones(2, config.rationales_per_user, config.text_dimension),
        torch.ones(2, 3, dtype=torch.int64),
    )
    batch, candidates = torch.export.Dim("batch"), torch.export.Dim("candidates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _ServingRanker(ranker.eval()),
            example,
            dynamo=True,
            opset_version=OPERATOR_SET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: batch}, {0: batch}, {0: batch}, {0: batch, 1: candidates}),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    found = tuple(value.name for value in model.graph.input), tuple(value.name for value in model.graph.output)
    if found != (INPUTS, OUTPUTS):
        raise ValueError(f"exported graph has inputs and outputs {found}, expected {(INPUTS, OUTPUTS)}")
    onnx.checker.check_model(model)
    with replacing_file(path) as temporary:
        onnx.save(model, temporary)
