"""The local onnxruntime backend's own part: joining requests. Triton's library for backends exists in Triton alone."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

BACKEND = Path(__file__).parents[3] / "serving" / "triton" / "backends" / "onnxruntime" / "model.py"


@dataclass
class Tensor:
    """Stands in for Triton's tensor: a name and an array."""

    name: str
    array: np.ndarray

    def as_numpy(self):
        return self.array


@dataclass
class Response:
    output_tensors: list
    error: object = None


@dataclass
class Request:
    tensors: dict[str, np.ndarray]
    outputs: list[str]

    def requested_output_names(self):
        return self.outputs


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The backend over y[b] = table[rows[b]]; an index beyond the table is a fault."""
    library = ModuleType("triton_python_backend_utils")
    library.Tensor, library.InferenceResponse, library.TritonError = Tensor, Response, str
    library.get_input_tensor_by_name = lambda request, name: Tensor(name, request.tensors[name])
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", library)
    specification = importlib.util.spec_from_file_location("backend_of_test", BACKEND)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)

    table = helper.make_tensor("table", TensorProto.FLOAT, [4], [0.0, 10.0, 20.0, 30.0])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "rows"], ["y"])],
        "gather",
        [helper.make_tensor_value_info("rows", TensorProto.INT64, ["b", "c"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "c"])],
        [table],
    )
    (tmp_path / "3").mkdir()
    imports = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), tmp_path / "3" / "model.onnx")
    configuration = {"parameters": {"intra_op_thread_count": {"string_value": "1"}}}
    loaded = module.TritonPythonModel()
    loaded.initialize(
        {"model_repository": str(tmp_path), "model_version": "3", "model_config": json.dumps(configuration)}
    )
    loaded.runs = []
    run = loaded.session.run

    class Counting:
        def run(self, names, feeds):
            loaded.runs.append(len(feeds["rows"]))
            return run(names, feeds)

    loaded.session = Counting()
    return loaded


def rows_of(*rows):
    return Request({"rows": np.array(rows, np.int64)}, ["y"])


def test_joined_requests_are_one_run_and_each_gets_its_own_rows(model):
    answers = model.execute([rows_of([1, 2]), rows_of([3, 0], [2, 2]), rows_of([0, 0])])
    assert [answer.output_tensors[0].array.tolist() for answer in answers] == [
        [[10, 20]],
        [[30, 0], [20, 20]],
        [[0, 0]],
    ]
    assert model.runs == [4]


def test_a_request_at_fault_gets_its_error_and_the_others_their_answers(model):
    first, second, third = model.execute([rows_of([1]), rows_of([9]), rows_of([2])])
    assert first.output_tensors[0].array.tolist() == [[10]] and third.output_tensors[0].array.tolist() == [[20]]
    assert first.error is None and "out of" in second.error and third.error is None


def test_a_request_by_itself_is_not_copied(model):
    assert model.execute([rows_of([3])])[0].output_tensors[0].array.tolist() == [[30]]
    assert model.runs == [1]
