"""The gateway against what is behind it: Triton asked bare, ONNX Runtime in process, Redis asked bare.

    python -m tests.performance.serving [--quick] --json FILE
    python -m tests.performance.serving --memory [--requests N] --json FILE

Real Triton, real Redis through Feast, the gateway as the process that `reland serve` starts, with its default settings;
this process is the client of all of them, on the same cores. The ranker has the size of MovieLens 1M's (3,416 items, 64
dimensions, texts of 384) and random parameters, because trained ones would only be other numbers. 6,040 users, drawn
evenly, each with 200 candidates of its own, so that most requests read features through Feast.

1. One client: `/v1/rank` and the bare gRPC call to Triton with such inputs, in turn; ONNX Runtime in process beside
   them.
2. Saturation: 1, 2, 4 … clients of both, up to as many as the gateway answers at a time; the load that saturates is
   the one with the most answers. Processor milliseconds a request by process are those of this load.
3. The features of a user as the gateway reads them, without its memory, against the bare Redis commands that Feast
   sends for them.
4. Twice the saturating throughput, in an open loop: what is accepted, how fast, and what becomes of the rest.
5. `--memory`: the gateway's resident memory over 200,000 requests; the peer is what it was after a tenth of them.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
import orjson
import psutil
import redis.asyncio
import uvloop
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import np_to_triton_dtype

from components.contracts.artifacts import ONNX_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH, MODEL_NAME, OUTPUTS
from components.contracts.serving import ID_ONLY_MODEL, USER_VECTOR_MODEL, RolloutRecord, rollout_file, write_rollout
from components.feature_push.push import GenerationFeatures, push_features_to
from components.foundation.files import read_json, write_json
from components.foundation.settings import Settings, load_settings
from feature_repo.definitions import user_service
from feature_repo.online import OnlineFeatures
from feature_repo.store import Assignment, History, Rationale, feature_store_folder, open_feature_store
from serving.triton.server import free_ports, running_triton
from tests.performance.http_load import Connection, Load, closed_loop, open_loop, post
from tests.performance.report import Figure, write_report
from tests.serving_stack import RankerSize, gateway_process, make_arm, release, start_redis

RANKER = RankerSize(items=3_416, text=384, text_encoder="stand-in", embedding=64, layers=2)
USERS, RATIONALES, CANDIDATES = 6_040, 604, 200
CLIENTS = (1, 2, 4, 8)
PACKAGES = ["feast", "redis", "tritonclient", "onnxruntime", "fastapi", "uvicorn", "uvloop", "numpy"]

Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Effort:
    """How long is measured: seconds of each load, rounds and calls of what is measured in turn."""

    seconds: float
    rounds: int
    calls: int


FULL = Effort(seconds=8.0, rounds=20, calls=150)
QUICK = Effort(seconds=2.0, rounds=4, calls=50)


@dataclass(frozen=True)
class Stack:
    """What runs, and requests to it: bodies for the gateway, inputs for the model."""

    settings: Settings
    triton: str
    gateway_port: int
    processes: dict[str, psutil.Process]
    requests: list[bytes]
    inputs: list[Inputs]


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Redis with the features of all users, Triton with version 1, and the gateway."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reland-serving-")))
        redis_port, gateway_port = free_ports(0, 0)
        environment = {
            "RELAND_REDIS": f"127.0.0.1:{redis_port}",
            "RELAND_FEAST_REGISTRY": f"sqlite:///{folder / 'registry.db'}",
            "RELAND_FEATURE_STORE": "redis",
            "no_grpc_proxy": "127.0.0.1,localhost",
        }
        stack.enter_context(mock.patch.dict(os.environ, environment))
        redis_server = start_redis(redis_port, folder)
        stack.callback(redis_server.wait)
        stack.callback(redis_server.kill)
        settings = Settings(home=folder, feature_store="redis", triton_environment=load_settings().triton_environment)
        release(folder / "rankers", settings.resolved_model_repository, 1, RANKER, seed=1)
        push_random_features(settings, RANKER, USERS, RATIONALES)
        write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(make_arm(),)))
        repository = settings.resolved_model_repository
        triton = stack.enter_context(running_triton(settings.triton_environment, repository, folder / "triton.log"))
        for model in (MODEL_NAME, ID_ONLY_MODEL, USER_VECTOR_MODEL):
            triton.wait_until_ready(model, [1])
        log = folder / "gateway.log"
        gateway = stack.enter_context(
            gateway_process(settings, gateway_port, log, RELAND_TRITON_GRPC=triton.grpc_address)
        )
        processes = {"gateway": gateway.pid, "triton": triton.process_id, "redis": redis_server.pid}
        yield Stack(
            settings,
            triton.grpc_address,
            gateway_port,
            {name: psutil.Process(pid) for name, pid in processes.items()} | {"client": psutil.Process()},
            *_requests(),
        )


def push_random_features(settings: Settings, size: RankerSize, users: int, rationales: int) -> None:
    """Push what a generation brings of `user 0`, `user 1` …: full histories, one of the rationales each."""
    random = np.random.default_rng(0)
    text = "Prefers slow films about families, and old ones; dislikes violence. " * 3
    embeddings = random.normal(size=(rationales, size.text)).astype(np.float32).tolist()
    ids = [f"{number:032x}" for number in range(rationales)]
    names = [f"user {number}" for number in range(users)]
    histories = random.integers(size.items, size=(users, HISTORY_LENGTH))
    items = size.item_ids
    features = GenerationFeatures(
        {
            key: Rationale(vector, size.text_encoder, text, "one", False)
            for key, vector in zip(ids, embeddings, strict=True)
        },
        {name: Assignment([ids[random.integers(rationales)]], [0.75]) for name in names},
        {name: History([items[row] for row in rows]) for name, rows in zip(names, histories, strict=True)},
    )
    push_features_to(open_feature_store(settings), feature_store_folder(settings), "blue", features)


def _requests() -> tuple[list[bytes], list[Inputs]]:
    random = np.random.default_rng(1)
    items = RANKER.item_ids
    requests: list[bytes] = []
    inputs: list[Inputs] = []
    for user in random.permutation(USERS):
        rows = random.choice(RANKER.items, CANDIDATES, replace=False)
        body = {"user_id": f"user {user}", "candidates": [items[row] for row in rows]}
        requests.append(post("/v1/rank", orjson.dumps(body)))
        inputs.append(
            {
                "history": random.integers(1, RANKER.items + 1, size=(1, HISTORY_LENGTH)),
                "rationale": random.normal(size=(1, 1, RANKER.text)).astype(np.float32),
                "candidates": rows[np.newaxis] + 1,
            }
        )
    return requests, inputs


class Clients:
    """Asks of one request each, over the connections of this event loop."""

    def __init__(self, stack: Stack, session: onnxruntime.InferenceSession):
        self._requests = itertools.cycle(stack.requests)
        self._inputs = itertools.cycle(stack.inputs)
        self._port = stack.gateway_port
        self._free: list[Connection] = []
        self._triton = InferenceServerClient(stack.triton)
        self._session = session
        self.steps: Counter[str] = Counter()  # of the ladder, in the gateway's answers

    async def gateway(self) -> int:
        connection = self._free.pop() if self._free else None
        if connection is None or not connection.is_open:  # the server closes those that rest
            connection = await Connection.open(self._port)
        status, body = await connection.ask(next(self._requests))
        self._free.append(connection)
        self.read(status, body)
        return status

    def read(self, status: int, body: bytes) -> None:
        if status == 200:
            answer = orjson.loads(body)
            assert len(answer["items"]) == CANDIDATES
            self.steps[answer["ladder_step"]] += 1

    async def triton(self) -> int:
        tensors = []
        for name, array in next(self._inputs).items():
            tensor = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        outputs = [InferRequestedOutput(OUTPUTS[0])]
        answer = await self._triton.infer(MODEL_NAME, tensors, model_version="1", outputs=outputs)
        assert answer.as_numpy(OUTPUTS[0]).shape == (1, CANDIDATES)
        return 200

    async def in_process(self) -> int:
        self.run()
        return 200

    def run(self) -> None:
        inputs = next(self._inputs)
        self._session.run([OUTPUTS[0]], inputs)

    async def close(self) -> None:
        for connection in self._free:
            connection.close()
        await self._triton.close()


def open_session(stack: Stack) -> onnxruntime.InferenceSession:
    """The model with one thread for a request, as it is served."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = stack.settings.resolved_model_repository / MODEL_NAME / "1" / ONNX_FILE
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


