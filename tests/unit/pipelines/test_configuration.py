"""What is found wrong with a run before its first step, and how its configuration is read and written."""

import json

import pytest

from components.behavior_encoder.encoders import ENCODERS
from components.foundation.configuration import options_of
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings
from pipelines.catalogue import define_pipelines
from pipelines.configuration import RunConfiguration, read_configuration, section_types, write_configuration
from pipelines.running.placement import LAPTOP
from reland.run_chain import check_machine


@pytest.fixture
def settings(tmp_path, monkeypatch):
    python = tmp_path / "triton" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("RELAND_TRITON_ENVIRONMENT", str(tmp_path / "triton"))
    monkeypatch.delenv("RELAND_DATA_DIR", raising=False)
    return Settings()


def check(settings, **values):
    RunConfiguration.read(values).check(settings)


def test_the_defaults_are_fine(settings):
    check(settings)
    check_machine(RunConfiguration(), settings)


def test_vllm_is_needed_by_the_engine_of_that_name_alone(settings, tmp_path):
    without = settings.model_copy(update={"vllm_python": tmp_path / "none"})
    check(without)
    with pytest.raises(EnvironmentFaultError, match=r"setting RELAND_VLLM_PYTHON: .*make vllm"):
        check(without, rationales={"rationale_engine": "vllm", "language_model": "scratch"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": {"seed_fraction": 0.0}}, r"seed.fraction 0.0: expected a share in \(0, 1\]"),
        ({"seeds": {"seed_fraction": 1.5}}, "seed.fraction 1.5"),
        ({"seeds": {"seed_fraction": float("nan")}}, r"seeds\.seed_fraction: expected a finite number, found nan"),
        ({"seeds": {"clusters": -1}}, "clusters -1"),
        ({"seeds": {"seed_policy": "best"}}, "seed.policy 'best': expected one of adaptive"),
        ({"seeds": {"previous_seeds": "none.parquet"}}, "previous.seeds none.parquet: no such file"),
        (
            {"seeds": {"previous_seeds": "x", "seed_policy": "random"}},
            "previous.seeds goes with seed.policy adaptive, not",
        ),
        ({"ranking": {"training": {"epochs": 0}}}, "epochs 0"),
        ({"encoder": {"encoder": "word2vec"}}, "encoder 'word2vec': unknown encoder.*lightgcn.*sasrec"),
        (
            {"encoder": {"encoder": "nowhere/encoder"}},
            "encoder 'nowhere/encoder': unknown encoder.*or the folder of a trained one",
        ),
        ({"encoder": {"encoder": "tests"}}, "config.json: no such file"),
        ({"seed": -1}, "seed -1"),
        ({"data": {"dataset": "netflix"}}, "netflix.*simulator"),
        ({"data": {"dataset": "ml-1m"}}, "data.dir"),
        ({"data": {"dataset": "ml-1m", "data_dir": "nowhere"}}, "nowhere: no such folder"),
        ({"rationales": {"rationale_engine": "oracle"}}, "rationale.engine 'oracle'.*recorded, template"),
        ({"rationales": {"rationale_engine": "recorded"}}, "recorded needs recorded_rationales, a file"),
        (
            {"rationales": {"rationale_engine": "recorded", "recorded_rationales": "none.jsonl"}},
            "none.jsonl: no such file",
        ),
        ({"rationales": {"rationale_engine": "vllm"}}, "rationale.engine vllm needs "),
        ({"rationales": {"rationale_engine": "openai", "language_model": "m"}}, "RELAND_OPENAI_BASE_URL"),
        (
            {"rationales": {"language_model": "scratch"}},
            "language.model scratch is loaded by rationale.engine vllm, not by template",
        ),
        (
            {"rationales": {"prompt_version": "oracle-v1"}},
            "'oracle-v1' is not known, expected one of direct-v1, numbered-v1",
        ),
        ({"rationales": {"shards": 0}}, "shards 0: expected 1 to 64"),
        ({"rationales": {"shards": 65}}, "shards 65: expected 1 to 64"),
        ({"rationales": {"attempts": -1}}, "attempts -1"),
        ({"rationales": {"max_calls": -1}}, "max.calls -1"),
        ({"rationales": {"max_calls": 3, "shards": 4}}, "max.calls 3: expected at least one for each of the 4 shards"),
        ({"rationales": {"max_cost": 5.0}}, "max.cost needs prices: set RELAND_PROMPT_PRICE"),
        ({"ranking": {"variants": "reland"}}, "variants.*id_only"),
        ({"ranking": {"variants": "id_only,reland,best"}}, "variants.*'best'"),
        ({"data": {"splits": "ratio,time"}}, "splits ratio,time: a run needs leave_one_out among them"),
        ({"data": {"splits": "leave_one_out,random"}}, "splits.*'random' is none of leave_one_out, ratio, time"),
        (
            {"data": {"validate_from": "2024-01-01"}},
            "validate.from is read where splits names time, not with splits leave_one",
        ),
        ({"data": {"splits": "leave_one_out,time", "test_from": "May"}}, "test.from 'May': expected an ISO date"),
        ({"data": {"previous": "nowhere"}}, "previous .*nowhere: expected a folder that `reland prepare` has written"),
        (
            {"ranking": {"backbone": "masknet"}},
            "backbone 'masknet': unknown backbone, expected one of .*gru4rec, .*sasrec",
        ),
        (
            {"ranking": {"backbone": "lightgcn"}},
            "backbone lightgcn: knows .* users .* can be compared but not released",
        ),
        (
            {"ranking": {"backbone": "duorec", "training": {"objective": "bpr"}}},
            "objective bpr: backbone duorec is not trained by it, expected cross_entropy or sampled_softmax",
        ),
        ({"ranking": {"backbone": "gru4rec", "model": {"heads": 4}}}, "heads 4: backbone gru4rec has no heads"),
        ({"data": {"dataset": ""}}, "dataset: expected a name or the path"),
        ({"data": {"data_dir": "tests"}}, "dataset simulator is read from no files, and data_dir tests is given"),
        ({"encoder": {"encoder": ""}}, "encoder: expected one of gat, lightgcn, sasrec or the folder of one"),
        ({"data": {"minimum_interactions": 0}}, "minimum.interactions 0: expected at least 1"),
    ],
)
def test_each_fault_names_its_field(settings, changes, message):
    with pytest.raises(InputError, match=message):
        check(settings, **changes)


