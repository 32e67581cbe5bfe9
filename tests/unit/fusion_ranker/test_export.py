from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from components.contracts.artifacts import ONNX_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH, INPUTS, OUTPUTS, RATIONALES_PER_USER
from components.fusion_ranker.export import OPERATOR_SET
from components.recommenders.ranker import load_ranker

VARIANTS = ("id_only", "reland")
ITEMS, USER_VECTOR_DIMENSION, TEXT_DIMENSION = 12, 5, 4


def request_of(batch: int, candidates: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Histories of all lengths from none to full; every second user has no rationale."""
    generator = np.random.default_rng(seed)
    history = np.zeros((batch, HISTORY_LENGTH), np.int64)
    for row in range(batch):
        length = (HISTORY_LENGTH, 0, 3)[(row + seed) % 3]
        history[row, :length] = generator.integers(1, ITEMS + 1, size=length)
    rationale = generator.normal(size=(batch, RATIONALES_PER_USER, TEXT_DIMENSION)).astype(np.float32)
    rationale[(np.arange(batch) + seed) % 2 == 1] = 0
    return {
        "history": history,
        "user_vector": generator.normal(size=(batch, USER_VECTOR_DIMENSION)).astype(np.float32),
        "rationale": rationale,
        "candidates": generator.integers(1, ITEMS + 1, size=(batch, candidates)),
    }


def session_of(rankers: Path, variant: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(rankers / variant / ONNX_FILE, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_the_serving_signature(rankers: Path, variant: str) -> None:
    session = session_of(rankers, variant)
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    outputs = {value.name: (value.type, value.shape) for value in session.get_outputs()}
    assert tuple(inputs) == INPUTS and tuple(outputs) == OUTPUTS
    kinds = {name: kind for name, (kind, _) in {**inputs, **outputs}.items()}
    assert {name for name, kind in kinds.items() if kind == "tensor(int64)"} == {"history", "candidates"}
    assert {name for name, kind in kinds.items() if kind == "tensor(float)"} == set(kinds) - {"history", "candidates"}
    batch = inputs["history"][1][0]
    assert isinstance(batch, str)  # free, and the same name throughout
    assert inputs["history"][1] == [batch, HISTORY_LENGTH]
    assert inputs["user_vector"][1] == [batch, USER_VECTOR_DIMENSION]
    assert inputs["rationale"][1] == [batch, RATIONALES_PER_USER, TEXT_DIMENSION]
    assert inputs["candidates"][1][0] == batch and isinstance(inputs["candidates"][1][1], str)
    assert outputs["scores"][1] == inputs["candidates"][1]
    assert outputs["fusion_weights"][1] == [batch, RATIONALES_PER_USER + 1]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("candidates", [1, 7])
def test_onnxruntime_answers_as_pytorch_does(rankers: Path, variant: str, batch: int, candidates: int) -> None:
    session, ranker = session_of(rankers, variant), load_ranker(rankers / variant)
    for seed in range(6):  # all combinations of history length and of a rationale or none, also for one user
        request = request_of(batch, candidates, seed)
        scores, weights = session.run(list(OUTPUTS), request)
        with torch.no_grad():
            expected = ranker(*(torch.from_numpy(request[name]) for name in INPUTS))
        np.testing.assert_allclose(scores, expected[0].numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights, expected[1].numpy(), rtol=1e-4, atol=1e-6)
        absent = (request["rationale"] == 0).all(axis=2)
        if variant == "id_only":
            assert np.array_equal(weights, [[1.0, 0.0]] * batch)
        else:
            assert ((weights[:, 1:] == 0) == absent).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_file_stands_alone_in_an_operator_set_that_triton_reads(rankers: Path, variant: str) -> None:
    model = onnx.load(rankers / variant / ONNX_FILE, load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPERATOR_SET)]
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