async def in_turn(asks: Sequence[Callable[[], Awaitable[Any]]], effort: Effort) -> list[np.ndarray]:
    """Seconds of the calls of each, one after the other, changing from one to the next every `effort.calls`."""
    seconds: list[list[float]] = [[] for _ in asks]
    for number in range(effort.rounds + 1):
        for ask, measured in zip(asks, seconds, strict=True):
            for _ in range(effort.calls):
                began = time.perf_counter()
                await ask()
                if number:  # the first round warms what there is to warm
                    measured.append(time.perf_counter() - began)
    return [np.array(measured) for measured in seconds]


async def one_client(clients: Clients, effort: Effort) -> list[Figure]:
    gateway, triton, in_process = await in_turn([clients.gateway, clients.triton, clients.in_process], effort)
    figures = []
    for share, times in ((50, 3), (99, 5)):
        of_gateway, of_triton, of_session = (
            float(np.percentile(seconds, share)) * 1_000 for seconds in (gateway, triton, in_process)
        )
        one = f"one client, p{share}, milliseconds"
        figures.append(Figure(f"{one}: /v1/rank against bare Triton gRPC", of_gateway, of_triton, "lower", 1 / times))
        figures.append(Figure(f"{one}: /v1/rank against ONNX Runtime in process", of_gateway, of_session, "lower"))
    return figures


