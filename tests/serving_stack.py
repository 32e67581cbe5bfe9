"""The parts of a serving stack for tests and measurements: rankers released as a run does, Redis, a gateway process."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pyarrow as pa
import torch

from components.contracts.artifacts import ITEM_INDEX_FILE, ONNX_FILE, USER_VECTOR_ONNX_FILE
from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.serving import (
    ID_ONLY_MODEL,
    ITEM_VECTORS_FILE,
    POPULAR_ITEMS,
    POPULAR_ITEMS_FILE,
    Arm,
    item_collection,
)
from components.contracts.tables import ITEM_INDEX, vectors, write_table
from components.foundation.settings import Settings
from components.fusion_ranker.export import export_ranker, export_user_vector, item_vectors
from components.ranker_release.release import models_of
from components.recommenders.configuration import RankerConfig
from components.recommenders.ranker import Ranker, save_ranker
from feature_repo.definitions import user_service
from serving.triton.repository import release_version

START_SECONDS = 240.0  # not a claim on speed: a busy machine takes its time


@dataclass(frozen=True)
class RankerSize:
    """What decides how much a ranker computes, and the text encoder whose vectors it reads."""

    items: int
    text: int
    text_encoder: str
    embedding: int
    layers: int

    @property
    def item_ids(self) -> list[str]:
        width = len(str(self.items))
        return [f"item {number:0{width}}" for number in range(1, self.items + 1)]


def make_ranker(variant: str, size: RankerSize, seed: int) -> Ranker:
    """A real ranker with random parameters (trained ones would only be other numbers)."""
    config = RankerConfig(
        variant=variant,
        items=size.items,
        text_encoder=size.text_encoder,
        text_dimension=size.text,
        embedding_dimension=size.embedding,
        layers=size.layers,
        dropout=0.0,
    )
    random = torch.Generator().manual_seed(seed)
    ranker = Ranker(config, torch.randn(size.items + 1, size.text, generator=random))
    for parameter in ranker.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return ranker.eval()


def release(folder: Path, repository: Path, version: int, size: RankerSize, seed: int) -> dict[str, Ranker]:
    """Make the artifact `rankers` in `folder` and put it into a model repository, as a release does.

    Returns:
        the rankers by Triton model.
    """
    rankers = {MODEL_NAME: make_ranker("reland", size, seed), ID_ONLY_MODEL: make_ranker("id_only", size, seed + 1)}
    for ranker in rankers.values():
        save_ranker(ranker, folder / ranker.config.variant)
        export_ranker(ranker, folder / ranker.config.variant / ONNX_FILE)
    served = folder / "reland"
    export_user_vector(rankers[MODEL_NAME], served / USER_VECTOR_ONNX_FILE)
    index = pa.table([size.item_ids, list(range(1, size.items + 1))], schema=ITEM_INDEX)
    write_table(index, served / ITEM_INDEX_FILE, ITEM_INDEX)
    schema = vectors("item_id", size.embedding)
    table = item_vectors(rankers[MODEL_NAME]).tolist()
    rows = [{"item_id": item_id, "vector": vector} for item_id, vector in zip(size.item_ids, table, strict=True)]
    write_table(pa.Table.from_pylist(rows, schema), served / ITEM_VECTORS_FILE, schema)
    # The last item is the most popular.
    popular = pa.table([size.item_ids[::-1], list(range(size.items, 0, -1))], schema=POPULAR_ITEMS)
    write_table(popular, served / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    release_version(repository, version, models_of(folder), served=set(range(1, version)))
    return rankers


def make_arm(version: int = 1, weight: float = 1.0, name: str = "champion") -> Arm:
    return Arm(
        name=name,
        version=version,
        generation="20260101t000000000",
        feature_service=user_service("blue"),
        slot="blue",
        item_collection=item_collection(version),
        weight=weight,
    )


class NoRedisError(Exception):
    """There is no redis-server on this machine."""


def start_redis(port: int, folder: Path, append_only: str = "no") -> subprocess.Popen[bytes]:
    """A Redis server on loopback, which answers when this returns; the caller ends it.

    It is empty, unless `append_only` is "yes" and there was one before it that kept its data in `folder`.

    Raises:
        NoRedisError: it is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise NoRedisError("no redis-server: `make services` installs it")
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", append_only]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    wait_for_port(port, "Redis")
    return process


def start_milvus(port: int, data: Path) -> subprocess.Popen[bytes]:
    """A Milvus Lite server over `data`, in a process group of its own; it answers when this returns."""
    command = [str(Path(sys.executable).parent / "milvus-lite"), "server", "--data-dir", str(data)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_for_port(port, "Milvus Lite")
    return process


def wait_for_port(port: int, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"no {name} within {START_SECONDS:.0f} s")


class GatewayFailedError(Exception):
    """The gateway ended at its start; the message is all it said."""


@contextmanager
def gateway_process(settings: Settings, port: int, log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway over the home of `settings` in a process of its own, which answers; it ends with the block.

    Raises:
        GatewayFailedError: it ended, or did not answer in time.
    """
    # Feast, imported here, sets variables by which Prometheus would keep its values in files.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS_")}
    environment = {**inherited, "RELAND_HOME": str(settings.home), "RELAND_GATEWAY_PORT": str(port), **variables}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.gateway"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            while True:
                if process.poll() is not None:
                    raise GatewayFailedError(log.read_text())
                if time.monotonic() > deadline:
                    raise GatewayFailedError(f"not ready within {START_SECONDS:.0f} s: {log.read_text()}")
                try:
                    client.get("/readyz")
                    break
                except httpx2.TransportError:
                    time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(120)
