"""The real Triton server over a tiny ranker with the real signatures, and the release of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from tritonclient.grpc import InferenceServerClient

from components.contracts import registry
from components.contracts.artifacts import (
    CONFIG_FILE,
    HISTORIES_FILE,
    ITEM_INDEX_FILE,
    ITEMS_FILE,
    ONNX_FILE,
    USER_VECTOR_ONNX_FILE,
)
from components.contracts.ranking_signature import HISTORY_LENGTH, MODEL_NAME, OUTPUTS, USER_INPUTS
from components.contracts.serving import (
    ID_ONLY_MODEL,
    ITEM_VECTORS_FILE,
    POPULAR_ITEMS,
    POPULAR_ITEMS_FILE,
    RANKER_FILES,
    USER_VECTOR_MODEL,
    Arm,
    read_rollout,
    rollout_file,
)
from components.contracts.tables import HISTORIES, ITEM_INDEX, vectors, write_table
from components.contracts.tables import ITEMS as ITEMS_TABLE
from components.feature_push.push import GenerationFeatures, push_features_to
from components.foundation import mlflow_client
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings, load_settings
from components.fusion_ranker.export import export_ranker, export_user_vector, item_vectors
from components.ranker_release.release import ServedScoresDifferError
from components.ranker_release.request import build_example
from components.recommenders.configuration import RankerConfig
from components.recommenders.ranker import Ranker, save_ranker
from feature_repo.definitions import user_service
from feature_repo.store import Assignment, Rationale, feature_store_folder, open_feature_store
from serving.triton.client import Ranking, rank
from serving.triton.repository import (
    ModelFiles,
    SignatureDimensions,
    model_names,
    ranking_model,
    release_version,
)
from serving.triton.server import running_triton

ITEMS, TEXT, TEXT_ENCODER, ITEM_VECTOR = 30, 6, "tiny", 8
DIMENSIONS = SignatureDimensions(rationales=1, text=TEXT, item_vector=ITEM_VECTOR)


def tiny_ranker(seed: int, variant: str = "reland") -> Ranker:
    """A real ranker, small, with random parameters (trained ones would only be other numbers)."""
    sizes = {"items": ITEMS, "text_dimension": TEXT, "embedding_dimension": ITEM_VECTOR, "layers": 1}
    config = RankerConfig(variant=variant, text_encoder=TEXT_ENCODER, dropout=0.0, **sizes)
    random = torch.Generator().manual_seed(seed)
    ranker = Ranker(config, torch.randn(ITEMS + 1, TEXT, generator=random))
    for parameter in ranker.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return ranker.eval()


def example_inputs(batch: int, candidates: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch * 1000 + candidates)
    return {
        "history": random.integers(0, ITEMS + 1, (batch, HISTORY_LENGTH)),
        "rationale": random.normal(size=(batch, 1, TEXT)).astype(np.float32),
        "candidates": random.integers(1, ITEMS + 1, (batch, candidates)),
    }


def ranker_files(onnx: Path) -> list[ModelFiles]:
    return [ModelFiles(ranking_model(MODEL_NAME, USER_INPUTS, DIMENSIONS), {ONNX_FILE: onnx})]


def in_process(onnx: Path, inputs: dict[str, np.ndarray]) -> Ranking:
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    return Ranking(*session.run(list(OUTPUTS), inputs))


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[int | str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    for seed in (1, 2):
        export_ranker(tiny_ranker(seed), folder / f"{seed}.onnx")
    export_ranker(tiny_ranker(1, "id_only"), folder / "id_only.onnx")
    export_user_vector(tiny_ranker(1), folder / "user_vector.onnx")
    return {name: folder / f"{name}.onnx" for name in (1, 2, "id_only", "user_vector")}


def alive(process_group: int) -> bool:
    try:
        os.killpg(process_group, 0)
    except ProcessLookupError:
        return False
    return True


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"reland_triton_{os.getpid()}_*")}


@pytest.mark.slow
def test_serves_two_versions_at_once_as_onnxruntime_does_and_leaves_nothing_behind(
    tmp_path, triton_environment, exports
):
    repository = tmp_path / "repository"
    release_version(repository, 1, ranker_files(exports[1]), served=set())
    before = shared_memory()

    with running_triton(triton_environment, repository, tmp_path / "triton.log") as server:
        server.wait_until_ready(MODEL_NAME, [1])
        release_version(repository, 2, ranker_files(exports[2]), served={1})
        server.wait_until_ready(MODEL_NAME, [1, 2])
        for batch, candidates in ((1, 5), (3, 11)):
            inputs = example_inputs(batch, candidates)
            for version in (1, 2):
                served = rank(server.grpc_address, version, inputs)
                expected = in_process(exports[version], inputs)
                np.testing.assert_array_equal(served.scores, expected.scores)
                np.testing.assert_array_equal(served.fusion_weights, expected.fusion_weights)
        assert shared_memory() > before

    assert not alive(server.process_id)
    assert shared_memory() == before


@pytest.mark.slow
def test_requests_that_wait_together_are_joined_and_answered_as_if_alone(tmp_path, triton_environment, exports):
    repository = tmp_path / "repository"
    release_version(repository, 1, ranker_files(exports[1]), served=set())
    requests = [example_inputs(1, candidates) for candidates in (5, 5, 7, 5)] * 16
    with running_triton(triton_environment, repository, tmp_path / "triton.log") as server:
        server.wait_until_ready(MODEL_NAME, [1])
        with InferenceServerClient(server.grpc_address) as client:
            metadata = client.get_model_metadata(MODEL_NAME, "1")
            assert [list(node.shape) for node in metadata.inputs] == [[-1, 50], [-1, 1, 6], [-1, -1]]
            for _ in range(20):  # whether requests meet depends on the machine
                with ThreadPoolExecutor(16) as pool:
                    answers = list(pool.map(lambda inputs: rank(server.grpc_address, 1, inputs), requests))
                (statistics,) = client.get_inference_statistics(MODEL_NAME, "1").model_stats
                if statistics.execution_count < statistics.inference_count:
                    break
    assert statistics.execution_count < statistics.inference_count
    for inputs, answer in zip(requests, answers, strict=True):
        expected = in_process(exports[1], inputs)
        np.testing.assert_allclose(answer.scores, expected.scores, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(answer.fusion_weights, expected.fusion_weights, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_damaged_model_is_named_and_nothing_is_left_when_the_body_raises(tmp_path, triton_environment, exports):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(exports[1].read_bytes()[:100])
    repository = tmp_path / "repository"
    release_version(repository, 1, ranker_files(damaged), served=set())
    before = shared_memory()

    with (
        pytest.raises(EnvironmentFaultError, match=r"Triton cannot load reland_ranker: .*model\.onnx"),
        running_triton(triton_environment, repository, tmp_path / "triton.log") as server,
    ):
        server.wait_until_ready(MODEL_NAME, [1])

    assert not alive(server.process_id)
    assert shared_memory() == before


@pytest.mark.slow
def test_the_server_ends_with_a_process_that_is_killed(tmp_path, triton_environment):
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from serving.triton.server import running_triton
        with running_triton(*map(Path, sys.argv[1:])) as server:
            print(server.process_id, flush=True)
            time.sleep(60)
    """)
    (tmp_path / "repository").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(triton_environment), str(tmp_path / "repository"), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # nobody is left to remove its temporary folder
        text=True,
    )
    server = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 120
    while alive(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(server)


def test_a_port_in_use_is_named(tmp_path, triton_environment):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(EnvironmentFaultError, match=f"port {port}: "),
            running_triton(triton_environment, tmp_path, tmp_path / "log", grpc_port=port),
        ):
            pass