def test_recorded_rationales_go_with_the_recorded_engine_and_one_task(settings, tmp_path):
    path = tmp_path / "recorded.jsonl"
    path.write_text(json.dumps({"user_id": "1", "model": "m", "preference_summary": "s", "recommendation": "r"}))
    with pytest.raises(InputError, match="recorded_rationales is read by rationale_engine recorded, not by template"):
        check(settings, rationales={"recorded_rationales": str(path)})
    # A shard to whose requests the file holds no answer would be taken for a file of other requests.
    recorded = {"rationale_engine": "recorded", "recorded_rationales": str(path)}
    check(settings, rationales=recorded)
    with pytest.raises(InputError, match="shards 2: a file of recorded answers is handed out by one task"):
        check(settings, rationales={**recorded, "shards": 2})


def test_no_triton_environment(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("RELAND_TRITON_ENVIRONMENT", str(tmp_path / "none"))
    with pytest.raises(EnvironmentFaultError, match=r"RELAND_TRITON_ENVIRONMENT.*make install"):
        check_machine(RunConfiguration(), Settings())


def test_a_folder_whose_name_the_local_runner_would_change(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "python3-home"))
    with pytest.raises(InputError, match="python3-home: the local runner replaces the text 'python3'"):
        check_machine(RunConfiguration(), Settings())


def test_the_pipelines_take_the_sections_with_their_defaults():
    defaults = RunConfiguration().values()
    pipelines = {name: pipeline.component_spec.inputs for name, pipeline in define_pipelines(LAPTOP).items()}
    assert {name: pipelines["reland"][name].default for name in defaults} == defaults
    for name in ("behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker"):
        taken = {parameter: spec.default for parameter, spec in (pipelines[name] or {}).items()}
        assert taken.pop("generation") == ""
        assert taken == {parameter: defaults[parameter] for parameter in taken}


