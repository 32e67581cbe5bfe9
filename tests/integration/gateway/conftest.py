"""A whole serving stack, small and real: a model repository on Triton, features in Feast, the gateway as a process."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import pytest
import torch
from feast import FeatureStore

from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.serving import (
    ID_ONLY_MODEL,
    USER_VECTOR_MODEL,
    RolloutRecord,
    rollout_file,
    write_rollout,
)
from components.feature_push.push import GenerationFeatures, push_features_to
from components.foundation.settings import Settings
from components.recommenders.ranker import Ranker
from feature_repo.definitions import RATIONALE_VIEW, TIMESTAMP, push_source
from feature_repo.store import Assignment, History, Rationale, feature_store_folder, open_feature_store
from serving.gateway.app import create_app
from serving.triton.server import TritonServer, free_ports, running_triton
from tests import serving_stack
from tests.serving_stack import NoRedisError, gateway_process, make_arm, start_redis

TEXT, TEXT_ENCODER = 6, "tiny"
SIZE = serving_stack.RankerSize(30, TEXT, TEXT_ENCODER, embedding=8, layers=1)
ITEM_IDS = SIZE.item_ids
HISTORY = ["item 09", "gone from the catalogue", "item 05", "item 07"]


@dataclass(frozen=True)
class Stack:
    """Where a serving stack lies, and what its first version answers with."""

    settings: Settings
    rankers: dict[str, Ranker]  # by Triton model, of version 1

    def folder(self, model: str = MODEL_NAME, version: int = 1) -> Path:
        return self.settings.resolved_model_repository / model / str(version)


def release(folder: Path, repository: Path, version: int, seed: int) -> dict[str, Ranker]:
    """Put a version of small rankers into a model repository; their artifact is `folder`."""
    return serving_stack.release(folder, repository, version, SIZE, seed)


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
    write_rollout(rollout_file(settings), RolloutRecord(state=1, salt="salt", arms=(make_arm(),)))
    return Stack(settings, rankers)


@pytest.fixture(scope="session")
def triton(stack, triton_environment) -> Iterator[TritonServer]:
    repository = stack.settings.resolved_model_repository
    with running_triton(triton_environment, repository, stack.settings.home / "triton.log") as server:
        for model in (MODEL_NAME, ID_ONLY_MODEL, USER_VECTOR_MODEL):
            server.wait_until_ready(model, [1])
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


@pytest.fixture(scope="session")
def start_gateway(tmp_path_factory):
    """`start_gateway(settings, **variables)`: a gateway that answers; all of them end with the session."""
    with ExitStack() as stack:

        def start(settings: Settings, **variables: str) -> RunningGateway:
            (port,) = free_ports(0)
            log = tmp_path_factory.mktemp("gateway") / "log.txt"
            # This machine may be busy with other things: what is tested is which step answers, not how fast.
            tested = {"RELAND_RANKED_REQUESTS_SHARE": "1", "RELAND_GATEWAY_BUDGET_MS": "10000"}
            process = stack.enter_context(gateway_process(settings, port, log, **{**tested, **variables}))
            client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False)
            return RunningGateway(process, stack.enter_context(client), log)

        yield start


@pytest.fixture(scope="session")
def gateway(stack, triton, start_gateway) -> RunningGateway:
    return start_gateway(stack.settings, RELAND_TRITON_GRPC=triton.grpc_address)


def expected_scores(ranker: Ranker, rationale: list[float], candidates: list[str]) -> np.ndarray:
    """PyTorch's scores of the candidates for a user whose history is `HISTORY`."""
    numbers = [ITEM_IDS.index(item) + 1 for item in HISTORY if item in ITEM_IDS]
    inputs = {
        "history": torch.tensor([numbers + [0] * (50 - len(numbers))]),
        "rationale": torch.tensor([[rationale]]),
        "candidates": torch.tensor([[ITEM_IDS.index(item) + 1 for item in candidates]]),
    }
    with torch.inference_mode():
        scores, _ = ranker(**inputs)
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
            httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=60.0) as client,
        ):
            yield client

    return ask


@pytest.fixture(scope="session")
def second_version(stack, triton) -> dict[str, Ranker]:
    """Version 2, released beside version 1 and loaded."""
    folder, repository = stack.settings.home / "rankers" / "2", stack.settings.resolved_model_repository
    rankers = release(folder, repository, 2, seed=5)
    for model in (MODEL_NAME, ID_ONLY_MODEL, USER_VECTOR_MODEL):
        triton.wait_until_ready(model, [1, 2])
    return rankers


@pytest.fixture(scope="session", name="make_arm")
def make_arm_fixture():
    return make_arm


@pytest.fixture(scope="session")
def push_features():
    return push


@pytest.fixture(scope="session")
def release_ranker():
    return release


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
