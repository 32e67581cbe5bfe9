"""Kills a job of the rationale factory at random moments, and counts what was asked twice and what was lost.

    python -m tests.performance.kill_trials [--quick] [--engine openai|vllm] --json FILE

The job is the step `generate_rationales` on 2,000 seed users, in a process of its own. It is killed with SIGKILL and
started again until it has been killed as often as is asked for, and then runs to its end. With the engine `openai` it
is killed 90 times; the answers come from a stub server in this process, which notes what it is asked, and every
twentieth is invalid at first, so that it is asked for again. With `vllm` it is killed 10 times, and the answers come
from real vLLM (`RELAND_VLLM_PYTHON`) with a model of random weights, which is cut off after a few tokens.

An answer is finished when its line is in the ledger. Asked twice: requests that were asked although their answer was
finished when the process was killed. Lost: answers that were finished then and are not in the ledger at the end. What
was under way at a kill has to be asked again; it is counted apart.

With `--engine`, what FILE holds of the other engine's trials stays there.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, RESPONSES_FILE, SEEDS_FILE
from components.contracts.batch_format import (
    Request,
    canonical_json,
    make_request,
    read_answer,
    read_lines,
    write_lines,
)
from components.contracts.language_model import LanguageModel, write_language_model
from components.contracts.tables import INTERACTIONS, ITEMS, SEEDS, write_table
from components.foundation.files import read_json, write_json
from components.language_model.batch_exchange import ask_again
from components.language_model.ledger import Ledger
from components.rationale_generation.request_building import (
    SeedRequests,
    build_seed_requests,
    read_seed_requests,
    write_seed_requests,
)
from tests.contract.chat_endpoint import CONTENT, Reply, answer, chat_endpoint
from tests.performance.report import Figure, write_report
from tests.tiny_language_model import write_tiny_language_model

ATTEMPTS = {"openai": 1, "vllm": 0}
VLLM_TOKENS = 16
ITEMS_IN_ALL = 300
HISTORY = 6
ASKED_FOLDER = "asked"


@dataclass
class Job:
    """A folder with all that the step reads, and a ledger."""

    folder: Path
    engine: str
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.performance.kill_trials", "--job", str(self.folder), "--engine", self.engine],
            env={**os.environ, "RELAND_HOME": str(self.folder), "TMPDIR": str(self.folder), **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "errors.txt").open("a"),
        )

    def lines(self) -> int:
        """Ends of lines in the ledger, read while another process writes."""
        return sum(path.read_bytes().count(b"\n") for path in (self.folder / "ledger").glob("*.tsv"))

    def finished(self) -> set[str]:
        """The requests whose answers are in the ledger, by the reader that the job itself uses."""
        requests = read_seed_requests(self.folder / "requests").requests
        again = [ask_again(request, 1) for request in requests]
        with Ledger(self.folder / "ledger") as ledger:
            return set(ledger.read([request["custom_id"] for request in (*requests, *again)]))


@dataclass
class Outcome:
    """What `kill_again_and_again` counts."""

    requests: int
    kills: int = 0
    kills_while_answers_came: int = 0
    finished_at_kills: int = 0  # answers that were in the ledger, summed over the kills
    asked_twice: int = 0
    lost: int = 0
    unanswered: int = 0
    handed_over: int = 0  # requests: to the stub server, or to vLLM in files
    finished: int = 0


def make_job(folder: Path, engine: str, users: int, model: LanguageModel) -> Job:
    """Users with histories of their own among a few hundred items, so that every prompt is another one."""
    generator = np.random.default_rng(0)
    rows, seeds = [], []
    for user in range(users):
        for time_, item in enumerate(generator.choice(ITEMS_IN_ALL, HISTORY, replace=False)):
            split = {HISTORY - 2: "valid", HISTORY - 1: "test"}.get(time_, "train")
            key = {"user_id": f"user {user}", "item_id": f"item {item}"}
            row = {**key, "timestamp": time_, "behavior": "rating", "sequence": user * HISTORY + time_}
            rows.append({**row, "split_leave_one_out": split})
        seeds.append({"user_id": f"user {user}", "origin": "random", "cluster": -1, "n_interactions": HISTORY})
    items = [
        {"item_id": f"item {n}", "title": f"Film {n}", "brand": "", "categories": ["Drama"], "description": ""}
        for n in range(ITEMS_IN_ALL)
    ]
    prepared = folder / "prepared"
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), prepared / INTERACTIONS_FILE, INTERACTIONS)
    write_table(pa.Table.from_pylist(items, schema=ITEMS), prepared / ITEMS_FILE, ITEMS)
    write_table(pa.Table.from_pylist(seeds, schema=SEEDS), folder / "seeds" / SEEDS_FILE, SEEDS)
    asked = build_seed_requests(prepared, folder / "seeds", "recommendation-v1", model)
    if engine == "vllm":
        asked = _shortened(asked)
    write_seed_requests(asked, folder / "requests")
    (folder / "tuned").mkdir()
    write_language_model(folder / "tuned", model)
    return Job(folder, engine)


def _shortened(asked: SeedRequests) -> SeedRequests:
    """The same requests for answers of a few tokens."""
    short = {one["custom_id"]: make_request({**one["body"], "max_tokens": VLLM_TOKENS}) for one in asked.requests}
    return SeedRequests(
        list(short.values()),
        {seed: short[custom_id]["custom_id"] for seed, custom_id in asked.request_of_seed.items()},
        asked.prompt_version,
        {short[custom_id]["custom_id"]: tokens for custom_id, tokens in asked.prompt_tokens.items()},
    )


def run_job(folder: Path, engine: str) -> None:
    """The step, as the pipeline runs it."""
    from components.rationale_generation.component import generate_rationales

    if engine == "vllm":
        _keep_what_is_asked(folder / ASKED_FOLDER)
    requests, prepared, tuned, responses = (
        SimpleNamespace(path=str(folder / name)) for name in ("requests", "prepared", "tuned", "responses")
    )
    section = {"rationale_engine": engine, "attempts": ATTEMPTS[engine]}
    generate_rationales.python_func(requests, prepared, tuned, section, 0, responses)


def _keep_what_is_asked(folder: Path) -> None:
    """Give each file of requests a second name before the worker is told of it: the engine and the worker remove the
    first one, the worker also when the job is killed.
    """
    from components.language_model import vllm_engine

    def write_and_keep(path: Path, rows: Iterable[Request]) -> int:
        count = write_lines(path, rows)
        folder.mkdir(exist_ok=True)
        os.link(path, folder / f"{time.time_ns()}.jsonl")
        return count

    vllm_engine.write_lines = write_and_keep


def kill_again_and_again(job: Job, kills: int, asked_since: Callable[[], list[str]]) -> Outcome:
    """Kill the job `kills` times and let it end.

    Args:
        asked_since: the `custom_id` of everything that was asked since the call before.

    Raises:
        SystemExit: the job ends with a fault.
    """
    chance = random.Random(0)
    requests = read_seed_requests(job.folder / "requests").requests
    outcome = Outcome(len(requests))
    finished: set[str] = set()
    while True:
        process = job.start()
        if outcome.kills < kills:
            # A share of what is left, so that something is left for the last; without one it is killed as it starts.
            wanted = chance.randint(0, 2 * (len(requests) - len(finished)) // (kills - outcome.kills + 2))
            before = job.lines()
            while process.poll() is None and job.lines() < before + wanted:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.02 if wanted else 3))
            process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        outcome.asked_twice += sum(custom_id in finished for custom_id in asked_since())
        now = job.finished()
        outcome.lost += len(finished - now)
        if not killed:
            break
        outcome.kills += 1
        outcome.kills_while_answers_came += len(now) > len(finished)
        outcome.finished_at_kills += len(now)
        finished = now
        print(f"{outcome.kills} kills, {len(finished)} finished, {outcome.asked_twice} asked twice", flush=True)
    if process.returncode:
        raise SystemExit((job.folder / "errors.txt").read_text()[-2_000:])
    responses = [row for _, row in read_lines(job.folder / "responses" / RESPONSES_FILE)]
    answered = {row["custom_id"] for row in responses if row["error"] is None}
    outcome.unanswered = len({request["custom_id"] for request in requests} - answered)
    outcome.finished = len(now)
    return outcome


def with_stub(folder: Path, users: int, kills: int) -> Outcome:
    """The engine `openai` and a stub server, of which every twentieth answer is invalid when it is asked first."""

    def script(body: dict[str, Any], _before: int) -> Reply:
        first = "seed" not in body and int(hashlib.sha256(canonical_json(body).encode()).hexdigest(), 16) % 20 == 0
        return answer("no JSON" if first else CONTENT)

    job = make_job(folder, "openai", users, LanguageModel(name="stub"))
    with chat_endpoint(script) as endpoint:
        job.environment["RELAND_OPENAI_BASE_URL"] = endpoint.url
        told = 0

        def asked_since() -> list[str]:
            nonlocal told
            bodies = endpoint.bodies[told:]
            told += len(bodies)
            return [make_request(body)["custom_id"] for body in bodies]

        outcome = kill_again_and_again(job, kills, asked_since)
        outcome.handed_over = len(endpoint.bodies)
    for row in read_lines(folder / "responses" / RESPONSES_FILE):
        assert read_answer(row[1]).content == CONTENT
    return outcome


def with_vllm(folder: Path, users: int, kills: int) -> Outcome:
    """The engine `vllm` and real vLLM; what it is asked stands in the files that it is handed."""
    weights = str(write_tiny_language_model(folder / "weights", context=4096))
    job = make_job(folder, "vllm", users, LanguageModel(name="tiny", weights=weights, tokenizer=weights))
    seen: set[Path] = set()

    def asked_since() -> list[str]:
        files = set((folder / ASKED_FOLDER).glob("*.jsonl")) - seen
        seen.update(files)
        return [row["custom_id"] for file in files for _, row in read_lines(file)]

    outcome = kill_again_and_again(job, kills, asked_since)
    outcome.handed_over = sum(len(read_lines(file)) for file in seen)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="jobs of 100 requests, killed 3 times")
    parser.add_argument("--engine", choices=("openai", "vllm"), help="one of them alone; default: both")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        run_job(arguments.job, arguments.engine)
        return
    if arguments.json is None:
        parser.error("--json FILE is missing")
    before = read_json(arguments.json) if arguments.engine and arguments.json.exists() else {"trials": {}}
    trials = {engine: {"command": before["command"], **trial} for engine, trial in before["trials"].items()}
    for engine, trial, kills in (("openai", with_stub, 90), ("vllm", with_vllm, 10)):
        if arguments.engine in (None, engine):
            with tempfile.TemporaryDirectory(prefix="reland-kills-") as folder:
                size = (100, 3) if arguments.quick else (2_000, kills)
                trials[engine] = asdict(trial(Path(folder), *size))
    figures = [
        Figure(f"{engine}: share of answers finished at a kill that were {what} (peer: all)", share, 1.0, "higher", 1.0)
        for engine, outcome in sorted(trials.items())
        for what, share in (
            ("not asked for twice", 1 - outcome["asked_twice"] / outcome["finished_at_kills"]),
            ("not lost", 1 - outcome["lost"] / outcome["finished_at_kills"]),
        )
    ]
    write_report(arguments.json, figures, "tests.performance.kill_trials", sys.argv[1:], ["httpx2"])
    write_json(arguments.json, read_json(arguments.json) | {"trials": trials})


if __name__ == "__main__":
    main()
