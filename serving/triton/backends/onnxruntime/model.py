"""Triton's `onnxruntime` backend as a Python-based backend, for machines that have only Triton's Python backend.

It serves models whose configuration says `backend: "onnxruntime"` from the files that the official image's backend of
that name reads, so one model repository serves in both places. Triton loads this file in its own interpreter: it can
import nothing of this project.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

Feeds = dict[str, np.ndarray]


class TritonPythonModel:
    """One version of one model: `<model repository>/<model>/<version>/model.onnx`, run on the CPU."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the version's ONNX file."""
        model = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        parameters = json.loads(args["model_config"]).get("parameters", {})
        options = onnxruntime.SessionOptions()
        # As the official backend reads it; 0 is a thread for each core.
        threads = parameters.get("intra_op_thread_count", {}).get("string_value", "0")
        options.intra_op_num_threads = int(threads)
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Triton hands over together what it has joined: requests that agree in everything but the batch dimension."""
        feeds = [self._feeds(request) for request in requests]
        names = [list(request.requested_output_names()) for request in requests]
        if len(requests) > 1 and all(other == names[0] for other in names):
            try:
                return [_response(names[0], outputs) for outputs in self._run_joined(feeds, names[0])]
            except Exception:
                pass  # a request at fault gets its error below; the others get their answers
        return [self._answer(*pair) for pair in zip(feeds, names, strict=True)]

    def _feeds(self, request: Any) -> Feeds:
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}

    def _run_joined(self, feeds: list[Feeds], names: list[str]) -> list[list[np.ndarray]]:
        """The outputs of each request, from one run over all of them."""
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
        ends = np.cumsum([len(feed[self.inputs[0]]) for feed in feeds])[:-1]
        parts = [np.split(output, ends) for output in self.session.run(names, joined)]
        return [list(outputs) for outputs in zip(*parts, strict=True)]

    def _answer(self, feeds: Feeds, names: list[str]) -> Any:
        try:
            return _response(names, self.session.run(names, feeds))
        except Exception as error:
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))


def _response(names: list[str], outputs: list[np.ndarray]) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor(*pair) for pair in zip(names, outputs, strict=True)])
