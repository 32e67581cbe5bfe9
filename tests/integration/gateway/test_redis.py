"""Features in Redis, read asynchronously: while it hangs, while it is gone, and when it is back."""

import asyncio
import signal
import subprocess
import time

import pytest

from components.contracts.settings import Settings
from serving.triton.server import free_ports
from tests.serving_stack import NoRedisError, start_redis

pytestmark = pytest.mark.services
SECONDS_TO_RECOVER = 60.0  # 10 on a machine that has nothing else to do


@pytest.fixture
def redis(missing_dependency, tmp_path, monkeypatch):
    """`redis()` starts an empty Redis server, always at the same address, which the settings name."""
    (port,) = free_ports(0)
    monkeypatch.setenv("RELAND_REDIS", f"127.0.0.1:{port}")
    monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"sqlite:///{tmp_path / 'registry.db'}")
    processes = []

    def start() -> subprocess.Popen:
        try:
            processes.append(start_redis(port, tmp_path))
        except NoRedisError as error:
            missing_dependency(str(error))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_while_redis_hangs_or_is_gone_the_last_known_features_serve(stack, triton, asking, redis, push_features):
    settings: Settings = stack.settings.model_copy(update={"feature_store": "redis"})
    changes = {"gateway_feature_seconds": 0.0, "triton_grpc": triton.grpc_address, "gateway_budget_ms": 8_000}

    async def step_of(client, user: str) -> str:
        response = await client.post("/v1/rank", json={"user_id": user, "candidates": ["item 03", "item 01"]})
        assert response.status_code == 200, response.text
        return response.json()["ladder_step"]

    async def until(step: str, client, user: str = "known") -> None:
        deadline = time.monotonic() + SECONDS_TO_RECOVER
        while (found := await step_of(client, user)) != step:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.2)

    async def scene(server):
        async with asking(settings, **changes) as client:
            await until("fresh", client)
            server.send_signal(signal.SIGSTOP)
            for _ in range(8):  # the circuit opens meanwhile
                assert await step_of(client, "known") == "last_known"
                assert await step_of(client, "misfit") == "popular"  # never read before
            server.send_signal(signal.SIGCONT)
            await until("fresh", client)

            server.kill()
            server.wait()
            assert await step_of(client, "known") == "last_known"
            redis()
            await until("popular", client)  # it is empty: the user is unknown
            push_features(settings)
            await until("fresh", client)

    server = redis()
    push_features(settings)
    asyncio.run(scene(server))
