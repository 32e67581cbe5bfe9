"""One ranking request to a Triton server."""

from dataclasses import dataclass

import numpy as np

from components.contracts.ranking_signature import INPUTS, MODEL_NAME, OUTPUTS


@dataclass(frozen=True)
class Ranking:
    """What the ranker answers: `scores` float32[B, C] and `fusion_weights` float32[B, K + 1]."""

    scores: np.ndarray
    fusion_weights: np.ndarray


def rank(grpc_address: str, version: int, inputs: dict[str, np.ndarray], timeout_seconds: float = 30.0) -> Ranking:
    """Ask one version of `reland_ranker`.

    Args:
        version: always given, because a request without one jumps to a new version the moment it is loaded.
        inputs: the four arrays of `contracts.ranking_signature`.

    Raises:
        tritonclient.utils.InferenceServerException: the server refused or did not answer in time.
    """
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import np_to_triton_dtype

    tensors = []
    for name in INPUTS:
        array = inputs[name]
        tensor = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    with InferenceServerClient(grpc_address) as client:
        answer = client.infer(
            MODEL_NAME,
            tensors,
            model_version=str(version),
            outputs=[InferRequestedOutput(name) for name in OUTPUTS],
            client_timeout=timeout_seconds,
        )
    return Ranking(*(answer.as_numpy(name) for name in OUTPUTS))