def _processor_seconds(process: psutil.Process) -> float:
    """Of a process and what it started."""
    found = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return sum(times.user + times.system for times in found)


@dataclass(frozen=True)
class Saturation:
    """The load of which a server answers the most, and the processor time it costs."""

    clients: int
    load: Load
    throughputs: dict[int, float]
    processor_ms: dict[str, float]
    steps: Counter[str]


async def saturate(
    asking: Clients, ask: Callable[[], Awaitable[int]], stack: Stack, names: Sequence[str], effort: Effort
) -> Saturation:
    """Load with more and more clients; `names` of the processes that take part."""
    loads, costs, steps = {}, {}, {}
    for clients in CLIENTS:
        asking.steps.clear()
        before = {name: _processor_seconds(stack.processes[name]) for name in names if name != "client"}
        own = time.process_time()
        load = await closed_loop(ask, clients, effort.seconds)
        used = {name: _processor_seconds(stack.processes[name]) - seconds for name, seconds in before.items()}
        used["client"] = time.process_time() - own
        loads[clients], steps[clients] = load, asking.steps.copy()
        costs[clients] = {name: 1_000 * seconds / load.statuses[200] for name, seconds in used.items()}
        print(f"{clients} clients: {load.throughput:.0f}/s, {dict(load.statuses)}", flush=True)
    best = max(loads, key=lambda clients: loads[clients].throughput)
    throughputs = {clients: load.throughput for clients, load in loads.items()}
    return Saturation(best, loads[best], throughputs, costs[best], steps[best])


def in_process_throughput(clients: Clients, effort: Effort) -> float:
    """Requests a second of ONNX Runtime with a thread for each core."""
    count = 0
    threads = len(os.sched_getaffinity(0))
    end = time.perf_counter() + effort.seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            clients.run()
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(work, range(threads)))
    return count / effort.seconds


async def feature_read(stack: Stack, effort: Effort) -> list[Figure]:
    """One user's features through Feast, and the same Redis commands without it."""
    online = OnlineFeatures(open_feature_store(stack.settings))
    service = user_service("blue")
    await online.start([service])
    users = [f"user {number}" for number in range(200)]
    pipelines: dict[str, list[list[tuple[Any, list[Any]]]]] = {}
    hmget, execute = redis.asyncio.client.Pipeline.hmget, redis.asyncio.client.Pipeline.execute
    asked: list[tuple[Any, list[Any]]] = []
    sent: list[list[tuple[Any, list[Any]]]] = []

    def note(pipeline: Any, key: Any, fields: list[Any]) -> Any:
        asked.append((key, fields))
        return hmget(pipeline, key, fields)

    async def send(pipeline: Any) -> Any:
        sent.append(list(asked))
        asked.clear()
        return await execute(pipeline)

    async def through_feast(user: str) -> None:
        found = (await online.users(service, [user]))[user]
        assert len(await online.rationales(found.rationale_ids)) == 1

    with mock.patch.multiple(redis.asyncio.client.Pipeline, hmget=note, execute=send):
        for user in users:
            await through_feast(user)
            pipelines[user] = list(sent)
            sent.clear()
    address = os.environ["RELAND_REDIS"]
    client = redis.asyncio.Redis.from_url(f"redis://{address}")

    async def bare(user: str) -> None:
        for commands in pipelines[user]:
            async with client.pipeline(transaction=False) as pipeline:
                for key, fields in commands:
                    pipeline.hmget(key, fields)
                await pipeline.execute()

    one, other = itertools.cycle(users), itertools.cycle(users)
    ours, peer = await in_turn([lambda: through_feast(next(one)), lambda: bare(next(other))], effort)
    await client.aclose()
    await online.close()
    milliseconds = float(np.median(ours)) * 1_000, float(np.median(peer)) * 1_000
    name = "features of a user, p50, milliseconds: through Feast against the bare Redis commands"
    return [Figure(name, *milliseconds, "lower", 1 / 3)]


