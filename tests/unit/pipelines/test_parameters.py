"""What is found wrong with a run before its first step."""

import dataclasses
import inspect
import json

import pytest

from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.recommenders.training import TrainingConfig
from pipelines.catalogue import define_pipelines
from pipelines.parameters import RunParameters, check_parameters
from pipelines.running.placement import LAPTOP
from reland.commands.run import run


@pytest.fixture
def settings(tmp_path, monkeypatch):
    python = tmp_path / "triton" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("RELAND_TRITON_ENVIRONMENT", str(tmp_path / "triton"))
    monkeypatch.delenv("RELAND_DATA_DIR", raising=False)
    return Settings()


def test_the_defaults_are_fine(settings):
    check_parameters(RunParameters(), settings)


def test_vllm_is_needed_by_the_engine_of_that_name_alone(settings, tmp_path):
    without = settings.model_copy(update={"vllm_python": tmp_path / "none"})
    check_parameters(RunParameters(), without)
    with pytest.raises(InputError, match=r"setting RELAND_VLLM_PYTHON: .*make vllm"):
        check_parameters(RunParameters(rationale_engine="vllm", language_model="scratch"), without)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed_fraction": 0.0}, r"--seed-fraction 0.0: expected a share in \(0, 1\]"),
        ({"seed_fraction": 1.5}, "--seed-fraction 1.5"),
        ({"seed_fraction": float("nan")}, "--seed-fraction nan"),
        ({"clusters": -1}, "--clusters -1"),
        ({"seed_policy": "best"}, "--seed-policy 'best': expected one of adaptive"),
        ({"previous_seeds": "none.parquet"}, "--previous-seeds none.parquet: no such file"),
        ({"previous_seeds": "x", "seed_policy": "random"}, "--previous-seeds goes with --seed-policy adaptive, not"),
        ({"epochs": 0}, "--epochs 0"),
        ({"encoder": "word2vec"}, "--encoder 'word2vec': unknown encoder.*lightgcn.*sasrec"),
        ({"encoder": "nowhere/encoder"}, "--encoder 'nowhere/encoder': unknown encoder.*or folders of trained ones"),
        ({"encoder": "tests"}, "config.json: no such file"),
        ({"seed": -1}, "seed -1"),
        ({"dataset": "netflix"}, "netflix.*simulator"),
        ({"dataset": "ml-1m"}, "data_dir"),
        ({"dataset": "ml-1m", "data_dir": "nowhere"}, "nowhere: no such folder"),
        ({"rationale_engine": "oracle"}, "--rationale-engine 'oracle'.*recorded, template"),
        ({"rationale_engine": "recorded"}, "--rationales FILE"),
        ({"rationale_engine": "recorded", "recorded_rationales": "none.jsonl"}, "none.jsonl: no such file"),
        ({"rationale_engine": "vllm"}, "--rationale-engine vllm needs --model"),
        ({"rationale_engine": "openai", "language_model": "m"}, "RELAND_OPENAI_BASE_URL"),
        ({"language_model": "scratch"}, "--model scratch is loaded by --rationale-engine vllm, not by template"),
        ({"prompt_version": "oracle-v1"}, "'oracle-v1' is not known, expected one of direct-v1, numbered-v1"),
        ({"shards": 0}, "--shards 0: expected 1 to 64"),
        ({"shards": 65}, "--shards 65: expected 1 to 64"),
        ({"attempts": -1}, "--attempts -1"),
        ({"max_calls": -1}, "--max-calls -1"),
        ({"max_calls": 3, "shards": 4}, "--max-calls 3: expected at least one for each of the 4 shards"),
        ({"max_cost": 5.0}, "--max-cost needs prices: set RELAND_PROMPT_PRICE"),
        ({"variants": "reland"}, "--variants.*id_only"),
        ({"variants": "id_only,reland,best"}, "--variants.*'best'"),
        ({"splits": "ratio,time"}, "--splits ratio,time: a run needs leave_one_out among them"),
        ({"splits": "leave_one_out,random"}, "splits.*'random' is none of leave_one_out, ratio, time"),
        ({"validate_from": "2024-01-01"}, "validate_from is read where splits names time, not with splits leave_one"),
        ({"splits": "leave_one_out,time", "test_from": "May"}, "test_from 'May': expected an ISO date"),
        ({"previous": "nowhere"}, "previous .*nowhere: expected a folder that `reland prepare` has written"),
        ({"minimum_interactions": 0}, "minimum_interactions 0: expected at least 1"),
    ],
)
def test_each_fault_names_its_option(settings, changes, message):
    with pytest.raises(InputError, match=message):
        check_parameters(dataclasses.replace(RunParameters(), **changes), settings)


def test_recorded_rationales_go_with_the_recorded_engine_and_one_task(settings, tmp_path):
    path = tmp_path / "recorded.jsonl"
    path.write_text(json.dumps({"user_id": "1", "model": "m", "preference_summary": "s", "recommendation": "r"}))
    with pytest.raises(InputError, match="--rationales is read by --rationale-engine recorded, not by template"):
        check_parameters(RunParameters(recorded_rationales=str(path)), settings)
    # A shard to whose requests the file holds no answer would be taken for a file of other requests.
    recorded = RunParameters(rationale_engine="recorded", recorded_rationales=str(path))
    check_parameters(recorded, settings)
    with pytest.raises(InputError, match="--shards 2: a file of recorded answers is handed out by one task"):
        check_parameters(dataclasses.replace(recorded, shards=2), settings)


def test_no_triton_environment(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("RELAND_TRITON_ENVIRONMENT", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"RELAND_TRITON_ENVIRONMENT.*make install"):
        check_parameters(RunParameters(), Settings())


def test_a_folder_whose_name_the_local_runner_would_change(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "python3-home"))
    with pytest.raises(InputError, match="python3-home: the local runner replaces the text 'python3'"):
        check_parameters(RunParameters(), Settings())


def test_the_command_and_the_pipelines_have_the_same_defaults():
    defaults = dataclasses.asdict(RunParameters())
    pipelines = {name: pipeline.component_spec.inputs for name, pipeline in define_pipelines(LAPTOP).items()}
    assert {name: pipelines["reland"][name].default for name in defaults} == defaults
    for name in ("behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker"):
        told = {parameter: spec.default for parameter, spec in (pipelines[name] or {}).items()}
        assert told.pop("generation") == ""
        assert told == {parameter: defaults[parameter] for parameter in told}
    command = {name: parameter.default for name, parameter in inspect.signature(run).parameters.items()}
    command["recorded_rationales"] = command.pop("rationales")
    command["language_model"] = command.pop("model")
    assert {name: command[name] for name in defaults} == defaults
    assert defaults["epochs"] == TrainingConfig().epochs


def test_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = RunParameters(dataset="./logs", data_dir="data", recorded_rationales="").arguments()
    assert arguments["dataset"] == str(tmp_path / "logs") and RunParameters().arguments()["dataset"] == "simulator"
    arguments |= RunParameters(encoder="trained", data_dir="data").arguments()
    assert arguments["encoder"] == str(tmp_path / "trained") and RunParameters().arguments()["encoder"] == "lightgcn"
    assert arguments["data_dir"] == str(tmp_path / "data") and arguments["recorded_rationales"] == ""


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
        assert RunParameters(language_model=model).arguments()["language_model"] == expected