def test_a_missing_environment_is_named(tmp_path):
    with (
        pytest.raises(EnvironmentFaultError, match=r"RELAND_TRITON_ENVIRONMENT.*make install"),
        running_triton(tmp_path / "none", tmp_path, tmp_path / "log"),
    ):
        pass


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    return load_settings()


@pytest.fixture
def artifacts(tmp_path, exports, settings) -> dict[str, Path]:
    """Three users, of whom the first ("a") has no rationale and the second ("b") one that is served from slot blue."""
    folders = {name: tmp_path / name for name in ("rankers", "prepared")}
    ranker = folders["rankers"] / "reland"
    save_ranker(tiny_ranker(1), ranker)
    (ranker / ONNX_FILE).write_bytes(exports[1].read_bytes())
    (ranker / USER_VECTOR_ONNX_FILE).write_bytes(exports["user_vector"].read_bytes())
    save_ranker(tiny_ranker(1, "id_only"), folders["rankers"] / "id_only")
    (folders["rankers"] / "id_only" / ONNX_FILE).write_bytes(exports["id_only"].read_bytes())
    item_ids = [f"item {number:02}" for number in range(1, ITEMS + 1)]
    schema = vectors("item_id", ITEM_VECTOR)
    item_rows = pa.table([item_ids, item_vectors(tiny_ranker(1)).tolist()], schema=schema)
    write_table(item_rows, ranker / ITEM_VECTORS_FILE, schema)
    popular = pa.table([item_ids, list(range(ITEMS, 0, -1))], schema=POPULAR_ITEMS)
    write_table(popular, ranker / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    index = pa.table([item_ids, list(range(1, ITEMS + 1))], schema=ITEM_INDEX)
    write_table(index, ranker / ITEM_INDEX_FILE, ITEM_INDEX)

    visits = {"a": ["item 01"], "b": ["item 09", "item 05", "item 07"], "c": ["item 02"]}
    histories = pa.Table.from_pylist([{"user_id": user, "items": items} for user, items in visits.items()], HISTORIES)
    write_table(histories, folders["prepared"] / HISTORIES_FILE, HISTORIES)
    items = [
        {"item_id": item_id, "title": "" if item_id == "item 01" else f"title of {item_id}", "brand": ""}
        | {"categories": [], "description": ""}
        for item_id in item_ids
    ]
    write_table(pa.Table.from_pylist(items, ITEMS_TABLE), folders["prepared"] / ITEMS_FILE, ITEMS_TABLE)

    features = GenerationFeatures(
        {"r": Rationale([0.5] * TEXT, TEXT_ENCODER, "likes quiet films", "one", banned=False)},
        {"b": Assignment(["r"], [0.75]), "c": Assignment(["r"], [0.5])},
    )
    push_features_to(open_feature_store(settings), feature_store_folder(settings), "blue", features)
    client = mlflow_client.open_registry(settings)
    client.create_registered_model(registry.RANKER_MODEL)
    client.create_model_version(registry.RANKER_MODEL, folders["rankers"].as_uri())
    return folders


def ranker_aliases(settings: Settings) -> dict[str, str]:
    return mlflow_client.aliases(mlflow_client.open_registry(settings), registry.RANKER_MODEL)


def release_step(artifacts: dict[str, Path], version: str, report: Path, slot: str = "blue") -> None:
    from kfp import dsl

    from components.ranker_release.component import release_ranker

    inputs = {}
    for name, path in artifacts.items():
        inputs[name] = dsl.Artifact(uri=str(path))
        inputs[name].path = str(path)
    output = dsl.Artifact(uri=str(report))
    output.path = str(report)
    release_ranker.python_func(
        **inputs,
        version=version,
        item_collection="reland_items_1",
        slot=slot,
        generation="one",
        serving={},
        report=output,
    )


@pytest.mark.slow
def test_the_release_answers_a_real_request_and_adds_the_version(tmp_path, triton_environment, settings, artifacts):
    release_step(artifacts, "1", tmp_path / "report.json")

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["registry"] == {"alias": "champion"} and ranker_aliases(settings) == {"champion": "1"}
    release = report["release"]
    example = release.pop("example")
    assert release.pop("largest_difference") < 1e-3
    assert release == {"triton_version": 1, "served_versions": [1], "smoke_request_ok": True}
    assert len(example.pop("top_items")) == 5
    assert example == {"explanation": "likes quiet films", "rationale_id": "r", "similarity": 0.75}
    repository = settings.resolved_model_repository
    assert model_names(repository) == [ID_ONLY_MODEL, MODEL_NAME, USER_VECTOR_MODEL]
    for model in model_names(repository):
        assert sorted(path.name for path in (repository / model).iterdir()) == ["1", "config.pbtxt"]
    assert {path.name for path in (repository / MODEL_NAME / "1").iterdir()} == {ONNX_FILE, *RANKER_FILES}
    (arm,) = read_rollout(rollout_file(settings)).arms
    assert arm == Arm(
        name="champion",
        version=1,
        generation="one",
        feature_service=user_service("blue"),
        slot="blue",
        item_collection="reland_items_1",
        weight=1.0,
    )


@pytest.mark.slow
def test_a_later_release_leaves_the_record_of_arms_and_keeps_its_versions(
    tmp_path, triton_environment, settings, artifacts
):
    release_step(artifacts, "1", tmp_path / "report.json")
    record = rollout_file(settings).read_bytes()
    client = mlflow_client.open_registry(settings)
    client.create_model_version(registry.RANKER_MODEL, artifacts["rankers"].as_uri())
    client.delete_registered_model_alias(registry.RANKER_MODEL, "champion")
    release_step(artifacts, "2", tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["release"]["served_versions"] == [1, 2]
    assert rollout_file(settings).read_bytes() == record


@pytest.mark.slow
def test_a_release_that_fails_leaves_the_model_repository_as_it_was(tmp_path, triton_environment, settings, artifacts):
    ranker = artifacts["rankers"] / "reland"
    save_ranker(tiny_ranker(2), ranker)  # weights that are not those of the export
    with pytest.raises(ServedScoresDifferError):
        release_step(artifacts, "1", tmp_path / "report.json")
    assert not settings.resolved_model_repository.exists()
    assert ranker_aliases(settings) == {} and not rollout_file(settings).exists()


@pytest.mark.slow
def test_the_request_is_the_first_users_whom_the_slot_gives_a_rationale(settings, artifacts):
    ranker = artifacts["rankers"] / "reland"
    configuration = json.loads((ranker / CONFIG_FILE).read_text())
    store = open_feature_store(settings)
    build = (ranker, configuration, artifacts["prepared"], store)

    request = build_example(*build, "blue", 100)
    assert request.inputs["history"].tolist() == [[9, 5, 7] + [0] * 47]
    assert request.inputs["rationale"].tolist() == [[[0.5] * TEXT]]
    assert request.inputs["candidates"].tolist() == [list(range(1, ITEMS + 1))]

    with pytest.raises(InputError, match="feature slot green: gives none of the 3 users a rationale"):
        build_example(*build, "green", 100)
    for name, value in (("text_encoder", "other"), ("text_dimension", 7), ("pool", "other")):
        with pytest.raises(InputError, match=f"{name} is {value!r}, the features have"):
            build_example(ranker, configuration | {name: value}, *build[2:], "blue", 100)
