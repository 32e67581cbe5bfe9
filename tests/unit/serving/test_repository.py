import pytest

from components.contracts.errors import InputError
from components.contracts.ranking_signature import INPUTS, OUTPUTS
from serving.triton.repository import SignatureDimensions, model_configuration, release_version

DIMENSIONS = SignatureDimensions(user_vector=64, rationales=1, text=384)


@pytest.fixture
def onnx(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"one")
    return path


def content(repository) -> dict[str, bytes]:
    return {
        str(path.relative_to(repository)): path.read_bytes() for path in sorted(repository.rglob("*")) if path.is_file()
    }


def test_the_configuration_is_the_signature_with_the_versions_served():
    assert model_configuration(DIMENSIONS, [7, 3]) == (
        'name: "reland_ranker"\n'
        'backend: "onnxruntime"\n'
        'default_model_filename: "model.onnx"\n'
        "max_batch_size: 0\n"
        "version_policy { specific { versions: [3, 7] } }\n"
        'input { name: "history" data_type: TYPE_INT64 dims: [-1, 50] }\n'
        'input { name: "user_vector" data_type: TYPE_FP32 dims: [-1, 64] }\n'
        'input { name: "rationale" data_type: TYPE_FP32 dims: [-1, 1, 384] }\n'
        'input { name: "candidates" data_type: TYPE_INT64 dims: [-1, -1] }\n'
        'output { name: "scores" data_type: TYPE_FP32 dims: [-1, -1] }\n'
        'output { name: "fusion_weights" data_type: TYPE_FP32 dims: [-1, 2] }\n'
    )


def test_triton_reads_the_configuration_as_it_is_meant():
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    parsed = text_format.Parse(model_configuration(DIMENSIONS, [1]), model_config_pb2.ModelConfig())
    assert tuple(node.name for node in parsed.input) == INPUTS
    assert tuple(node.name for node in parsed.output) == OUTPUTS
    assert list(parsed.version_policy.specific.versions) == [1]


def test_a_release_adds_a_version_and_serves_those_asked_for_that_are_there(tmp_path, onnx):
    repository = tmp_path / "repository"
    assert release_version(repository, 1, onnx, DIMENSIONS, served={1}) == [1]
    onnx.write_bytes(b"two")
    assert release_version(repository, 2, onnx, DIMENSIONS, served={1}) == [1, 2]
    onnx.write_bytes(b"three")
    # 2 was no more than a candidate, 9 was registered but never released.
    assert release_version(repository, 3, onnx, DIMENSIONS, served={1, 9}) == [1, 3]
    assert content(repository) == {
        "reland_ranker/1/model.onnx": b"one",
        "reland_ranker/2/model.onnx": b"two",
        "reland_ranker/3/model.onnx": b"three",
        "reland_ranker/config.pbtxt": model_configuration(DIMENSIONS, [1, 3]).encode(),
    }


def test_the_same_release_again_changes_nothing_and_another_model_is_refused(tmp_path, onnx):
    repository = tmp_path / "repository"
    release_version(repository, 1, onnx, DIMENSIONS, served=set())
    before = content(repository)
    release_version(repository, 1, onnx, DIMENSIONS, served=set())
    assert content(repository) == before

    onnx.write_bytes(b"other")
    with pytest.raises(InputError, match="reland_ranker/1: holds another model"):
        release_version(repository, 1, onnx, DIMENSIONS, served=set())
    assert content(repository) == before


def test_another_signature_or_a_missing_export_leaves_the_repository_as_it_was(tmp_path, onnx):
    repository = tmp_path / "repository"
    release_version(repository, 1, onnx, DIMENSIONS, served=set())
    before = content(repository)
    with pytest.raises(InputError, match="another signature"):
        release_version(repository, 2, onnx, SignatureDimensions(32, 1, 384), served={1})
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        release_version(repository, 2, tmp_path / "none.onnx", DIMENSIONS, served={1})
    assert content(repository) == before
