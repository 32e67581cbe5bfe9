"""A whole serving stack, small and real: a model repository on Triton, features in Feast, the gateway as a process."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from feast import FeatureStore

from components.contracts.artifacts import CONFIG_FILE, ITEM_INDEX_FILE, ONNX_FILE, USER_VECTOR_ONNX_FILE
from components.contracts.files import read_json
from components.contracts.ranking_signature import INPUTS, MODEL_NAME
from components.contracts.serving import (
    ID_ONLY_MODEL,
    ITEM_VECTORS_FILE,
    POPULAR_ITEMS,
    POPULAR_ITEMS_FILE,
    USER_VECTOR_MODEL,
    Arm,
    RolloutRecord,
    item_collection,
    rollout_file,
    write_rollout,
)
from components.contracts.settings import Settings
from components.contracts.tables import ITEM_INDEX, vectors, write_table
from components.feature_push.push import GenerationFeatures, push_features_to
from components.fusion_ranker.export import export_ranker, export_user_vector, item_vectors
from components.ranker_release.release import models_of
from components.recommenders.ranker import Ranker, RankerConfig, save_ranker
from feature_repo.definitions import RATIONALE_VIEW, TIMESTAMP, push_source, user_service
from feature_repo.store import Assignment, History, Rationale, UserVector, feature_store_folder, open_feature_store
from serving.gateway.app import create_app
from serving.triton.repository import release_version
from serving.triton.server import TritonServer, free_ports, running_triton

ITEMS, USER_VECTOR, TEXT, TEXT_ENCODER, EMBEDDING = 30, 8, 6, "tiny", 8
ITEM_IDS = [f"item {number:02}" for number in range(1, ITEMS + 1)]
HISTORY = ["item 09", "gone from the catalogue", "item 05", "item 07"]
START_SECONDS = 60.0


@dataclass(frozen=True)
class Stack:
    """Where a serving stack lies, and what its first version answers with."""

    settings: Settings
    rankers: dict[str, Ranker]  # by Triton model, of version 1

    def folder(self, model: str = MODEL_NAME, version: int = 1) -> Path:
        return self.settings.resolved_model_repository / model / str(version)


def make_ranker(variant: str, seed: int) -> Ranker:
    """A real ranker, small, with random parameters (trained ones would only be other numbers)."""
    config = RankerConfig(
        variant, ITEMS, USER_VECTOR, TEXT_ENCODER, TEXT, embedding_dimension=EMBEDDING, layers=1, dropout=0.0
    )
    random = torch.Generator().manual_seed(seed)
    ranker = Ranker(config, torch.randn(ITEMS + 1, TEXT, generator=random))
    for parameter in ranker.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return ranker.eval()


def release(folder: Path, repository: Path, version: int, seed: int) -> dict[str, Ranker]:
    """Make the artifact `rankers` in `folder` and put it into a model repository, as a release does."""
    rankers = {MODEL_NAME: make_ranker("reland", seed), ID_ONLY_MODEL: make_ranker("id_only", seed + 1)}
    for ranker in rankers.values():
        save_ranker(ranker, folder / ranker.config.variant)
        export_ranker(ranker, folder / ranker.config.variant / ONNX_FILE)
    served = folder / "reland"
    export_user_vector(rankers[MODEL_NAME], served / USER_VECTOR_ONNX_FILE)
    index = pa.table([ITEM_IDS, list(range(1, ITEMS + 1))], schema=ITEM_INDEX)
    write_table(index, served / ITEM_INDEX_FILE, ITEM_INDEX)
    schema = vectors("item_id", EMBEDDING)
    table = item_vectors(rankers[MODEL_NAME]).tolist()
    rows = [{"item_id": item_id, "vector": vector} for item_id, vector in zip(ITEM_IDS, table, strict=True)]
    write_table(pa.Table.from_pylist(rows, schema), served / ITEM_VECTORS_FILE, schema)
    # The last item is the most popular.
    popular = pa.table([ITEM_IDS[::-1], list(range(ITEMS, 0, -1))], schema=POPULAR_ITEMS)
    write_table(popular, served / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    configuration = read_json(served / CONFIG_FILE)
    release_version(repository, version, models_of(folder, configuration), served=set(range(1, version)))
    return rankers


def champion(version: int = 1, weight: float = 1.0, name: str = "champion") -> Arm:
    return Arm(
        name=name,
        version=version,
        generation="20260101t000000000",
        feature_service=user_service("blue"),
        slot="blue",
        item_collection=item_collection(version),
        weight=weight,
    )


def push(settings: Settings) -> None:
    """Users: "known" has everything; "bare" no rationale; "banned" a banned one; "misfit" one of another encoder."""
    rationales = {
        "r1": Rationale([0.5] * TEXT, TEXT_ENCODER, "likes quiet films", "one", banned=False),
        "r2": Rationale([0.25] * TEXT, TEXT_ENCODER, "banned text", "one", banned=False),
        "r3": Rationale([0.25] * TEXT, "another", "text of another encoder", "one", banned=False),
    }
    assigned = {"known": "r1", "banned": "r2", "misfit": "r3"}
    users = ["known", "bare", "banned", "misfit"]
    features = GenerationFeatures(
        rationales,
        {user: Assignment([rationale], [0.75]) for user, rationale in assigned.items()},
        {user: UserVector([number / 8] * USER_VECTOR, "1") for number, user in enumerate(users)},
        {user: History(HISTORY) for user in users},
    )
    store = open_feature_store(settings)
    push_features_to(store, feature_store_folder(settings), "blue", features)
    ban(store, "r2", rationales["r2"])


def ban(store: FeatureStore, rationale_id: str, rationale: Rationale) -> None:
    """What an operator does: one row is written anew."""
    row = vars(rationale) | {"rationale_id": rationale_id, "banned": True, TIMESTAMP: datetime.now(UTC)}
    store.push(push_source(RATIONALE_VIEW), pd.DataFrame([row]))


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Stack:
    settings = Settings(home=tmp_path_factory.mktemp("serving"))
    rankers = release(settings.home / "rankers" / "1", settings.resolved_model_repository, 1, seed=1)
    push(settings)
    write_rollout(rollout_file(settings), RolloutRecord(state=1, salt="salt", arms=(champion(),)))
    return Stack(settings, rankers)


@pytest.fixture(scope="session")
def triton(stack, triton_environment) -> Iterator[TritonServer]:
    repository = stack.settings.resolved_model_repository
    with running_triton(triton_environment, repository, stack.settings.home / "triton.log") as server:
        for model in (MODEL_NAME, ID_ONLY_MODEL, USER_VECTOR_MODEL):
            server.load(model, [1])
        yield server


@dataclass(frozen=True)
class RunningGateway:
    """A gateway in a process of its own."""

    process: subprocess.Popen[bytes]
    client: httpx2.Client
    log: Path

    def post(self, path: str, body: object, **options) -> httpx2.Response:
        return self.client.post(path, content=json.dumps(body), headers={"content-type": "application/json"}, **options)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where it has not been counted yet."""
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"reland_gateway_{name}") and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


