"""Features in Redis, read asynchronously: while it hangs, while it is gone, and when it is back."""

import asyncio
import signal
import time

import pytest

from components.foundation.settings import Settings

pytestmark = pytest.mark.services
SECONDS_TO_RECOVER = 240.0  # 10 on a machine that has nothing else to do


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
