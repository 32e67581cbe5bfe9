"""Registering models in MLflow: one run holds the files, parameters and metrics of one version.

The alias of an encoder moves when its version is complete (files logged, version ready), that of a ranker when it is
released (`contracts.registry.point_ranker_alias`), so a failure on the way leaves every alias where it was.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE, TUNING_FILE
from components.contracts.handover import EncoderRecord, PoolRecord, hand_over
from components.contracts.registry import (
    CHAMPION,
    ENCODER_MODEL,
    LANGUAGE_MODEL,
    RANKER_MODEL,
    TAG_BASE,
    TAG_PROMPT,
    TAG_TEXT_ENCODER,
)
from components.foundation.errors import InputError
from components.foundation.files import read_json
from components.foundation.mlflow_client import experiment_id, open_registry
from components.foundation.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def register_encoder_version(
    settings: Settings, encoder: Path, tags: dict[str, str], prepared_uri: str, encoder_uri: str
) -> str:
    """Register the folder of a behavior encoder; its alias `champion` always points at the newest version.

    The URIs are those of the prepared data and of the folder, by which later pipelines find them.

    Encoders have no A/B test of their own: a ranker is trained on one encoder's vectors and names it in its tags, so
    the ranker's rollout decides.

    Returns:
        the version.

    Raises:
        InputError: the folder has no readable configuration or metrics.
    """
    client = open_registry(settings)
    parameters = scalars(read_json(encoder / CONFIG_FILE))
    metrics = numbers(read_json(encoder / METRICS_FILE))
    version = _register(client, settings, ENCODER_MODEL, encoder, parameters, metrics, tags)
    hand_over(client, EncoderRecord(prepared_uri, encoder_uri, version), version)
    return version


def register_record_version(settings: Settings, record: PoolRecord, tags: dict[str, str]) -> str:
    """Register where a pool or the features of a refresh are, without their files; `champion` is the newest version.

    Returns:
        the version.
    """
    client = open_registry(settings)
    version = _register(client, settings, record.model, None, {}, {}, tags)
    hand_over(client, record, version)
    return version


def register_ranker_version(settings: Settings, rankers: Path, evaluation: Path, tags: dict[str, str]) -> str:
    """Register the folder of all variants of a ranker; it has no alias before it is released.

    Args:
        evaluation: folder of the evaluation, whose metrics hold one object for each variant under "variants".

    Returns:
        the version.

    Raises:
        InputError: a configuration or metrics file is missing or unreadable, or no `reland` variant is there.
    """
    evaluated = read_json(evaluation / METRICS_FILE)
    variants = sorted(path.parent for path in rankers.glob(f"*/{CONFIG_FILE}"))
    if rankers / "reland" not in variants:
        raise InputError(f"{rankers / 'reland' / CONFIG_FILE}: no such file, expected the ranker's variant `reland`")

    parameters: dict[str, str] = {}
    metrics: dict[str, float] = {}
    for folder in variants:
        parameters |= scalars(read_json(folder / CONFIG_FILE), folder.name)
        metrics |= numbers(read_json(folder / METRICS_FILE), f"{folder.name}/validation")
        metrics |= numbers(evaluated["variants"].get(folder.name, {}), f"{folder.name}/test")
    tags = tags | {TAG_TEXT_ENCODER: str(read_json(rankers / "reland" / CONFIG_FILE)["text_encoder"])}

    client = open_registry(settings)
    return _register(client, settings, RANKER_MODEL, rankers, parameters, metrics, tags)


def register_language_model_version(settings: Settings, tuned: Path, tags: dict[str, str]) -> str:
    """Register the folder of a language model that was trained here; its alias `champion` points at the newest version.

    Like encoders, language models have no A/B test of their own: each rationale names its model, and a rollout decides
    about the whole generation.

    Returns:
        the version.

    Raises:
        InputError: the folder has no readable account of its training or no metrics.
    """
    client = open_registry(settings)
    tuning = read_json(tuned / TUNING_FILE)
    tags = tags | {TAG_PROMPT: tuning["prompt_version"], TAG_BASE: tuning["base"]}
    version = _register(
        client, settings, LANGUAGE_MODEL, tuned, scalars(tuning), numbers(read_json(tuned / METRICS_FILE)), tags
    )
    client.set_registered_model_alias(LANGUAGE_MODEL, CHAMPION, version)
    return version


def legal_name(name: str) -> str:
    """`name` with what MLflow refuses in a metric's name replaced: `hr@10` becomes `hr_at_10`."""
    return re.sub(r"[^\w/.\- ]", "_", name.replace("@", "_at_"))


def numbers(content: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The finite numbers in nested objects, named by their path; lists (curves) stay in the logged file alone."""
    return {
        legal_name(path): float(value)
        for path, value in _leaves(content, prefix)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def scalars(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """The scalars in nested objects as MLflow parameters, named by their path; JSON's spelling of true and null."""
    return {
        legal_name(path): value if isinstance(value, str) else json.dumps(value)
        for path, value in _leaves(content, prefix)
        if not isinstance(value, list)
    }


def _leaves(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        path = f"{prefix}/{key}" if prefix else key
        if isinstance(value, dict):
            yield from _leaves(value, path)
        else:
            yield path, value


def _register(
    client: "MlflowClient",
    settings: Settings,
    model: str,
    folder: Path | None,
    parameters: dict[str, str],
    metrics: dict[str, float],
    tags: dict[str, str],
) -> str:
    """Log a run with the folder, if any, as its artifact `model` and make it a version of `model`, with its tags."""
    from mlflow.exceptions import MlflowException

    with _run(client, experiment_id(client, settings, model), tags) as (run_id, artifact_uri):
        for name, value in sorted(parameters.items()):
            client.log_param(run_id, name, value)
        for name, number in sorted(metrics.items()):
            client.log_metric(run_id, name, number)
        if folder is not None:
            client.log_artifacts(run_id, str(folder), "model")
        try:
            client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(client.create_model_version(model, f"{artifact_uri}/model", run_id, tags=tags).version)


@contextmanager
def _run(client: "MlflowClient", experiment: str, tags: dict[str, str]) -> Iterator[tuple[str, str]]:
    """An MLflow run that ends as FINISHED, or as FAILED when the block raises; yields its id and its artifact URI."""
    run = client.create_run(experiment, tags=tags, run_name=tags["generation"])
    try:
        yield run.info.run_id, run.info.artifact_uri
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")
