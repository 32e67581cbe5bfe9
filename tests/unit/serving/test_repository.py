import pytest

from components.contracts.ranking_signature import CANDIDATES, MODEL_NAME, OUTPUTS, USER_INPUTS
from components.contracts.serving import ID_ONLY_MODEL, USER_VECTOR_MODEL, USER_VECTOR_OUTPUT
from components.foundation.errors import InputError
from serving.triton.repository import (
    ModelFiles,
    SignatureDimensions,
    model_configuration,
    model_names,
    parse_configuration,
    ranking_model,
    release_version,
    user_vector_model,
)

DIMENSIONS = SignatureDimensions(rationales=1, text=384, item_vector=32)
RANKER = ranking_model(MODEL_NAME, USER_INPUTS, DIMENSIONS)


@pytest.fixture
def onnx(tmp_path):
    path = tmp_path / "exported.onnx"
    path.write_bytes(b"one")
    return path


def files(onnx, model=RANKER, **beside) -> list[ModelFiles]:
    return [ModelFiles(model, {"model.onnx": onnx, **{name: path for name, path in beside.items()}})]


def content(repository) -> dict[str, bytes]:
    return {
        str(path.relative_to(repository)): path.read_bytes() for path in sorted(repository.rglob("*")) if path.is_file()
    }


def test_the_configuration_is_the_signature_with_the_versions_served():
    assert model_configuration(RANKER, [7, 3]) == (
        'name: "reland_ranker"\n'
        'backend: "onnxruntime"\n'
        'default_model_filename: "model.onnx"\n'
        "max_batch_size: 64\n"
        "dynamic_batching { }\n"
        "version_policy { specific { versions: [3, 7] } }\n"
        'input { name: "history" data_type: TYPE_INT64 dims: [50] }\n'
        'input { name: "rationale" data_type: TYPE_FP32 dims: [1, 384] }\n'
        'input { name: "candidates" data_type: TYPE_INT64 dims: [-1] }\n'
        'output { name: "scores" data_type: TYPE_FP32 dims: [-1] }\n'
        'output { name: "fusion_weights" data_type: TYPE_FP32 dims: [2] }\n'
        'model_warmup { name: "one_user" batch_size: 1 inputs: ['
        '{ key: "history" value { data_type: TYPE_INT64 dims: [50] zero_data: true } }, '
        '{ key: "rationale" value { data_type: TYPE_FP32 dims: [1, 384] zero_data: true } }, '
        '{ key: "candidates" value { data_type: TYPE_INT64 dims: [200] zero_data: true } }] }\n'
        'parameters { key: "intra_op_thread_count" value { string_value: "1" } }\n'
    )


def test_triton_reads_the_configurations_as_they_are_meant(tmp_path):
    for model, inputs, outputs in (
        (RANKER, (*USER_INPUTS, CANDIDATES), OUTPUTS),
        (ranking_model(ID_ONLY_MODEL, ("history",), DIMENSIONS), ("history", CANDIDATES), OUTPUTS),
        (user_vector_model(USER_VECTOR_MODEL, USER_INPUTS, DIMENSIONS), USER_INPUTS, (USER_VECTOR_OUTPUT,)),
    ):
        parsed = parse_configuration(model_configuration(model, [1]), tmp_path)
        assert tuple(node.name for node in parsed.input) == inputs
        assert tuple(node.name for node in parsed.output) == outputs
        assert list(parsed.version_policy.specific.versions) == [1]
        assert set(parsed.model_warmup[0].inputs) == set(inputs)
        assert not parsed.instance_group  # no fixed device
        assert parsed.HasField("dynamic_batching") and parsed.dynamic_batching.max_queue_delay_microseconds == 0


def test_a_release_adds_a_version_and_serves_those_asked_for_that_are_there(tmp_path, onnx):
    repository = tmp_path / "repository"
    assert release_version(repository, 1, files(onnx), served={1}) == [1]
    onnx.write_bytes(b"two")
    assert release_version(repository, 2, files(onnx), served={1}) == [1, 2]
    onnx.write_bytes(b"three")
    # 2 was no more than a candidate, 9 was registered but never released.
    assert release_version(repository, 3, files(onnx), served={1, 9}) == [1, 3]
    assert content(repository) == {
        "reland_ranker/1/model.onnx": b"one",
        "reland_ranker/2/model.onnx": b"two",
        "reland_ranker/3/model.onnx": b"three",
        "reland_ranker/config.pbtxt": model_configuration(RANKER, [1, 3]).encode(),
    }


def test_the_models_of_a_release_share_its_version_and_keep_their_files(tmp_path, onnx):
    beside = tmp_path / "index"
    beside.write_bytes(b"items")
    id_only = ranking_model(ID_ONLY_MODEL, USER_INPUTS, DIMENSIONS)
    models = [*files(onnx, id_only), *files(onnx, item_index=beside)]
    assert release_version(tmp_path / "repository", 4, models, served=set()) == [4]
    assert content(tmp_path / "repository") == {
        "reland_id_only/4/model.onnx": b"one",
        "reland_id_only/config.pbtxt": model_configuration(id_only, [4]).encode(),
        "reland_ranker/4/item_index": b"items",
        "reland_ranker/4/model.onnx": b"one",
        "reland_ranker/config.pbtxt": model_configuration(RANKER, [4]).encode(),
    }
    assert model_names(tmp_path / "repository") == [ID_ONLY_MODEL, MODEL_NAME]


def test_the_same_release_again_changes_nothing_and_another_model_is_refused(tmp_path, onnx):
    repository = tmp_path / "repository"
    release_version(repository, 1, files(onnx), served=set())
    before = content(repository)
    release_version(repository, 1, files(onnx), served=set())
    assert content(repository) == before

    onnx.write_bytes(b"other")
    with pytest.raises(InputError, match="reland_ranker/1: holds another model"):
        release_version(repository, 1, files(onnx), served=set())
    assert content(repository) == before


def test_a_fault_of_the_last_model_leaves_the_repository_as_it_was(tmp_path, onnx):
    repository = tmp_path / "repository"
    release_version(repository, 1, files(onnx), served=set())
    before = content(repository)
    other = ranking_model(MODEL_NAME, USER_INPUTS, SignatureDimensions(rationales=1, text=128, item_vector=32))
    first = files(onnx, ranking_model(ID_ONLY_MODEL, USER_INPUTS, DIMENSIONS))
    with pytest.raises(InputError, match="another signature"):
        release_version(repository, 2, [*first, *files(onnx, other)], served={1})
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        release_version(repository, 2, [*first, *files(tmp_path / "none.onnx")], served={1})
    assert content(repository) == before


def test_a_configuration_that_is_none_is_named(tmp_path, onnx):
    release_version(tmp_path, 1, files(onnx), served=set())
    (tmp_path / MODEL_NAME / "config.pbtxt").write_text("name = ")
    with pytest.raises(InputError, match=r"config\.pbtxt: no Triton model configuration"):
        release_version(tmp_path, 2, files(onnx), served={1})
