"""Several Triton replicas behind one target, as a headless service names them: each gets load, none is needed."""

import asyncio
from contextlib import suppress

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from components.contracts.ranking_signature import HISTORY_LENGTH, MODEL_NAME
from components.contracts.serving import ID_ONLY_MODEL, USER_VECTOR_MODEL
from serving.gateway.ranker_client import RankerClient
from serving.triton.server import TritonServer, running_triton

pytestmark = pytest.mark.services  # a real server is killed

ITEMS, TEXT = 30, 6  # as conftest makes them


@pytest.fixture
def replica(stack, triton_environment, tmp_path):
    """A second server over the same repository."""
    repository = stack.settings.resolved_model_repository
    with running_triton(triton_environment, repository, tmp_path / "triton.log") as server:
        for model in (MODEL_NAME, ID_ONLY_MODEL, USER_VECTOR_MODEL):
            server.wait_until_ready(model, [1])
        yield server


def answered(server: TritonServer) -> int:
    """Requests that a server has answered since its start."""
    with InferenceServerClient(server.grpc_address) as client:
        statistics = client.get_inference_statistics(MODEL_NAME, "1")
        return int(statistics.model_stats[0].inference_stats.success.count)


def test_every_replica_gets_its_share_and_one_is_enough(triton, replica):
    inputs = {
        "history": np.ones((1, HISTORY_LENGTH), np.int64),
        "rationale": np.zeros((1, 1, TEXT), np.float32),
        "candidates": np.arange(1, ITEMS + 1, dtype=np.int64)[None],
    }
    before = answered(triton), answered(replica)

    async def ask() -> None:
        client = RankerClient(f"ipv4:{triton.grpc_address},{replica.grpc_address}")
        client.connect()
        try:
            # A channel uses the replica that it reached first until it has reached the others.
            while answered(triton) == before[0] or answered(replica) == before[1]:
                await client.rank(MODEL_NAME, 1, inputs)
            shared = answered(triton), answered(replica)
            for _ in range(40):
                await client.rank(MODEL_NAME, 1, inputs)
            assert min(answered(triton) - shared[0], answered(replica) - shared[1]) >= 10  # 20 each, where nothing ends

            replica.kill()
            for _ in range(10):  # requests that were on their way; then the channel knows that the connection has ended
                with suppress(InferenceServerException):
                    await client.rank(MODEL_NAME, 1, inputs)
                await asyncio.sleep(0.1)
            for _ in range(40):
                await client.rank(MODEL_NAME, 1, inputs)
        finally:
            await client.close()

    asyncio.run(asyncio.wait_for(ask(), 120))
