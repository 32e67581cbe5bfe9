"""One request to a Triton server."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.contracts.ranking_signature import MODEL_NAME, OUTPUTS
from components.contracts.serving import USER_VECTOR_MODEL, USER_VECTOR_OUTPUT

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Ranking:
    """What a ranker answers: `scores` float32[B, C] and `fusion_weights` float32[B, K + 1]."""

    scores: np.ndarray
    fusion_weights: np.ndarray


def rank(
    grpc_address: str,
    version: int,
    inputs: dict[str, np.ndarray],
    timeout_seconds: float = TIMEOUT_SECONDS,
    model: str = MODEL_NAME,
) -> Ranking:
    """Ask one version of `reland_ranker`, or of another model that ranks.

    Args:
        version: always given, because a request without one jumps to a new version the moment it is loaded.
        inputs: the arrays that the model declares (`contracts.ranking_signature`), no other.

    Raises:
        tritonclient.utils.InferenceServerException: the server refused or did not answer in time.
    """
    return Ranking(*infer(grpc_address, model, version, inputs, OUTPUTS, timeout_seconds))


def user_vector(grpc_address: str, version: int, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The vectors float32[B, e] that the item index is searched with.

    Args:
        inputs: what the ranker reads of a user; no candidates.

    Raises:
        tritonclient.utils.InferenceServerException: as `rank`.
    """
    return infer(grpc_address, USER_VECTOR_MODEL, version, inputs, (USER_VECTOR_OUTPUT,))[0]


def infer(
    grpc_address: str,
    model: str,
    version: int,
    inputs: dict[str, np.ndarray],
    outputs: Sequence[str],
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[np.ndarray]:
    """The outputs of one inference, in the order asked for.

    Raises:
        tritonclient.utils.InferenceServerException: the server refused or did not answer in time.
    """
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import np_to_triton_dtype

    tensors = []
    for name, array in inputs.items():
        tensor = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    with InferenceServerClient(grpc_address) as client:
        answer = client.infer(
            model,
            tensors,
            model_version=str(version),
            outputs=[InferRequestedOutput(name) for name in outputs],
            client_timeout=timeout_seconds,
        )
    return [answer.as_numpy(name) for name in outputs]
