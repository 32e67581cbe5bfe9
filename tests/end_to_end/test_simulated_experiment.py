"""`reland experiment simulate` as a user runs it: after a run, beside `reland serve`, over real HTTP and Triton."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from components.contracts.artifacts import MANIFEST_FILE
from components.contracts.serving import (
    EVENTS_FOLDER,
    EXPOSURES,
    EXPOSURES_FOLDER,
    OUTCOME_EVENTS,
    log_folder,
    read_log,
    read_rollout,
    rollout_file,
)
from components.foundation.settings import Settings
from components.marketplace.sessions import DAY_SECONDS
from serving.triton.server import free_ports

pytestmark = pytest.mark.services  # a whole run and everything that serves it

RELAND = [sys.executable, "-c", "from reland.main import main; main()"]
START_SECONDS, END_SECONDS = 240.0, 120.0


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def started(arguments, log, environment):
    """A command in a process of its own, whose Ctrl-C is as in a terminal."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [*RELAND, *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory, triton_environment):
    """Variables under which a small market has been run and is served."""
    folder = tmp_path_factory.mktemp("experiment")
    (port,) = free_ports(0)
    variables = {
        **os.environ,
        "RELAND_HOME": str(folder / "home"),
        "RELAND_GATEWAY_PORT": str(port),
        # This machine may be busy with other things: what is tested is what answers, not how fast.
        "RELAND_GATEWAY_BUDGET_MS": "10000",
        "RELAND_ROLLOUT_GRACE_SECONDS": "2",
        "RELAND_TRITON_ENVIRONMENT": str(triton_environment),
    }
    run = [*RELAND, "run", "--dataset", "simulator:200", "--epochs", "1", "--json"]
    subprocess.run(run, env=variables, check=True, capture_output=True, timeout=500)
    serve = started(["serve"], folder / "serve.txt", variables)
    try:
        wait_until(
            lambda: serve.poll() is not None or b"serving: " in (folder / "serve.txt").read_bytes(), START_SECONDS
        )
        assert serve.poll() is None, (folder / "serve.txt").read_text()
        yield variables
    finally:
        serve.send_signal(signal.SIGINT)
        serve.wait(END_SECONDS)


@pytest.fixture
def home(environment, monkeypatch):
    """The settings, also of commands that `reland` runs in this process."""
    for name, value in environment.items():
        if name.startswith("RELAND_"):
            monkeypatch.setenv(name, value)
    return Settings()


def simulate(environment, *arguments):
    command = [*RELAND, "experiment", "simulate", *arguments, "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_reland_against_id_only_finds_what_is_true(environment, home, tmp_path):
    outcome = simulate(environment, "--against", "id_only", "--days", "2", "--output", str(tmp_path / "out"))

    assert outcome.returncode == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found == json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert found["versions"] == {"control": 1, "candidate": 2} and found["comparison"]["treatment"] == "control"
    assert found["lists"] > 100 and found["clicks"] > 100 and not found["interrupted"]
    assert found["lost"] == 0 and found["agreement"] == 1.0
    assert all(steps["fresh"] > 0 for steps in found["steps"].values())
    assert len(found["by_day"]) == found["days"] == 2
    for lifts in (found["lifts"], *found["by_day"].values()):
        ctr = lifts["ctr"]
        low, high, lift, true = (math.log1p(ctr[name]) for name in ("low", "high", "lift", "true_lift"))
        assert low < lift < high and abs(lift - true) < 2 * (high - low)  # four standard errors are one width
        assert ctr["covered"] == (low <= true <= high)

    # What is analysed are the gateway's own logs, moved to the simulated days.
    logged = read_log(log_folder(home, EXPOSURES_FOLDER), EXPOSURES)
    copied = read_log(tmp_path / "out" / EXPOSURES_FOLDER, EXPOSURES)
    assert len(copied) == found["lists"] == len(logged)
    assert logged.drop(["time"]).sort_by("request_id").equals(copied.drop(["time"]).sort_by("request_id"))
    spans = [max(times) - min(times) for times in (table["time"].to_pylist() for table in (logged, copied))]
    assert spans[0].total_seconds() < DAY_SECONDS < spans[1].total_seconds()
    events = read_log(tmp_path / "out" / EVENTS_FOLDER, OUTCOME_EVENTS)
    assert len(events) == found["clicks"] + found["conversions"]

    # The rollout that was started for it has ended, and the champion serves everybody.
    (champion,) = read_rollout(rollout_file(home)).arms
    assert (champion.name, champion.version, champion.weight) == ("champion", 1, 1.0)


def test_a_rollout_is_simulated_as_it_runs_and_ctrl_c_leaves_what_was_served(environment, home, tmp_path):
    """With the version that the test above released."""
    rollout = [*RELAND, "rollout", "start", "--version", "2", "--weight", "0.4"]
    subprocess.run(rollout, env=environment, check=True, capture_output=True, timeout=120)
    log = tmp_path / "log"
    output = ["--days", "10", "--visits", "5", "--output", str(tmp_path / "out")]
    process = started(["experiment", "simulate", *output], log, environment)
    wait_until(lambda: process.poll() is not None or b"day 1 of 10" in log.read_bytes(), START_SECONDS)
    process.send_signal(signal.SIGINT)

    assert process.wait(END_SECONDS) == 130
    assert "reland: interrupted, on day" in log.read_text() and str(tmp_path / "out") in log.read_text()
    found = json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert found["interrupted"] and found["days"] < 10 and found["lists"] > 0
    assert found["comparison"]["treatment"] == "candidate" and found["lost"] == 0
    assert {arm.name for arm in read_rollout(rollout_file(home)).arms} == {"control", "champion", "candidate"}
    subprocess.run([*RELAND, "rollout", "abort"], env=environment, check=True, capture_output=True, timeout=120)


def test_what_cannot_be_simulated_is_one_clear_line(environment, reland, home):
    for arguments, part in [
        ((), "rollout.json: has no arm 'candidate', only champion"),
        (("--against", "oracle"), "--against oracle: expected id_only"),
        (("--days", "15"), "--days 15: the market's truth covers 1 to 14"),
        (("--visits", "0"), "--visits 0: expected more than 0"),
        (("--truth", str(home.home)), "config.json: no such file"),
        (("--output", str(home.home)), "exists already"),
        (("--gateway", "http://127.0.0.1:9"), "http://127.0.0.1:9: no gateway answers there"),
    ]:
        outcome = reland("experiment", "simulate", *arguments)
        assert (
            outcome.status == (3 if "--gateway" in arguments else 2)
            and part in outcome.error
            and outcome.error.count("\n") == 1
        ), outcome.error
    manifests = list(home.home.glob(f"pipelines/*/summarize/summary/{MANIFEST_FILE}"))
    assert len(manifests) == 1 and not list(home.home.glob("experiments/*"))
