"""Asking Triton, asynchronously; every request names the version that answers it."""

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import np_to_triton_dtype

from components.contracts.ranking_signature import CANDIDATES, OUTPUTS
from components.contracts.serving import USER_VECTOR_MODEL, USER_VECTOR_OUTPUT

# gRPC doubles its pause between attempts to reach a server that is gone up to two minutes; a server that is back must
# be used within seconds.
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
    # A name may stand for several replicas, as that of a headless service: each gets its share.
    ("grpc.lb_policy_name", "round_robin"),
]


class RankerClient:
    """One connection to a Triton server, for one event loop; time limits are the caller's, who cancels."""

    def __init__(self, address: str):
        """`address` is host:port of Triton's gRPC, or another target that gRPC knows."""
        self._address = address
        self._client: InferenceServerClient | None = None

    def connect(self) -> None:
        """Make the connection, inside the event loop; it comes about with the first request."""
        self._client = InferenceServerClient(self._address, channel_args=_CHANNEL)

    async def rank(self, model: str, version: int, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Scores float32[B, C] of the inputs that the model declares (`contracts.ranking_signature`).

        Raises:
            tritonclient.utils.InferenceServerException: the server is not there or refuses.
            ValueError: it does not answer with a number for each candidate.
        """
        scores = await self._ask(model, version, inputs, OUTPUTS[0])
        if scores.shape != inputs[CANDIDATES].shape or not np.isfinite(scores).all():
            raise ValueError(f"{model} version {version} does not give every candidate a score")
        return scores

    async def user_vector(self, version: int, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """What the item index is searched with, float32[B, e]; raises as `rank` does.

        Args:
            inputs: those of the user alone.
        """
        return await self._ask(USER_VECTOR_MODEL, version, inputs, USER_VECTOR_OUTPUT)

    async def _ask(self, model: str, version: int, inputs: dict[str, np.ndarray], output: str) -> np.ndarray:
        assert self._client is not None, "connect comes first"
        tensors = []
        for name, array in inputs.items():
            tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        answer = await self._client.infer(
            model, tensors, model_version=str(version), outputs=[InferRequestedOutput(output)]
        )
        return answer.as_numpy(output)

    async def close(self) -> None:
        """Close the connection to Triton."""
        if self._client is not None:
            await self._client.close()
