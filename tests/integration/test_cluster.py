"""`reland submit` and `schedule`: the real `kfp.Client` against a stub that checks bodies by the API's schema."""

import json
import sys
import time

import pytest

import pipelines.running.kubeflow
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings
from pipelines.catalogue import define_pipelines
from pipelines.configuration import RunConfiguration
from pipelines.running.compilation import compile_pipelines
from pipelines.running.kubeflow import Kubeflow, Schedule, parse_parameters
from pipelines.running.placement import LAPTOP
from tests.integration.kubeflow_stub import kubeflow_stub

PIPELINES = ("reland", "behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker", "benchmark")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Of each pipeline its definition and the file it is compiled into."""
    paths = compile_pipelines(tmp_path_factory.mktemp("compiled"), define_pipelines(LAPTOP))
    defined = define_pipelines(LAPTOP)
    return {path.stem: (defined[path.stem], path) for path in paths}


@pytest.fixture
def stub(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))  # kfp keeps a context file there
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with kubeflow_stub() as stub:
        monkeypatch.setenv("RELAND_KFP_ENDPOINT", stub.url)
        yield stub


@pytest.fixture
def reland(monkeypatch, capfd):
    """`reland(*arguments)` returns (status, output, error)."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        from reland.main import main

        monkeypatch.setattr(sys, "argv", ["reland", *arguments])
        capfd.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capfd.readouterr()

    return invoke


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_can_be_submitted_with_its_defaults_alone(stub, compiled, name):
    kubeflow = Kubeflow(Settings())
    version = kubeflow.upload(*compiled[name])
    assert version.is_new and version.pipeline == name
    kubeflow.submit(version, "reland", f"{name} now", parse_parameters(compiled[name][0], []))
    (run,) = stub.kept["runs"]
    assert run["display_name"] == f"{name} now" and run["runtime_config"] == {"parameters": {}}
    assert stub.kept["versions"][0]["pipeline_spec"]["pipelineInfo"]["name"] == name
    # Not a field of what a client of one user may send.
    assert "namespace" not in stub.kept["pipelines"][0] and "namespace" not in stub.kept["experiments"][0]


def test_the_same_content_is_uploaded_once_and_other_content_again(stub, compiled, tmp_path):
    kubeflow = Kubeflow(Settings())
    first = kubeflow.upload(*compiled["reland"])
    again = Kubeflow(Settings()).upload(*compiled["reland"])
    assert (again.version_id, again.name, again.is_new) == (first.version_id, first.name, False)
    other = tmp_path / "reland.yaml"
    pipeline, package = compiled["reland"]
    other.write_text(package.read_text().replace("reland/data:0.1.0", "reland/data:0.2.0"))
    assert kubeflow.upload(pipeline, other).is_new
    assert len(stub.kept["pipelines"]) == 1 and len(stub.kept["versions"]) == 2
    assert stub.kept["versions"][0]["description"].startswith("code ")


def test_a_run_is_submitted_followed_and_told_as_json(stub, reland):
    stub.states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    arguments = ("-O", "ranking.training.epochs=3", "-O", "encoder.encoder=gat", "--parameter", "seed=7")
    arguments += ("--wait", "--json")
    status, output, error = reland("submit", "reland", *arguments, "--experiment", "trials")
    answer = json.loads(output)
    assert status == 0 and answer["state"] == "SUCCEEDED" and answer["experiment"] == "trials"
    assert error.splitlines() == ["PENDING", "RUNNING", "SUCCEEDED"]
    (run,) = stub.kept["runs"]
    assert run["run_id"] == answer["run_id"]
    expected = RunConfiguration.read({"encoder": {"encoder": "gat"}, "ranking": {"training": {"epochs": 3}}})
    assert run["runtime_config"]["parameters"] == {**expected.changes(), "seed": 7}
    assert set(run["runtime_config"]["parameters"]) == {"encoder", "ranking", "seed"}


def test_a_run_that_fails_is_a_failure_of_the_command_in_one_line(stub, reland):
    stub.states = ["RUNNING", "FAILED"]
    status, output, error = reland("submit", "rationale-refresh", "--wait")
    assert status == 1 and "RUNNING\nFAILED\n" in output
    assert error.count("\n") == 1 and "ended as FAILED (failed: train-encoder)" in error