def test_every_field_is_explained_and_every_name_is_an_option_of_one_section():
    options = [option for section in section_types().values() for option in options_of(section)]
    assert all(option.description.strip() for option in options)
    names = [option.name for option in options if option.name != "settings"]
    assert len(set(names)) == len(names)


def test_a_written_configuration_is_read_as_the_same(tmp_path):
    configuration = RunConfiguration.read(
        {
            "seed": 3,
            "encoder": {"encoder": "gat", "settings": {"dimension": 32, "entities": False}},
            "data": {"columns": 'user_id="a b"', "dataset": "ml-1m"},
            "ranking": {"training": {"learning_rate": 1e-3}},
        }
    )
    write_configuration(configuration, tmp_path / "config.toml")
    assert read_configuration(tmp_path / "config.toml", [], {}) == configuration
    assert set(configuration.changes()) == {"seed", "encoder", "data", "ranking"}


def test_options_win_over_assignments_and_those_over_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("seed = 1\n[ranking.training]\nepochs = 2\nbatch_size = 3\nlearning_rate = 0.1\n")
    assignments = ["seed=4", "ranking.training.epochs=5", "ranking.training.batch_size=6"]
    read = read_configuration(path, assignments, {"ranking": {"training": {"epochs": 7}}})
    training = read.ranking.training
    assert (read.seed, training.epochs, training.batch_size, training.learning_rate) == (4, 7, 6, 0.1)


def test_an_unknown_section_names_the_nearest_and_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[rankin]\nepochs = 2\n")
    with pytest.raises(InputError, match=r"rankin: there is no such section, did you mean ranking\? \(with .*config"):
        read_configuration(path, [], {})
    path.write_bytes(b"\xef\xbb\xbfseed = 3\n")  # as Windows editors write it
    assert read_configuration(path, [], {}).seed == 3
    path.write_bytes("[data]\ndataset = 'caf\xe9'\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"config\.toml: not readable as TOML, which is text in UTF-8"):
        read_configuration(path, [], {})
    for unreadable in (tmp_path, tmp_path / "a\0b"):
        with pytest.raises(InputError, match="not readable as TOML"):
            read_configuration(unreadable, [], {})
    path.write_text('dataset = "ml-1m"\n')
    with pytest.raises(InputError, match=r"dataset: there is no such section, did you mean data\.dataset\?"):
        read_configuration(path, [], {})
    path.write_text("[ranking\n")
    with pytest.raises(InputError, match=r"config\.toml: not readable as TOML"):
        read_configuration(path, [], {})


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder_takes_settings_of_its_own(settings, encoder):
    check(settings, encoder={"encoder": encoder, "settings": {"dimension": 8}})
    with pytest.raises(InputError, match=r"encoder\.settings\.dimensions: .* mean encoder\.settings\.dimension"):
        check(settings, encoder={"encoder": encoder, "settings": {"dimensions": 8}})


def test_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = RunConfiguration.read({"data": {"dataset": "./logs", "data_dir": "data"}}).arguments()
    assert arguments["data"]["dataset"] == str(tmp_path / "logs")
    assert arguments["data"]["data_dir"] == str(tmp_path / "data")
    assert arguments["rationales"]["recorded_rationales"] == ""
    assert RunConfiguration().arguments()["data"]["dataset"] == "simulator"
    trained = RunConfiguration.read({"encoder": {"encoder": "trained"}}).arguments()
    assert trained["encoder"]["encoder"] == str(tmp_path / "trained")
    assert RunConfiguration().arguments()["encoder"]["encoder"] == "lightgcn"


def test_a_folder_of_weights_becomes_absolute_and_the_id_of_a_model_stays(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    for model, expected in (
        ("weights", str(tmp_path / "weights")),
        ("lora:weights", f"lora:{tmp_path / 'weights'}"),
        ("owner/name", "owner/name"),
        ("lora:owner/name", "lora:owner/name"),
        ("scratch", "scratch"),
        ("", ""),
    ):
        configuration = RunConfiguration.read({"rationales": {"language_model": model}})
        assert configuration.arguments()["rationales"]["language_model"] == expected
