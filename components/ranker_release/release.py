"""Releasing a ranker: tried on a real Triton beside the live model repository, then added to it as a version.

A version is three models (`serving.triton.repository`): the variant `reland` as `reland_ranker`, its user side as
`reland_user_vector`, and the variant `id_only` as `reland_id_only`.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.contracts.artifacts import CONFIG_FILE, ITEMS_FILE, ONNX_FILE, USER_VECTOR_ONNX_FILE
from components.contracts.ranking_signature import CANDIDATES, HISTORY, MODEL_NAME, RATIONALE, user_inputs_of
from components.contracts.serving import ID_ONLY_MODEL, RANKER_FILES, SIMILAR_ITEMS_FILE, USER_VECTOR_MODEL
from components.contracts.tables import ITEMS, read_table
from components.foundation.errors import InputError
from components.foundation.files import read_json
from components.foundation.progress import say
from components.foundation.settings import Settings
from components.ranker_release.configuration import DEFAULT_SERVING, ServingSection
from components.ranker_release.request import ExampleRequest, build_example
from serving.triton.client import Ranking, rank, user_vector
from serving.triton.repository import (
    ModelFiles,
    SignatureDimensions,
    ranking_model,
    release_version,
    user_vector_model,
)
from serving.triton.server import TritonServer, running_triton

if TYPE_CHECKING:
    from feast import FeatureStore

EXAMPLE_ITEMS = 5
SERVED, ID_ONLY = "reland", "id_only"  # the variants that a release serves


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
    rankers: Path,
    prepared: Path,
    store: "FeatureStore",
    slot: str,
    version: int,
    served: set[int],
    serving: ServingSection = DEFAULT_SERVING,
) -> Release:
    """Try `version` with one request, whose answers must be PyTorch's, then add it to the model repository.

    The trial runs over a repository of its own, so a ranker that fails leaves the live one as it was.

    Args:
        rankers: folder of the variants, `reland` and `id_only` among them.
        served: the other versions that the repository's configurations shall serve.
        serving: how near to PyTorch's the answers must be, and on how many candidates.

    Raises:
        InputError: a file is at fault, ranker and features do not fit, Triton is not there or cannot load the model, or
            the repository holds another model of this version.
        ServedScoresDifferError: Triton and PyTorch disagree.
    """
    models = models_of(rankers)
    configuration = read_json(rankers / SERVED / CONFIG_FILE)
    request = build_example(rankers / SERVED, configuration, prepared, store, slot, serving.compared_candidates)
    with tempfile.TemporaryDirectory(prefix="reland-release-") as trial:
        release_version(Path(trial), version, models, served=set())
        log = settings.home / "logs" / f"triton-release-{version}.log"
        with running_triton(settings.triton_environment, Path(trial), log, settings.triton_grpc_port) as server:
            answer, difference = _try(server, version, rankers, request, serving)
    versions = release_version(settings.resolved_model_repository, version, models, served)
    return Release(version, versions, difference, top_items(prepared, request, answer), request)


def models_of(rankers: Path) -> list[ModelFiles]:
    """The models of a release, `reland_ranker` last: the gateway looks for a version there.

    Raises:
        InputError: a configuration is missing or none, or the two variants have not the same inputs.
    """
    configuration = read_json(rankers / SERVED / CONFIG_FILE)
    inputs = _inputs_of(rankers / SERVED)
    if (of_id_only := _inputs_of(rankers / ID_ONLY)) != inputs:
        raise InputError(
            f"{rankers / ID_ONLY / CONFIG_FILE}: inputs {', '.join(of_id_only)}, expected those of {SERVED}: "
            f"{', '.join(inputs)}"
        )
    dimensions = SignatureDimensions(
        rationales=configuration["rationales_per_user"],
        text=configuration["text_dimension"],
        item_vector=configuration["embedding_dimension"],
    )
    served = rankers / SERVED
    beside = {name: served / name for name in RANKER_FILES}
    if (served / SIMILAR_ITEMS_FILE).exists():  # an artifact of before lacks it
        beside[SIMILAR_ITEMS_FILE] = served / SIMILAR_ITEMS_FILE
    return [
        ModelFiles(ranking_model(ID_ONLY_MODEL, inputs, dimensions), {ONNX_FILE: rankers / ID_ONLY / ONNX_FILE}),
        ModelFiles(
            user_vector_model(USER_VECTOR_MODEL, inputs, dimensions), {ONNX_FILE: served / USER_VECTOR_ONNX_FILE}
        ),
        ModelFiles(ranking_model(MODEL_NAME, inputs, dimensions), {ONNX_FILE: served / ONNX_FILE, **beside}),
    ]


def _inputs_of(ranker: Path) -> tuple[str, ...]:
    """What the ranker in a folder is given of a user."""
    try:
        return user_inputs_of(read_json(ranker / CONFIG_FILE))
    except (KeyError, TypeError) as error:
        raise InputError(f"{ranker / CONFIG_FILE}: lacks {error}, expected the configuration of a ranker") from error
    except ValueError as error:
        raise InputError(f"{ranker / CONFIG_FILE}: {error}") from error


def _try(
    server: TritonServer, version: int, rankers: Path, request: ExampleRequest, serving: ServingSection
) -> tuple[Ranking, float]:
    """The ranker's answer, and the largest difference of the three models' answers from PyTorch's.

    Raises:
        InputError: Triton cannot load one of the models.
        ServedScoresDifferError: an answer differs by more than the tolerances.
    """
    say(f"Triton runs on {server.grpc_address}, loading version {version}")
    differences = []
    answers = {}
    user_inputs = {name: request.inputs[name] for name in _inputs_of(rankers / SERVED)}
    inputs = user_inputs | {CANDIDATES: request.inputs[CANDIDATES]}
    for model, variant in ((MODEL_NAME, SERVED), (ID_ONLY_MODEL, ID_ONLY)):
        server.wait_until_ready(model, [version])
        answers[model] = rank(server.grpc_address, version, inputs, model=model)
        expected = score_with_pytorch(rankers / variant, inputs)
        differences.append(largest_difference(answers[model], expected, model, serving))
    server.wait_until_ready(USER_VECTOR_MODEL, [version])
    served_vector = user_vector(server.grpc_address, version, user_inputs)
    expected_vector = user_vector_with_pytorch(rankers / SERVED, user_inputs)
    differences.append(_difference(f"{USER_VECTOR_MODEL}: vector", served_vector, expected_vector, serving))
    return answers[MODEL_NAME], max(differences)


def score_with_pytorch(ranker: Path, inputs: dict[str, np.ndarray]) -> Ranking:
    """The same request answered by the ranker's weights in this process."""
    import torch

    from components.recommenders.ranker import load_ranker

    with torch.inference_mode():
        outputs = load_ranker(ranker)(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    return Ranking(*(output.numpy() for output in outputs))


def user_vector_with_pytorch(ranker: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The user's side of the same request, from the ranker's weights: float32[B, e]."""
    import torch

    from components.recommenders.ranker import load_ranker

    loaded = load_ranker(ranker)
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        return loaded.current_user(loaded.item_table(), tensors[HISTORY], tensors[RATIONALE])[0].numpy()


def largest_difference(
    served: Ranking, expected: Ranking, model: str = MODEL_NAME, serving: ServingSection = DEFAULT_SERVING
) -> float:
    """The largest absolute difference of scores and fusion weights.

    Raises:
        ServedScoresDifferError: shapes differ, or a value differs by more than the tolerances.
    """
    return max(
        _difference(f"{model}: scores", served.scores, expected.scores, serving),
        _difference(f"{model}: fusion_weights", served.fusion_weights, expected.fusion_weights, serving),
    )


def _difference(name: str, ours: np.ndarray, theirs: np.ndarray, serving: ServingSection) -> float:
    if ours.shape != theirs.shape:
        raise ServedScoresDifferError(f"{name}: Triton gives the shape {ours.shape}, PyTorch {theirs.shape}")
    difference = float(np.abs(ours - theirs).max())
    if not np.allclose(ours, theirs, serving.relative_tolerance, serving.absolute_tolerance):
        raise ServedScoresDifferError(f"{name}: Triton and PyTorch differ by up to {difference:g}")
    return difference


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
