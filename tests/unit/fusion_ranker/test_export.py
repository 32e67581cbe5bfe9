from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from components.contracts.artifacts import ONNX_FILE, USER_VECTOR_ONNX_FILE
from components.contracts.ranking_signature import CANDIDATES, HISTORY_LENGTH, OUTPUTS, RATIONALES_PER_USER, USER_INPUTS
from components.contracts.serving import ITEM_VECTORS_FILE, USER_VECTOR_OUTPUT
from components.contracts.tables import read_table, vectors
from components.fusion_ranker.export import IR_VERSION, OPERATOR_SET
from components.recommenders.ranker import load_ranker

VARIANTS = ("id_only", "reland")
ITEMS, TEXT_DIMENSION = 12, 4


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
    assert tuple(inputs) == (*USER_INPUTS, CANDIDATES) and tuple(outputs) == OUTPUTS
    kinds = {name: kind for name, (kind, _) in {**inputs, **outputs}.items()}
    assert {name for name, kind in kinds.items() if kind == "tensor(int64)"} == {"history", "candidates"}
    assert {name for name, kind in kinds.items() if kind == "tensor(float)"} == set(kinds) - {"history", "candidates"}
    batch = inputs["history"][1][0]
    assert isinstance(batch, str)  # free, and the same name throughout
    assert inputs["history"][1] == [batch, HISTORY_LENGTH]
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
            expected = ranker(**{name: torch.from_numpy(array) for name, array in request.items()})
        np.testing.assert_allclose(scores, expected[0].numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights, expected[1].numpy(), rtol=1e-4, atol=1e-6)
        absent = (request["rationale"] == 0).all(axis=2)
        if variant == "id_only":
            assert np.array_equal(weights, [[1.0, 0.0]] * batch)
        else:
            assert ((weights[:, 1:] == 0) == absent).all()


def test_a_users_vector_times_an_items_is_the_rankers_score(rankers: Path) -> None:
    folder = rankers / "reland"
    table = read_table(folder / ITEM_VECTORS_FILE, vectors("item_id", load_ranker(folder).config.embedding_dimension))
    items = np.array(table["vector"].to_pylist(), np.float32)  # in the order of the item index
    session = onnxruntime.InferenceSession(folder / USER_VECTOR_ONNX_FILE, providers=["CPUExecutionProvider"])
    assert tuple(value.name for value in session.get_inputs()) == USER_INPUTS
    for seed in range(6):
        request = request_of(3, ITEMS, seed) | {"candidates": np.tile(np.arange(1, ITEMS + 1), (3, 1))}
        asked = {name: request[name] for name in USER_INPUTS}
        (users,) = session.run([USER_VECTOR_OUTPUT], asked)
        (scores,) = session_of(rankers, "reland").run(["scores"], request)
        np.testing.assert_allclose(users @ items.T, scores, rtol=1e-4, atol=1e-5)


# Operator set 21 and IR version 10 are the highest that ONNX Runtime 1.19 reads, that of the official image 24.10.
@pytest.mark.parametrize("file", ["id_only/model.onnx", "reland/model.onnx", "reland/user_vector.onnx"])
def test_the_file_stands_alone_in_a_form_that_the_official_image_reads(rankers: Path, file: str) -> None:
    model = onnx.load(rankers / file, load_external_data=False)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPERATOR_SET)]
    assert OPERATOR_SET <= 21 and model.ir_version == IR_VERSION <= 10
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
