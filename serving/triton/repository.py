"""The Triton model repository: `<repository>/reland_ranker/{config.pbtxt, <version>/model.onnx}`.

The model's configuration is one for all of its versions, which is why every version has one signature
(`contracts.ranking_signature`), and its version policy names the versions that are served.
"""

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contracts.artifacts import ONNX_FILE
from components.contracts.errors import InputError
from components.contracts.files import creating_directory, replacing_file
from components.contracts.ranking_signature import HISTORY_LENGTH, MODEL_NAME

CONFIGURATION_FILE = "config.pbtxt"


@dataclass(frozen=True)
class SignatureDimensions:
    """The sizes that a ranker's training fixes; the batch size B and the candidate count C are free in a request."""

    user_vector: int  # d
    rationales: int  # K
    text: int  # t


def model_configuration(dimensions: SignatureDimensions, versions: list[int]) -> str:
    """The text of `config.pbtxt`.

    `max_batch_size` is 0 with B as an explicit dimension: requests differ in C, so Triton could not join them, and a
    request that is a batch already is written as the ONNX file has it. No instance group: the server places the model
    on what the machine has.
    """
    b, c = -1, -1
    inputs = [
        ("history", "TYPE_INT64", [b, HISTORY_LENGTH]),
        ("user_vector", "TYPE_FP32", [b, dimensions.user_vector]),
        ("rationale", "TYPE_FP32", [b, dimensions.rationales, dimensions.text]),
        ("candidates", "TYPE_INT64", [b, c]),
    ]
    outputs = [
        ("scores", "TYPE_FP32", [b, c]),
        ("fusion_weights", "TYPE_FP32", [b, dimensions.rationales + 1]),
    ]
    lines = [
        f'name: "{MODEL_NAME}"',
        'backend: "onnxruntime"',
        f'default_model_filename: "{ONNX_FILE}"',
        "max_batch_size: 0",
        f"version_policy {{ specific {{ versions: {sorted(versions)} }} }}",
        *(f'input {{ name: "{name}" data_type: {kind} dims: {shape} }}' for name, kind, shape in inputs),
        *(f'output {{ name: "{name}" data_type: {kind} dims: {shape} }}' for name, kind, shape in outputs),
    ]
    return "\n".join(lines) + "\n"


def release_version(
    repository: Path, version: int, onnx: Path, dimensions: SignatureDimensions, served: set[int]
) -> list[int]:
    """Add `version` beside the versions that are there and have the configuration serve it; all of it or nothing.

    The version's folder appears whole under its final name first, the configuration that names it afterwards. Releasing
    the same file again changes nothing.

    Args:
        served: other versions to serve; those that the repository does not hold are left out.

    Returns:
        the versions that the configuration now serves, ascending.

    Raises:
        InputError: the version is there with other content, the model has another signature, or `onnx` is missing.
    """
    model = repository / MODEL_NAME
    folder = model / str(version)
    configuration = model / CONFIGURATION_FILE
    versions = sorted({version} | {other for other in served if (model / str(other) / ONNX_FILE).is_file()})
    text = model_configuration(dimensions, versions)

    if not onnx.is_file():
        raise InputError(f"{onnx}: no such file, expected the ranker's ONNX export")
    if configuration.exists() and _signature(configuration.read_text(encoding="utf-8"), configuration) != _signature(
        text, configuration
    ):
        raise InputError(
            f"{configuration}: has another signature than {onnx} ({dimensions}); every version of {MODEL_NAME} has one "
            "signature: move the model repository away, or release under another RELAND_MODEL_REPOSITORY"
        )
    if not folder.exists():
        with creating_directory(folder) as temporary:
            shutil.copyfile(onnx, temporary / ONNX_FILE)
    elif not _same_file(folder / ONNX_FILE, onnx):
        raise InputError(
            f"{folder}: holds another model already, and a released version never changes; where the registry was made "
            "anew and counts from 1 again, move the model repository away"
        )
    with replacing_file(configuration) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return versions


def _same_file(one: Path, other: Path) -> bool:
    return one.is_file() and filecmp.cmp(one, other, shallow=False)


def _signature(text: str, source: Path) -> list[tuple[str, str, Any, list[int]]]:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    try:
        configuration = text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise InputError(f"{source}: no Triton model configuration ({error})") from error
    return [("input", node.name, node.data_type, list(node.dims)) for node in configuration.input] + [
        ("output", node.name, node.data_type, list(node.dims)) for node in configuration.output
    ]
