"""Triton's `onnxruntime` backend as a Python-based backend, for machines that have only Triton's Python backend.

It serves models whose configuration says `backend: "onnxruntime"` from the files that the official image's backend of
that name reads, so one model repository serves in both places. Triton loads this file in its own interpreter: it can
import nothing of this project.
"""

from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One version of one model: `<model repository>/<model>/<version>/model.onnx`, run on the CPU."""

    def initialize(self, args: dict[str, str]) -> None:
        model = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        # A request at fault gets its error; the others of the batch get their answers.
        try:
            feeds = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            names = list(request.requested_output_names())
            outputs = self.session.run(names, feeds)
        except Exception as error:
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(*pair) for pair in zip(names, outputs, strict=True)])