@pytest.mark.slow
def test_schedules_have_the_cadence_of_the_design_and_are_kept_replaced_and_removed(stub, reland):
    for pipeline in ("behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker"):
        assert reland("schedule", pipeline)[0] == 0
    crons = {run["display_name"]: run["trigger"]["cron_schedule"]["cron"] for run in stub.kept["recurringruns"]}
    assert crons == pipelines.running.kubeflow.CADENCE
    for run in stub.kept["recurringruns"]:
        assert run["no_catchup"] and run["max_concurrency"] == "1" and run["status"] == "ENABLED"

    # Said again, nothing changes; said otherwise, the new one takes the place of the old one.
    before = [run["recurring_run_id"] for run in stub.kept["recurringruns"]]
    status, output, _ = reland("schedule", "rationale-refresh")
    assert status == 0 and "scheduled as before" in output
    assert [run["recurring_run_id"] for run in stub.kept["recurringruns"]] == before
    status, output, _ = reland("schedule", "fusion-ranker", "--cron", "0 30 7 * * *", "--catch-up", "-p", "seed=4")
    assert status == 0 and "scheduled: 0 30 7 * * * catching up seed=4" in output
    (changed,) = [run for run in stub.kept["recurringruns"] if run["display_name"] == "fusion-ranker"]
    assert changed["trigger"]["cron_schedule"]["cron"] == "0 30 7 * * *" and not changed["no_catchup"]
    assert changed["runtime_config"]["parameters"] == {"seed": 4}

    listed = json.loads(reland("schedule", "--json")[1])
    assert [each["pipeline"] for each in listed] == sorted(crons)
    assert reland("schedule", "reasoning-pool", "--remove")[0] == 0
    assert len(stub.kept["recurringruns"]) == 3
    status, _, error = reland("schedule", "reasoning-pool", "--remove")
    assert status == 2 and "not scheduled in the experiment reland" in error