class GatewayFailedError(Exception):
    """The gateway ended at its start; the message is all it said."""


@pytest.fixture(scope="session")
def start_gateway(tmp_path_factory):
    """`start_gateway(settings, **variables)`: a gateway that answers; all of them end with the session."""
    started = []

    def start(settings: Settings, **variables: str) -> RunningGateway:
        (port,) = free_ports(0)
        log = tmp_path_factory.mktemp("gateway") / "log.txt"
        environment = {
            **os.environ,
            "RELAND_HOME": str(settings.home),
            "RELAND_GATEWAY_PORT": str(port),
            "RELAND_RANKED_REQUESTS_SHARE": "1",
            # This machine may be busy with other things: what is tested is which step answers, not how fast.
            "RELAND_GATEWAY_BUDGET_MS": "10000",
            **variables,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "serving.gateway"], env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False)
        started.append((process, client))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise GatewayFailedError(log.read_text())
            try:
                client.get("/readyz")
            except httpx2.TransportError:
                time.sleep(0.1)
            else:
                return RunningGateway(process, client, log)
        raise GatewayFailedError(f"not ready within {START_SECONDS:.0f} s: {log.read_text()}")

    yield start
    for process, client in started:
        client.close()
        process.terminate()
    for process, _ in started:
        process.wait(30)


@pytest.fixture(scope="session")
def gateway(stack, triton, start_gateway) -> RunningGateway:
    return start_gateway(stack.settings, RELAND_TRITON_GRPC=triton.grpc_address)


def expected_scores(ranker: Ranker, vector: list[float], rationale: list[float], candidates: list[str]) -> np.ndarray:
    """PyTorch's scores of the candidates for a user whose history is `HISTORY`."""
    numbers = [ITEM_IDS.index(item) + 1 for item in HISTORY if item in ITEM_IDS]
    inputs = {
        "history": torch.tensor([numbers + [0] * (50 - len(numbers))]),
        "user_vector": torch.tensor([vector]),
        "rationale": torch.tensor([[rationale]]),
        "candidates": torch.tensor([[ITEM_IDS.index(item) + 1 for item in candidates]]),
    }
    with torch.inference_mode():
        scores, _ = ranker(*(inputs[name] for name in INPUTS))
    return scores[0].numpy()


@pytest.fixture(scope="session")
def scores_of():
    return expected_scores


@pytest.fixture
def asking():
    """`async with asking(settings, **changes) as client`: the gateway in this process, asked without a network."""

    @asynccontextmanager
    async def ask(settings: Settings, **changes) -> AsyncIterator[httpx2.AsyncClient]:
        app = create_app(settings.model_copy(update={"ranked_requests_share": 0.0} | changes))
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://gateway", timeout=60.0) as client,
        ):
            yield client

    return ask


@pytest.fixture(scope="session")
def second_version(stack, triton) -> dict[str, Ranker]:
    """Version 2, released beside version 1 and loaded."""
    folder, repository = stack.settings.home / "rankers" / "2", stack.settings.resolved_model_repository
    rankers = release(folder, repository, 2, seed=5)
    for model in (MODEL_NAME, ID_ONLY_MODEL, USER_VECTOR_MODEL):
        triton.load(model, [1, 2])
    return rankers


@pytest.fixture(scope="session")
def make_arm():
    return champion


@pytest.fixture(scope="session")
def push_features():
    return push


@pytest.fixture
def redis(missing_dependency, tmp_path, monkeypatch):
    """`redis()` starts an empty Redis server, always at the same address, which the settings name."""
    program = shutil.which("redis-server")
    if program is None:
        missing_dependency("no redis-server: `make services` installs it")
    (port,) = free_ports(0)
    monkeypatch.setenv("RELAND_REDIS", f"127.0.0.1:{port}")
    monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"sqlite:///{tmp_path / 'registry.db'}")
    processes = []

    def start() -> subprocess.Popen:
        command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path))
        for _ in range(600):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return processes[-1]
            time.sleep(0.1)
        raise AssertionError("no Redis within 60 s")

    yield start
    for process in processes:
        process.kill()
        process.wait()
