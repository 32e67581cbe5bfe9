"""The gateway goes down the ladder with what is down, says so, fails no request, and comes up again."""

import asyncio
import os
import re
import signal
import sqlite3
import time
from contextlib import contextmanager

import pytest

from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.serving import RolloutRecord, rollout_file, write_rollout
from components.foundation.milvus import connect_milvus
from components.foundation.settings import Settings
from components.ranker_release.item_index import build_index
from feature_repo.store import feature_store_folder
from serving.triton.server import free_ports
from tests.serving_stack import start_milvus

pytestmark = pytest.mark.services  # real parts are broken, hang and are gone

SECONDS_TO_RECOVER = 240.0  # 10 on a machine that has nothing else to do


async def rank(client, user="known") -> dict:
    response = await client.post("/v1/rank", json={"user_id": user, "candidates": ["item 03", "item 01", "item 12"]})
    assert response.status_code == 200, response.text
    return response.json()


async def recommend(client, user="known") -> dict:
    response = await client.post("/v1/recommend", json={"user_id": user, "count": 5})
    assert response.status_code == 200, response.text
    return response.json()


async def until(condition, ask, *arguments) -> dict:
    """Asks again until the answer fulfils `condition`."""
    deadline = time.monotonic() + SECONDS_TO_RECOVER
    while not condition(answer := await ask(*arguments)):
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)
    return answer


def is_fresh(answer: dict) -> bool:
    return answer["ladder_step"] == "fresh"


@contextmanager
def stopped(process_group: int):
    """The processes hang, and go on when the block ends."""
    os.killpg(process_group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process_group, signal.SIGCONT)


def test_while_triton_hangs_what_is_popular_is_served(stack, triton, asking):
    async def scene():
        async with asking(stack.settings, triton_grpc=triton.grpc_address, gateway_budget_ms=2_000) as client:
            before = await until(is_fresh, rank, client)
            with stopped(triton.process_id):
                answer = await rank(client)
                assert (answer["ladder_step"], answer["model"], answer["explanation"]) == ("popular", "popular", None)
                assert [item["score"] for item in answer["items"]] == [12.0, 3.0, 1.0]
                for _ in range(6):
                    answer = await recommend(client)
                    assert (answer["ladder_step"], answer["candidates_from"]) == ("popular", "popular")
                    # What the user has consumed is left out on this step too.
                    assert not {"item 05", "item 07", "item 09"} & {item["item_id"] for item in answer["items"]}
                assert "user_vector:1" in (await client.get("/readyz")).json()["open_circuits"]
            after = await until(is_fresh, rank, client)
            assert after["items"] == before["items"]
            await until(lambda answer: answer["candidates_from"] == "exact", recommend, client)
            # Nobody asks the ID-only model while the ranker answers, so its circuit may stay open.
            asked = {"user_vector:1", "reland_ranker:1"}
            await until(lambda answer: not asked & set(answer["open_circuits"]), lambda: _json(client, "/readyz"))

    asyncio.run(scene())


async def _json(client, path: str) -> dict:
    await rank(client)
    return (await client.get(path)).json()


def test_while_the_pinned_version_is_unloaded_the_id_only_model_of_that_version_answers(stack, triton, asking):
    async def scene():
        async with asking(stack.settings, triton_grpc=triton.grpc_address, gateway_budget_ms=10_000) as client:
            before = await until(is_fresh, rank, client)
            served = stack.settings.resolved_model_repository / MODEL_NAME
            away = served.rename(stack.settings.home / "away")
            try:
                answer = await until(lambda answer: not is_fresh(answer), rank, client)
                answer = await until(lambda answer: answer["ladder_step"] == "id_only", rank, client)
                assert (answer["model"], answer["model_version"]) == ("reland_id_only", 1)
                assert answer["explanation"] is None and answer["items"] != before["items"]
            finally:
                away.rename(served)
                triton.wait_until_ready(MODEL_NAME, [1])
            assert (await until(is_fresh, rank, client))["items"] == before["items"]

    asyncio.run(scene())


def test_while_the_feature_store_hangs_the_last_known_features_are_used(stack, triton, asking):
    changes = {"gateway_feature_seconds": 0.0, "triton_grpc": triton.grpc_address, "gateway_budget_ms": 8_000}

    async def scene():
        async with asking(stack.settings, **changes) as client:
            before = await until(is_fresh, rank, client)
            with sqlite3.connect(feature_store_folder(stack.settings) / "online_store.db") as store:
                store.execute("BEGIN EXCLUSIVE")  # every read waits, then fails
                answer = await rank(client)
                assert answer["ladder_step"] == "last_known" and answer["items"] == before["items"]
                assert answer["explanation"] == before["explanation"]
                explained = (await client.get("/v1/explanations/known")).json()
                assert explained["ladder_step"] == "last_known" and explained["explanation"] == before["explanation"]
                unseen = await rank(client, "bare")
                assert (unseen["ladder_step"], unseen["cold_start"]) == ("popular", False)
                store.rollback()
            assert (await until(is_fresh, rank, client))["items"] == before["items"]
            assert is_fresh(await until(is_fresh, rank, client, "bare"))

    asyncio.run(scene())


