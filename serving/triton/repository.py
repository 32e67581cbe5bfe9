"""The Triton model repository: `<repository>/<model>/{config.pbtxt, <version>/model.onnx}`.

Three models are released together and share one version number: `reland_ranker`, `reland_id_only` of the same signature
(`contracts.ranking_signature`), and `reland_user_vector`. A model's configuration is one for all of its versions, which
is why every version has one signature, and its version policy names the versions that are served. The official image
(`contracts.images.TRITON_SERVER`) and the local server read the same files.
"""

import filecmp
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.contracts.artifacts import ONNX_FILE
from components.contracts.ranking_signature import CANDIDATES, HISTORY, HISTORY_LENGTH, MODEL_NAME, OUTPUTS, RATIONALE
from components.contracts.serving import ID_ONLY_MODEL, USER_VECTOR_MODEL, USER_VECTOR_OUTPUT
from components.foundation.errors import InputError
from components.foundation.files import creating_directory, replacing_file

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

CONFIGURATION_FILE = "config.pbtxt"
RELEASED_MODELS = (ID_ONLY_MODEL, USER_VECTOR_MODEL, MODEL_NAME)  # of one release, in the order of being written

# The largest B of a request, and of the requests that Triton joins. Larger batches make a CPU no faster.
MAX_BATCH_SIZE = 64
WARM_UP_CANDIDATES = 200  # what the gateway asks for


@dataclass(frozen=True)
class SignatureDimensions:
    """The sizes that a ranker's training fixes; the batch size B and the candidate count C are free in a request."""

    rationales: int  # K
    text: int  # t
    item_vector: int  # e, of the ranker's own user and item vectors


