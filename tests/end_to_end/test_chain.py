"""The chain on the simulator: real Milvus Lite, Feast, MLflow and Triton, one process a step; then a second run."""

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

import httpx2
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from components.contracts import registry
from components.contracts.artifacts import (
    EMBEDDINGS_FILE,
    MATCHES_FILE,
    RATIONALES_FILE,
    REQUESTS_FILE,
    SEEDS_FILE,
)
from components.contracts.rollout_history import history_file, read_rollout_history
from components.contracts.serving import assign_arm
from components.foundation import mlflow_client
from components.foundation.settings import Settings
from components.recommenders.variants import VARIANTS
from feature_repo.store import open_feature_store, read_assignments, read_rationales
from pipelines.configuration import RunConfiguration
from reland.run_chain import run_chain
from serving.triton.server import free_ports

pytestmark = pytest.mark.slow  # `make run` runs the chain as well

RELAND = [sys.executable, "-c", "from reland.main import main; main()"]


@dataclass(frozen=True)
class Run:
    """A run of the chain, and what it left behind beside its artifacts."""

    settings: Settings
    summary: dict[str, Any]
    folder: Path
    progress: list[tuple[str, str]]
    temporary_files: list[Path]
    processes: set[psutil.Process]

    def artifact(self, step: str, name: str, file: str) -> Path:
        """A file of an artifact of this run, whose folder in `pipelines` is named after the time it began."""
        runs = sorted((self.settings.home / "pipelines").iterdir())
        return runs[int(self.summary["registry"]["version"]) - 1] / step / name / file


SMALL = {"dataset": "simulator:200"}
COMPARED = ("id_only", "item_features", "reland", "reland_shuffled", "reland_pool", "reland_contrastive", "alphafuse")


def run_once(values: dict[str, Any], temporary: Path) -> Run:
    settings, progress = Settings(), []
    before = set(psutil.Process().children(recursive=True))
    configuration = RunConfiguration.read(values)
    summary, folder = run_chain(configuration, settings, lambda step, message: progress.append((step, message)))
    after = set(psutil.Process().children(recursive=True))
    return Run(settings, summary, folder, progress, list(temporary.iterdir()), after - before)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory, triton_environment) -> Iterator[Path]:
    """The temporary folder of the runs, while RELAND_HOME is theirs."""
    importlib.import_module("feast.metrics")  # makes a folder when it is imported, for as long as this process runs
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAND_HOME", str(tmp_path_factory.mktemp("reland") / "home"))
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("http_proxy", "http://127.0.0.1:9")  # nothing of the chain is reached through a proxy
        patch.delenv("no_grpc_proxy")
        yield temporary


@pytest.fixture(scope="module")
def first(temporary) -> Run:
    """The smallest run in which every step has something to do."""
    return run_once({"data": SMALL, "ranking": {"training": {"epochs": 1}}}, temporary)


@pytest.fixture(scope="module")
def second(first, temporary) -> Run:
    """Another in the same home, with the same seed, variants of each kind, and its requests answered in shards."""
    ranking = {"variants": ",".join(COMPARED), "training": {"epochs": 1}}
    return run_once({"data": SMALL, "ranking": ranking, "rationales": {"shards": 2}}, temporary)