@pytest.fixture
def item_index(stack, tmp_path):
    """`item_index()` starts a Milvus Lite server that has the items of version 1; always at the same address."""
    data, (port,) = tmp_path / "milvus.db", free_ports(0)
    processes = []

    def start() -> str:
        processes.append(start_milvus(port, data))
        return f"http://127.0.0.1:{port}"

    uri = start()
    with connect_milvus(Settings(milvus_uri=uri)) as client:
        build_index(client, stack.settings.home / "rankers" / "1" / "reland", 1, "one", set())
    yield start, uri, processes
    for process in processes:
        process.kill()
        process.wait()


def test_candidates_come_from_milvus_and_while_it_is_gone_from_the_exact_index(stack, triton, asking, item_index):
    start, uri, processes = item_index
    changes = {"triton_grpc": triton.grpc_address, "gateway_budget_ms": 8_000, "milvus_uri": uri}

    def from_milvus(answer: dict) -> bool:
        return answer["candidates_from"] == "item_index"

    async def scene():
        async with asking(stack.settings, **changes) as client:
            before = await until(from_milvus, recommend, client)
            assert is_fresh(before) and len(before["items"]) == 5
            with stopped(processes[-1].pid):
                answer = await recommend(client)
                assert answer["candidates_from"] == "exact" and answer["items"] == before["items"]
            await until(from_milvus, recommend, client)
            processes[-1].kill()
            processes[-1].wait()
            answer = await recommend(client)
            assert answer["candidates_from"] == "exact" and answer["items"] == before["items"]
            start()
            assert (await until(from_milvus, recommend, client))["items"] == before["items"]

    asyncio.run(scene())


def test_a_new_record_moves_users_between_versions_and_a_bad_one_changes_nothing(
    stack, triton, asking, second_version, make_arm
):
    file = rollout_file(stack.settings)
    one_arm = file.read_text()

    async def scene():
        async with asking(stack.settings, triton_grpc=triton.grpc_address, gateway_budget_ms=10_000) as client:
            first = await until(is_fresh, rank, client)
            # A bad record is tried again, and each time counted.
            for broken in ("{", one_arm.replace('"version": 1', '"version": 77')):
                file.write_text(broken)
                await asyncio.sleep(2.5)
                assert (await rank(client))["items"] == first["items"]
            text = (await client.get("/metrics")).text
            assert float(re.search(r"^reland_gateway_record_errors_total (\S+)$", text, re.MULTILINE)[1]) >= 2
            arms = make_arm(1, 0.0, "champion"), make_arm(2, 1.0, "candidate")
            write_rollout(file, RolloutRecord(state=2, salt="salt", arms=arms))
            moved = await until(lambda answer: answer["arm"] == "candidate" and is_fresh(answer), rank, client)
            assert moved["model_version"] == 2 and moved["items"] != first["items"]
            file.write_text(one_arm)
            back = await until(lambda answer: answer["arm"] == "champion" and is_fresh(answer), rank, client)
            assert (back["model_version"], back["items"]) == (1, first["items"])

    try:
        asyncio.run(scene())
    finally:
        file.write_text(one_arm)


def test_what_cannot_be_taken_in_is_refused_at_once_and_the_rest_is_answered(stack, triton, asking):
    changes = {"triton_grpc": triton.grpc_address, "gateway_budget_ms": 4_000, "gateway_concurrency": 2}

    async def scene():
        async with asking(stack.settings, **changes) as client:
            await until(is_fresh, rank, client)
            with stopped(triton.process_id):
                asked = {"user_id": "known", "candidates": ["item 01"]}
                responses = await asyncio.gather(*(client.post("/v1/rank", json=asked) for _ in range(10)))
            statuses = [response.status_code for response in responses]
            assert sorted(statuses) == [200] * 3 + [429] * 7  # two at work, one waiting
            refused = next(response for response in responses if response.status_code == 429)
            assert refused.headers["retry-after"] == "1" and refused.json()["detail"] == "busy"
            assert is_fresh(await until(is_fresh, rank, client))

    asyncio.run(scene())