async def overload(
    clients: Clients, stack: Stack, saturation: Saturation, effort: Effort
) -> tuple[list[Figure], dict[str, Any]]:
    rate = 2 * saturation.load.throughput
    clients.steps.clear()
    load = await open_loop(stack.gateway_port, stack.requests, rate, effort.seconds, 128, clients.read)
    print(f"{rate:.0f}/s asked: {dict(load.statuses)}", flush=True)
    p99 = 1_000 * load.percentile(99), 1_000 * saturation.load.percentile(99)
    right = (load.statuses[200] + load.statuses[429]) / load.statuses.total()
    return [
        Figure("at twice the saturating load, p99 of accepted, milliseconds: against saturation", *p99, "lower", 0.5),
        Figure("at twice the saturating load, share answered with 200 or 429 (peer: all)", right, 1.0, "higher", 1.0),
        Figure(
            "at twice the saturating load, accepted a second: against saturation",
            load.throughput,
            saturation.load.throughput,
            "higher",
        ),
    ], {"asked_per_second": rate, "statuses": dict(load.statuses), "ladder_steps": dict(clients.steps)}


async def measure(stack: Stack, effort: Effort) -> tuple[list[Figure], dict[str, Any]]:
    clients = Clients(stack, open_session(stack))
    figures = await one_client(clients, effort)
    triton = await saturate(clients, clients.triton, stack, ["triton", "client"], effort)
    gateway = await saturate(clients, clients.gateway, stack, ["gateway", "triton", "redis", "client"], effort)
    rates = gateway.load.throughput, triton.load.throughput
    name = "at saturation, requests a second: /v1/rank against"
    figures.append(Figure(f"{name} bare Triton gRPC", *rates, "higher", 0.25))
    # An answer of a lower step costs less: figures of such a load would be of something else.
    top = gateway.steps["fresh"] / gateway.steps.total()
    figures.append(Figure("at saturation, share of answers of the top step (peer: all)", top, 1.0, "higher", 0.99))
    in_process = in_process_throughput(clients, effort)
    figures.append(Figure(f"{name} ONNX Runtime in process, a thread a core", rates[0], in_process, "higher"))
    figures += await feature_read(stack, effort)
    of_overload, at_twice = await overload(clients, stack, gateway, effort)
    await clients.close()
    details = {
        "saturating_clients": {"gateway": gateway.clients, "triton": triton.clients},
        "requests_per_second_by_clients": {"gateway": gateway.throughputs, "triton": triton.throughputs},
        "processor_ms_per_request": {"gateway": gateway.processor_ms, "triton": triton.processor_ms},
        "ladder_steps_at_saturation": dict(gateway.steps),
        "at_twice_the_saturating_load": at_twice,
    }
    return [*figures, *of_overload], details


async def memory(stack: Stack, requests: int) -> tuple[list[Figure], dict[str, Any]]:
    """The gateway's resident memory after each twentieth of the requests."""
    clients = Clients(stack, open_session(stack))
    gateway = stack.processes["gateway"]
    sizes = []
    for _ in range(20):
        left = itertools.count(requests // 20, -1)

        async def client(left: Iterator[int] = left) -> None:
            while next(left) > 0:
                assert await clients.gateway() == 200

        await asyncio.gather(*(client() for _ in range(4)))
        sizes.append(gateway.memory_info().rss / 2**20)
        print(f"{len(sizes) * requests // 20} requests: {sizes[-1]:.1f} MiB", flush=True)
    await clients.close()
    name = f"gateway's resident memory after {requests} requests, MiB: against that after a tenth of them"
    return [Figure(name, sizes[-1], sizes[1], "lower", 1 / 1.05)], {"resident_mib_by_twentieth": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 seconds a load")
    parser.add_argument("--memory", action="store_true", help="the memory over many requests, and nothing else")
    parser.add_argument("--requests", type=int, default=200_000, help="with --memory")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    if shutil.which("redis-server") is None:
        sys.exit("no redis-server: `make services` installs it")
    with running_stack() as stack:
        work = (
            memory(stack, arguments.requests)
            if arguments.memory
            else measure(stack, QUICK if arguments.quick else FULL)
        )
        figures, details = uvloop.run(work)
    write_report(arguments.json, figures, "tests.performance.serving", sys.argv[1:], PACKAGES)
    write_json(arguments.json, read_json(arguments.json) | details)


if __name__ == "__main__":
    main()