def test_the_summary_has_what_the_design_says(first):
    summary, folder = first.summary, first.folder
    assert summary == json.loads((folder / "summary.json").read_text())
    users = summary["dataset"]["after_k_core"]["users"]
    assert summary["dataset"]["name"] == "simulator"
    # Of every user the last visit is tested, which may be of several rows.
    assert users <= summary["dataset"]["splits"]["leave_one_out"]["test"] < 2 * users
    assert summary["seeds"]["count"] == round(0.1 * users) == summary["pool"]["size"]
    assert summary["seeds"]["representative"] == -(-summary["seeds"]["count"] // 2)
    assert summary["generation_cost"]["engine"] == "template"
    assert "no language model" in summary["generation_cost"]["model"]
    assert summary["generation_cost"]["inferences"] == summary["seeds"]["count"]
    core = summary["dataset"]["after_k_core"]
    methods = {name: method["calls"] for name, method in summary["generation_cost"]["methods"].items()}
    assert methods["kar"] == core["users"] + core["items"] and methods["slim"] == core["interactions"]
    assert summary["matching"]["users"] == users and summary["matching"]["coverage"] == 1.0
    assert summary["ranking"]["backbone"] == "sasrec"
    assert summary["ranking"]["protocol"] == "leave-one-out, full ranking, no item left out (recbole)"
    for variant in ("id_only", "reland"):
        assert set(summary["ranking"][variant]) == {"hr@10", "ndcg@10"}
    assert summary["registry"] == {
        "model": "reland-ranker",
        "version": "1",
        "alias": "champion",
        "parent_generation": None,
    }
    assert summary["features"]["pushed_users"] == users and summary["features"]["lookup_verified"] is True
    assert summary["release"]["triton_version"] == 1 and summary["release"]["smoke_request_ok"] is True
    assert "no language model" in summary["release"]["example"]["explanation"]
    assert summary["seconds"]["total"] >= sum(summary["seconds"]["steps"].values()) * 0.9


def test_progress_is_reported_step_by_step(first):
    steps = first.summary["seconds"]["steps"]
    assert list(dict.fromkeys(step for step, _ in first.progress)) == list(steps)
    assert len(steps) == 26
    assert any(", ndcg@10 " in message for _, message in first.progress)
    assert (first.folder / "log.txt").stat().st_size > 10_000


def test_no_prompt_names_a_user_and_every_match_is_the_most_similar_seed(first):
    requests = first.artifact("build-prompts", "requests", REQUESTS_FILE).read_text()
    seeds = pq.read_table(first.artifact("sample-seeds", "seeds", SEEDS_FILE)).column("user_id").to_pylist()
    assert seeds and not [user for user in seeds if user in requests]
    embeddings = pq.read_table(first.artifact("embed-users", "embeddings", EMBEDDINGS_FILE))
    users = embeddings.column("user_id").to_pylist()
    vectors = np.stack(embeddings.column("vector").to_numpy(zero_copy_only=False))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors[[users.index(seed) for seed in seeds]].T  # Eq. 3
    matches = pq.read_table(first.artifact("match-users", "matches", MATCHES_FILE)).to_pylist()
    assert [row["user_id"] for row in matches] == users
    for row, to_seeds in zip(matches, similarity, strict=True):
        assert to_seeds[seeds.index(row["seed_user_id"])] == pytest.approx(to_seeds.max(), abs=1e-5)
        assert row["similarity"] == pytest.approx(to_seeds.max(), abs=1e-4)


def test_feast_serves_what_was_matched(first):
    assert_feast_serves_the_matches_of(first)


def assert_feast_serves_the_matches_of(run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAND_HOME", str(run.settings.home))
        store = open_feature_store(run.settings)
    matches = pq.read_table(run.artifact("match-users", "matches", MATCHES_FILE)).to_pylist()[:20]
    assignments = read_assignments(store, run.summary["features"]["slot"], [row["user_id"] for row in matches])
    assert {user: assignment.rationale_ids for user, assignment in assignments.items()} == {
        row["user_id"]: [row["rationale_id"]] for row in matches
    }
    explanations = read_rationales(store, [row["rationale_id"] for row in matches])
    assert all("no language model" in row.explanation for row in explanations.values())


def test_nothing_is_left_running_and_no_temporary_file_stays(first):
    assert_nothing_is_left_of(first)


def assert_nothing_is_left_of(run: Run) -> None:
    assert not run.temporary_files and not run.processes
    assert isinstance(print, BuiltinFunctionType)  # shards overlap, each with a print of its own
    # Tests beside this one run servers too; what is left over is named after a process that is gone.
    segments = [path.name for path in Path("/dev/shm").glob("reland_triton_*")]
    assert not [name for name in segments if not psutil.pid_exists(int(name.split("_")[2]))]
    with sqlite3.connect(run.settings.home / "mlflow" / "mlflow.db") as database:
        versions = database.execute("select count(*) from model_versions where name = 'reland-ranker'").fetchone()
    assert versions == (int(run.summary["registry"]["version"]),)


def test_equal_seeds_give_equal_seed_users_prompts_and_matches_byte_for_byte(first, second):
    """Also when the requests are answered in shards."""
    for step, name, file in (
        ("sample-seeds", "seeds", SEEDS_FILE),
        ("build-prompts", "requests", REQUESTS_FILE),
        ("validate-rationales", "rationales", RATIONALES_FILE),
        ("match-users", "matches", MATCHES_FILE),
    ):
        assert first.artifact(step, name, file).read_bytes() == second.artifact(step, name, file).read_bytes(), step


def test_the_second_run_is_a_candidate_beside_the_champion(first, second):
    home, summary = second.settings.home, second.summary
    assert summary["registry"]["alias"] == "candidate" and summary["registry"]["version"] == "2"
    assert summary["registry"]["parent_generation"] == first.summary["generation"]
    assert (first.summary["features"]["slot"], summary["features"]["slot"]) == ("blue", "green")
    assert mlflow_client.aliases(mlflow_client.open_registry(second.settings), registry.RANKER_MODEL) == {
        "champion": "1",
        "candidate": "2",
    }
    versions = {path.name for path in (home / "model_repository" / "reland_ranker").iterdir() if path.is_dir()}
    assert versions == {"1", "2"}
    manifest = json.loads((second.folder / "manifest.json").read_text())
    assert manifest["generation"] == summary["generation"]
    assert manifest["parent_generation"] == first.summary["generation"]
    assert manifest["milvus_collection"] == summary["pool"]["collection"] and manifest["feast_slot"] == "green"
    assert all(value for value in manifest.values())
    for run in (first, second):
        assert_feast_serves_the_matches_of(run)
    assert_nothing_is_left_of(second)


def test_variants_of_each_kind_were_measured_and_compared(second):
    ranking = second.summary["ranking"]
    assert set(COMPARED) <= set(ranking)
    assert set(ranking["comparisons"]) == set(COMPARED)
    for name, compared in ranking["comparisons"].items():
        assert set(compared) == set(VARIANTS[name].against) & set(COMPARED)
    assert set(ranking["comparisons"]["reland"]) == {"item_features", "reland_shuffled"}
    for comparison in [one for of_variant in ranking["comparisons"].values() for one in of_variant.values()]:
        assert comparison["verdict"] in ("helps", "harms", "no significant difference")


def test_a_terminated_run_ends_its_step_says_so_and_leaves_nothing(tmp_path):
    """In a process of its own, as a user would end it."""
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", "from reland.main import main; import sys; sys.argv[1:] = ['run']; main()"],
        env={**os.environ, "RELAND_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "prepare-data" in line and "done" in line:
            break
    steps = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130 and error == "reland: interrupted\n"
    assert not psutil.wait_procs(steps, timeout=60)[1]
    assert not list((tmp_path / "temporary").iterdir())
    assert not (tmp_path / "home" / "runs").exists()


class Users:
    """Users of the gateway who ask without a pause, in a thread; every answer is kept."""

    def __init__(self, client: httpx2.Client, users: list[str]):
        self.answers: list[dict] = []
        self._client, self._users = client, users
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Users":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set():
            for user in self._users:
                response = self._client.post("/v1/recommend", json={"user_id": user, "count": 5})
                self.answers.append({"user": user, "status": response.status_code, **response.json()})
                time.sleep(0.01)

    def wait_for(self, served: Callable[[str], tuple[str, int]]) -> list[dict]:
        """The answers of a round of all users, once each is of the arm and version that `served` says."""
        deadline = time.monotonic() + 300
        begun = len(self.answers)
        while True:
            newest = self.answers[max(begun, len(self.answers) - len(self._users)) :]
            wrong = [a for a in newest if (a["arm"], a["model_version"]) != served(a["user"])]
            if len(newest) == len(self._users) and not wrong:
                return newest
            assert time.monotonic() < deadline and self._thread.is_alive(), wrong
            time.sleep(0.05)


@contextmanager
def served(port: int, users: list[str]) -> Iterator[Users]:
    """`reland serve`, and users who ask it."""
    serve = subprocess.Popen([*RELAND, "serve"], env={**os.environ, "RELAND_GATEWAY_PORT": str(port)})
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False) as client:
            deadline = time.monotonic() + 300
            while not is_ready(client):
                assert serve.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
            with Users(client, users) as asking:
                yield asking
    finally:
        serve.send_signal(signal.SIGTERM)
        serve.wait(120)


def is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
def rollout(monkeypatch) -> Callable[..., None]:
    """`rollout(*arguments)`: the command, in this process, which has imported what a new one imports for seconds."""

    def invoke(*arguments: str) -> None:
        from reland.main import main

        monkeypatch.setattr(sys, "argv", ["reland", "rollout", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code

    return invoke


def test_a_release_is_started_ramped_and_promoted_behind_the_live_gateway(second, rollout, tmp_path, monkeypatch):
    settings = second.settings
    monkeypatch.setenv("RELAND_ROLLOUT_GRACE_SECONDS", "2.5")
    monkeypatch.setenv("RELAND_GATEWAY_BUDGET_MS", "10000")  # which step answers is tested, not how fast
    matches = pq.read_table(second.artifact("match-users", "matches", MATCHES_FILE))
    users = matches["user_id"].to_pylist()[:60]
    allowed, outside = users[0], set(users[50:])
    (tmp_path / "allowed").write_text(allowed + "\n")
    (tmp_path / "segment").write_text("\n".join(users[:50]))
    (port,) = free_ports(0)

    def dealt(user: str) -> tuple[str, int]:
        """By the last record that was desired."""
        record = read_rollout_history(history_file(settings))[-1].record
        arm = assign_arm(record, user, takes_part=user not in outside, allowed=user == allowed)
        return arm.name, arm.version

    with served(port, users) as asking:
        asking.wait_for(lambda user: ("champion", 1))
        lists = ["--allow-list", str(tmp_path / "allowed"), "--segment", str(tmp_path / "segment")]
        rollout("start", "--weight", "0.2", *lists)
        started = asking.wait_for(dealt)
        rollout("ramp", "0.4", "--reason", "looks well")
        ramped = asking.wait_for(dealt)
        rollout("guard", "--seconds", "1")

        killed = subprocess.Popen([*RELAND, "rollout", "promote"])
        while read_rollout_history(history_file(settings))[-1].action != "promote":
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        rollout("resume")
        promoted = asking.wait_for(lambda user: ("champion", 2))
    assert {answer["status"] for answer in asking.answers} == {200}
    for answers in (started, ramped):
        assert {answer["arm"] for answer in answers} == {"champion", "control", "candidate", "allowed"}
    assert mlflow_client.aliases(mlflow_client.open_registry(settings), registry.RANKER_MODEL) == {"champion": "2"}
    # The arms were served from both slots at once, each with the features of its generation.
    ramp = read_rollout_history(history_file(settings))[1]
    assert {arm.slot for arm in ramp.arms} == {"blue", "green"}
    assert {answer["ladder_step"] for answer in [*ramped, *promoted]} == {"fresh"}