def test_a_schedule_that_is_there_twice_is_left_once(stub, compiled):
    kubeflow = Kubeflow(Settings())
    version = kubeflow.upload(*compiled["fusion-ranker"])
    wanted = Schedule("fusion-ranker", "0 0 6 * * *", False, version.version_id, {})
    assert kubeflow.schedule(wanted, version, "reland")
    stub.kept["recurringruns"].append({**stub.kept["recurringruns"][0], "recurring_run_id": "another"})
    assert kubeflow.schedule(wanted, version, "reland")
    assert len(stub.kept["recurringruns"]) == 1 and kubeflow.schedules("reland") == [wanted]

    # Another service account is another schedule; none that is named is whichever it has.
    assert kubeflow.schedule(wanted, version, "reland", "trainer")
    assert [run["service_account"] for run in stub.kept["recurringruns"]] == ["trainer"]
    assert not kubeflow.schedule(wanted, version, "reland", "trainer")
    assert not kubeflow.schedule(wanted, version, "reland")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("submit", "relnd"), "'relnd': no such pipeline, expected one of reland, "),
        (("submit", "reland", "-p", "sed=3"), "--parameter sed: reland has no such parameter, it has data, encoder, "),
        (("submit", "reland", "-p", "seed=many"), "--parameter seed=many: expected number integer"),
        (("submit", "reland", "-p", "seed"), "--parameter seed: expected NAME=VALUE"),
        (("submit", "reland", "-O", "ranking.epoch=3"), "ranking.epoch: there is no such parameter, did you mean "),
        (("submit", "reland", "--config", "none.toml"), "none.toml: no such file"),
        (("submit", "reland", "--node-selector", "pool"), "--node-selector pool=: expected KEY=VALUE"),
        (("submit", "reland", "--retries", "-1"), "--retries -1: expected a number of further attempts"),
        (("schedule", "reland"), "--cron: reland is run on demand, expected six fields"),
        (("schedule", "fusion-ranker", "--cron", "0 6 * * *"), "--cron 0 6 * * *: expected six fields"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_one_line_and_nothing_is_sent(stub, reland, arguments, message):
    status, _, error = reland(*arguments)
    assert status == 2 and error.count("\n") == 1 and message in error
    assert not stub.requests


def test_the_token_is_sent_from_the_setting_or_read_anew_from_its_file(stub, compiled, monkeypatch, tmp_path):
    stub.token = "first"
    with pytest.raises(InputError, match=r"does not know who asks \(401 .*see RELAND_KFP_TOKEN and"):
        Kubeflow(Settings())
    monkeypatch.setenv("RELAND_KFP_TOKEN", "first")
    Kubeflow(Settings()).upload(*compiled["reland"])
    monkeypatch.delenv("RELAND_KFP_TOKEN")

    path = tmp_path / "token"
    monkeypatch.setenv("RELAND_KFP_TOKEN_FILE", str(path))
    with pytest.raises(InputError, match=r"setting RELAND_KFP_TOKEN_FILE: .*no such file"):
        Kubeflow(Settings())
    path.write_text("first")
    kubeflow = Kubeflow(Settings())
    stub.token = "second"  # as a cluster renews it
    path.write_text("second")
    assert not kubeflow.upload(*compiled["reland"]).is_new


def test_the_namespace_goes_with_every_request_and_another_is_refused(stub, compiled, monkeypatch):
    stub.namespaces = {"team"}
    with pytest.raises(InputError, match=r"setting RELAND_KFP_NAMESPACE: not set, but .* has many users"):
        Kubeflow(Settings())
    monkeypatch.setenv("RELAND_KFP_NAMESPACE", "others")
    with pytest.raises(InputError, match=r"does not allow it in the namespace others \(403 User is not authorized"):
        Kubeflow(Settings()).upload(*compiled["reland"])
    monkeypatch.setenv("RELAND_KFP_NAMESPACE", "team")
    kubeflow = Kubeflow(Settings())
    kubeflow.submit(kubeflow.upload(*compiled["reland"]), "reland", "run", {})
    assert stub.kept["pipelines"][0]["namespace"] == stub.kept["experiments"][0]["namespace"] == "team"


def test_an_api_that_is_busy_is_asked_again_but_nothing_is_written_twice(stub, compiled):
    stub.busy = 3
    kubeflow = Kubeflow(Settings())
    version = kubeflow.upload(*compiled["reland"])
    kubeflow.submit(version, "reland", "run", {})
    stub.busy = 4
    with pytest.raises(EnvironmentFaultError, match="Kubeflow Pipelines answers 503 upstream connect error"):
        kubeflow.schedules("reland")

    answer = stub.answer

    def busy_when_written(method, *rest):
        stub.busy = int(method == "POST")
        return answer(method, *rest)

    stub.answer = busy_when_written
    with pytest.raises(EnvironmentFaultError, match="503"):
        kubeflow.submit(version, "reland", "run", {})
    assert stub.requests["POST", "/runs"] == 2 and len(stub.kept["runs"]) == 1


def test_an_endpoint_that_is_not_there_or_no_address_is_told_in_one_line(monkeypatch, reland, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for endpoint, expected_status, message in (
        ("http://127.0.0.1:9", 3, "setting RELAND_KFP_ENDPOINT: http://127.0.0.1:9 cannot be reached ("),
        ("ml-pipeline:8888", 2, "setting RELAND_KFP_ENDPOINT: expected http:// or https:// (found 'ml-pipeline:8888')"),
        ("", 2, "setting RELAND_KFP_ENDPOINT: not set"),
    ):
        monkeypatch.setenv("RELAND_KFP_ENDPOINT", endpoint)
        status, _, error = reland("schedule")
        assert status == expected_status and error.count("\n") == 1 and message in error


def test_the_stub_refuses_what_the_schema_does_not_have(stub, compiled):
    """Or it would prove nothing."""
    kubeflow = Kubeflow(Settings())
    version = kubeflow.upload(*compiled["reland"])
    for call in (
        lambda: kubeflow.submit(version, "reland", 5, {}),
        lambda: kubeflow.submit(version, "reland", "run", {"unknown": 1}),
        lambda: kubeflow.submit(version, "reland", "run", [1]),
        lambda: kubeflow.schedule(Schedule("reland", 7, False, "", {}), version, "reland"),
    ):
        with pytest.raises(InputError, match="answers 400"):
            call()