@dataclass(frozen=True)
class Tensor:
    """An input or output as a configuration names it: `shape` is without B, -1 is free."""

    name: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ServedModel:
    """A model's name and signature."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class ModelFiles:
    """A model and the files of one version of it, by their names in the version's folder; `model.onnx` is among them.

    Triton passes over the others; they are what the gateway needs to speak of that version's items.
    """

    model: ServedModel
    files: dict[str, Path]


def ranking_model(name: str, inputs: tuple[str, ...], dimensions: SignatureDimensions) -> ServedModel:
    """A model that ranks candidates by these `inputs` of a user."""
    scores, fusion_weights = OUTPUTS
    return ServedModel(
        name,
        (*_user_inputs(inputs, dimensions), Tensor(CANDIDATES, "TYPE_INT64", (-1,))),
        (Tensor(scores, "TYPE_FP32", (-1,)), Tensor(fusion_weights, "TYPE_FP32", (dimensions.rationales + 1,))),
    )


def user_vector_model(name: str, inputs: tuple[str, ...], dimensions: SignatureDimensions) -> ServedModel:
    """A model that makes of these `inputs` of a user the vector which the item index is searched with."""
    output = Tensor(USER_VECTOR_OUTPUT, "TYPE_FP32", (dimensions.item_vector,))
    return ServedModel(name, _user_inputs(inputs, dimensions), (output,))


def _user_inputs(inputs: tuple[str, ...], dimensions: SignatureDimensions) -> tuple[Tensor, ...]:
    tensors = {
        HISTORY: Tensor(HISTORY, "TYPE_INT64", (HISTORY_LENGTH,)),
        RATIONALE: Tensor(RATIONALE, "TYPE_FP32", (dimensions.rationales, dimensions.text)),
    }
    return tuple(tensors[name] for name in inputs)


def model_configuration(model: ServedModel, versions: list[int]) -> str:
    """The text of `config.pbtxt`.

    - B is Triton's own batch dimension, so a client sees the signature with B in front. Requests that wait while
      another runs are joined where they agree in C; none waits for company (no queue delay), because a delay is paid in
      full by a server that is idle.
    - A version counts as ready when it has answered a request of one user, so the first real one finds it warm.
    - No instance group: the server places the model on what the machine has. On a CPU a request gets one thread, so
      that requests beside each other do not wait for each other's threads.
    """
    warm_up = ", ".join(
        f'{{ key: "{tensor.name}" value {{ data_type: {tensor.kind} '
        f"dims: {[WARM_UP_CANDIDATES if size < 0 else size for size in tensor.shape]} zero_data: true }} }}"
        for tensor in model.inputs
    )
    lines = [
        f'name: "{model.name}"',
        'backend: "onnxruntime"',
        f'default_model_filename: "{ONNX_FILE}"',
        f"max_batch_size: {MAX_BATCH_SIZE}",
        "dynamic_batching { }",
        f"version_policy {{ specific {{ versions: {sorted(versions)} }} }}",
        *(f"input {_node(tensor)}" for tensor in model.inputs),
        *(f"output {_node(tensor)}" for tensor in model.outputs),
        f'model_warmup {{ name: "one_user" batch_size: 1 inputs: [{warm_up}] }}',
        'parameters { key: "intra_op_thread_count" value { string_value: "1" } }',
    ]
    return "\n".join(lines) + "\n"


def _node(tensor: Tensor) -> str:
    return f'{{ name: "{tensor.name}" data_type: {tensor.kind} dims: {list(tensor.shape)} }}'


def release_version(repository: Path, version: int, models: list[ModelFiles], served: set[int]) -> list[int]:
    """Add `version` of each model beside the versions that are there and have the configurations serve it.

    All is checked before anything is written. A version's folder appears whole under its final name, the configuration
    that names it afterwards; the models are written in the order given, so the one that requests start from comes last.
    Releasing the same files again changes nothing.

    Args:
        served: other versions to serve; those that the repository does not hold are left out.

    Returns:
        the versions that the last model's configuration now serves, ascending.

    Raises:
        InputError: a version is there with other content, a model has another signature, or a file is missing.
    """
    for released in models:
        _check(repository / released.model.name, version, released)
    versions: list[int] = []
    for released in models:
        model = repository / released.model.name
        if not (model / str(version)).exists():
            with creating_directory(model / str(version)) as temporary:
                for name, source in released.files.items():
                    shutil.copyfile(source, temporary / name)
        versions = sorted({version} | {other for other in served if (model / str(other) / ONNX_FILE).is_file()})
        with replacing_file(model / CONFIGURATION_FILE) as temporary:
            temporary.write_text(model_configuration(released.model, versions), encoding="utf-8")
    return versions


def change_served_versions(repository: Path, add: set[int], remove: set[int]) -> None:
    """Have the configurations of the models of a release serve other versions of those that are in the repository.

    A configuration that serves them already stays as it is. The ranker, which requests start from, comes last.

    Raises:
        InputError: a version to add is not in the repository, or a configuration is missing or none.
    """
    for name in RELEASED_MODELS:
        for version in sorted(add):
            if not (repository / name / str(version) / ONNX_FILE).is_file():
                raise InputError(f"{repository / name / str(version) / ONNX_FILE}: no such file, expected a release")
    for name in RELEASED_MODELS:
        configuration = read_configuration(repository / name)
        served = configuration.version_policy.specific.versions
        wanted = sorted((set(served) | add) - remove)
        if wanted != list(served):
            served[:] = wanted
            with replacing_file(repository / name / CONFIGURATION_FILE) as temporary:
                temporary.write_text(_text(configuration), encoding="utf-8")


def served_versions(repository: Path) -> dict[str, set[int]]:
    """The versions that the configuration of each model of a release names.

    Raises:
        InputError: a configuration is missing or none.
    """
    return {
        name: set(read_configuration(repository / name).version_policy.specific.versions) for name in RELEASED_MODELS
    }


def release_digest(repository: Path, version: int) -> str:
    """SHA-256 of all files of a released version, of which none changes any more.

    Raises:
        InputError: the version is not in the repository, or a file is not readable.
    """
    digest = hashlib.sha256()
    for name in RELEASED_MODELS:
        folder = repository / name / str(version)
        if not (folder / ONNX_FILE).is_file():
            raise InputError(f"{folder / ONNX_FILE}: no such file, expected a release")
        for path in sorted(folder.iterdir()):
            try:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise InputError(f"{path}: not readable ({error.strerror})") from error
            digest.update(f"{name}/{path.name} {content}\n".encode())
    return digest.hexdigest()


def _check(folder: Path, version: int, released: ModelFiles) -> None:
    for source in released.files.values():
        if not source.is_file():
            raise InputError(f"{source}: no such file, expected a part of the ranker")
    configuration = folder / CONFIGURATION_FILE
    if configuration.exists():
        new = parse_configuration(model_configuration(released.model, [version]), configuration)
        if _signature(read_configuration(folder)) != _signature(new):
            raise InputError(
                f"{configuration}: has another signature than version {version}; every version of "
                f"{released.model.name} has one signature: move the model repository away, or release under another "
                "RELAND_MODEL_REPOSITORY"
            )
    there = folder / str(version)
    if there.exists() and not all(_same_file(there / name, source) for name, source in released.files.items()):
        raise InputError(
            f"{there}: holds another model already, and a released version never changes; where the registry was made "
            "anew and counts from 1 again, move the model repository away"
        )


def _same_file(one: Path, other: Path) -> bool:
    return one.is_file() and filecmp.cmp(one, other, shallow=False)


def model_names(repository: Path) -> list[str]:
    """The models of a repository, sorted by name."""
    return sorted(path.parent.name for path in repository.glob(f"*/{CONFIGURATION_FILE}"))


def read_configuration(model: Path) -> "ModelConfig":
    """The configuration of the model in a folder.

    Raises:
        InputError: the file is missing or no Triton model configuration.
    """
    path = model / CONFIGURATION_FILE
    try:
        return parse_configuration(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable ({error})") from error


def parse_configuration(text: str, source: Path) -> "ModelConfig":
    """Raises InputError, naming `source`, where the text is no Triton model configuration."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise InputError(f"{source}: no Triton model configuration ({error})") from error


def _text(configuration: "ModelConfig") -> str:
    from google.protobuf import text_format

    return text_format.MessageToString(configuration)


def _signature(configuration: "ModelConfig") -> tuple[bool, list[tuple[str, int, list[int]]]]:
    nodes = [*configuration.input, *configuration.output]
    return configuration.max_batch_size > 0, [(node.name, node.data_type, list(node.dims)) for node in nodes]
