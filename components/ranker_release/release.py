"""Releasing a ranker: tried on a real Triton beside the live model repository, then added to it as a version."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.contracts.artifacts import CONFIG_FILE, ITEMS_FILE, ONNX_FILE
from components.contracts.errors import InputError
from components.contracts.files import read_json
from components.contracts.progress import say
from components.contracts.ranking_signature import INPUTS, MODEL_NAME
from components.contracts.settings import Settings
from components.contracts.tables import ITEMS, read_table
from components.ranker_release.request import ExampleRequest, build_example
from serving.triton.client import Ranking, rank
from serving.triton.repository import SignatureDimensions, release_version
from serving.triton.server import running_triton

if TYPE_CHECKING:
    from feast import FeatureStore

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-4
EXAMPLE_ITEMS = 5


class ServedScoresDifferError(Exception):
    """Triton answers the release's request with other numbers than PyTorch."""


@dataclass(frozen=True)
class Release:
    """What was released, and the answer to its smoke request (no user id: the report leaves the platform)."""

    version: int
    served_versions: list[int]
    largest_difference: float
    top_items: list[str]
    request: ExampleRequest


def release(
    settings: Settings,
    ranker: Path,
    prepared: Path,
    embeddings: Path,
    store: "FeatureStore",
    slot: str,
    version: int,
    served: set[int],
) -> Release:
    """Try `version` with one request, whose scores must be PyTorch's, then add it to the model repository.

    The trial runs over a repository of its own, so a ranker that fails leaves the live one as it was.

    Args:
        ranker: folder of the variant to serve.
        served: the other versions that the repository's configuration shall serve.

    Raises:
        InputError: a file is at fault, ranker and features do not fit, Triton is not there or cannot load the model, or
            the repository holds another model of this version.
        ServedScoresDifferError: Triton and PyTorch disagree.
    """
    configuration = read_json(ranker / CONFIG_FILE)
    dimensions = SignatureDimensions(
        configuration["user_vector_dimension"], configuration["rationales_per_user"], configuration["text_dimension"]
    )
    request = build_example(ranker, configuration, prepared, embeddings, store, slot)
    with tempfile.TemporaryDirectory(prefix="reland-release-") as trial:
        release_version(Path(trial), version, ranker / ONNX_FILE, dimensions, served=set())
        log = settings.home / "logs" / f"triton-release-{version}.log"
        ports = settings.triton_http_port, settings.triton_grpc_port
        with running_triton(settings.triton_environment, Path(trial), log, *ports) as server:
            say(f"Triton runs on {server.grpc_address}, loading {MODEL_NAME} version {version}")
            server.load(MODEL_NAME, [version])
            answer = rank(server.grpc_address, version, request.inputs)
    difference = largest_difference(answer, score_with_pytorch(ranker, request.inputs))
    versions = release_version(settings.resolved_model_repository, version, ranker / ONNX_FILE, dimensions, served)
    return Release(version, versions, difference, top_items(prepared, request, answer), request)


def parse_version(version: str) -> int:
    """A registry version as a Triton version.

    Raises:
        InputError: it is not a positive whole number.
    """
    if not (version.isascii() and version.isdigit() and int(version) > 0):
        raise InputError(f"ranker version {version!r}: expected a positive whole number, as MLflow gives them")
    return int(version)


def score_with_pytorch(ranker: Path, inputs: dict[str, np.ndarray]) -> Ranking:
    """The same request answered by the ranker's weights in this process."""
    import torch

    from components.recommenders.ranker import load_ranker

    with torch.inference_mode():
        outputs = load_ranker(ranker)(*(torch.from_numpy(inputs[name]) for name in INPUTS))
    return Ranking(*(output.numpy() for output in outputs))


def largest_difference(served: Ranking, expected: Ranking) -> float:
    """The largest absolute difference of scores and fusion weights.

    Raises:
        ServedScoresDifferError: shapes differ, or a value differs by more than the tolerances.
    """
    largest = 0.0
    for name, ours, theirs in (
        ("scores", served.scores, expected.scores),
        ("fusion_weights", served.fusion_weights, expected.fusion_weights),
    ):
        if ours.shape != theirs.shape:
            raise ServedScoresDifferError(f"{name}: Triton gives the shape {ours.shape}, PyTorch {theirs.shape}")
        difference = float(np.abs(ours - theirs).max())
        if not np.allclose(ours, theirs, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE):
            raise ServedScoresDifferError(f"{name}: Triton and PyTorch differ by up to {difference:g}")
        largest = max(largest, difference)
    return largest


def top_items(prepared: Path, request: ExampleRequest, answer: Ranking) -> list[str]:
    """Titles (ids where there is none) of the best candidates, best first; equal scores in the candidates' order."""
    items = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id", "title"])
    title_by_id = dict(zip(*(column.to_pylist() for column in items.columns), strict=True))
    best = np.argsort(-answer.scores[0], kind="stable")[:EXAMPLE_ITEMS]
    ids = [request.candidate_ids[position] for position in best]
    return [title_by_id.get(item_id) or item_id for item_id in ids]


def report_of(release: Release) -> dict[str, Any]:
    """The step's part of `summary.json`."""
    return {
        "release": {
            "triton_version": release.version,
            "served_versions": release.served_versions,
            "smoke_request_ok": True,
            "largest_difference": release.largest_difference,
            "example": {
                "top_items": release.top_items,
                "explanation": release.request.explanation,
                "rationale_id": release.request.rationale_id,
                "similarity": release.request.similarity,
            },
        }
    }
