"""Throughput of the `vllm` engine against the bare `LLM.generate`, with and without structured output.

    python -m tests.performance.generation [--quick] [--model FOLDER] --json FILE

Both sides answer the same prompts with the same sampling and the same engine arguments, each in a worker process of
vLLM's environment (`RELAND_VLLM_PYTHON`) that has its model loaded and has answered other requests before the clock
starts. Rounds of new prompts go to the two sides in turn; a figure is the median over the rounds of generated tokens a
second. Our side's clock runs from the hand-over of the requests to the last response: it counts the files that are
exchanged, the chat template and the making of the responses, which the other side's does not. The answers of both are
compared: they must be equal.

Without `--model`, it is a Llama of random weights. The smaller the model, the larger is the share of all that is not
the model.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from components.contracts.batch_format import Request, make_request, read_answer, write_lines
from components.contracts.language_model import LanguageModel
from components.foundation.settings import load_settings
from components.language_model.vllm_engine import WORKER, VllmConfiguration, VllmEngine
from components.prompting.catalogue import Catalogue, Item
from components.prompting.history import condense
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request
from tests.performance.report import Figure, write_report
from tests.tiny_language_model import write_tiny_language_model

PEER = Path(__file__).with_name("vllm_generate.py")
GOALS = {"structured output": 0.85, "free text": 0.95}
CATEGORIES = ["Action", "Children's", "Comedy", "Crime", "Drama", "Horror", "Romance", "Sci-Fi"]
FILMS, HISTORY = 400, 8
WARM_UP = 4  # requests
PROMPT_VERSION = "numbered-v1"  # made for small models


@dataclass(frozen=True)
class Size:
    """How much is asked: `requests` new prompts in each of `rounds`."""

    requests: int
    rounds: int
    tokens: int


FULL = Size(100, 3, 128)
QUICK = Size(16, 2, 32)


def make_requests(count: int, seed: int, tokens: int, structured: bool) -> list[Request]:
    """Prompts as a run makes them, about users who chose films at random; no two prompts are equal."""
    generator = random.Random(seed)
    template = read_template(PROMPT_VERSION)
    films = [Item(str(n), f"Film {n}", "", tuple(generator.sample(CATEGORIES, 2)), FILMS - n) for n in range(FILMS)]
    catalogue = Catalogue({film.item_id: film for film in films})
    requests = []
    for _ in range(count):
        body = build_request(condense(generator.sample(films, HISTORY)), template, catalogue, "model")["body"]
        body["max_tokens"] = tokens
        if not structured:
            del body["response_format"]
        requests.append(make_request(body))
    return requests


def measure(model: Path, size: Size) -> list[Figure]:
    settings = load_settings()
    configuration = VllmConfiguration(
        LanguageModel(name="model", weights=str(model)), settings.vllm_python, settings.vllm_engine_arguments
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        VllmEngine(configuration) as engine,
        bare_generate(configuration) as peer,
    ):
        return [figure for kind in GOALS for figure in compare(engine, peer, Path(folder), size, kind)]


@dataclass(frozen=True)
class Round:
    """What one side did with the requests of a round: the texts in their order, the tokens, and the time it took."""

    texts: list[str]
    tokens: int
    seconds: float
    processor_seconds: float


def compare(engine: VllmEngine, peer: subprocess.Popen[str], folder: Path, size: Size, kind: str) -> list[Figure]:
    rounds: list[tuple[Round, Round]] = []
    for number in range(size.rounds + 1):  # the first does not count: it loads the model and compiles the schema
        count = size.requests if number else WARM_UP
        requests = make_requests(count, number, size.tokens, structured=kind == "structured output")
        if number % 2:  # in turn, also who begins
            theirs = ask_peer(peer, folder, requests)
            ours = ask_engine(engine, requests)
        else:
            ours = ask_engine(engine, requests)
            theirs = ask_peer(peer, folder, requests)
        equal = sum(one == other for one, other in zip(ours.texts, theirs.texts, strict=True))
        print(f"{kind}, round {number}: {equal} of {count} answers are equal", flush=True)
        assert equal == count, "the two sides did not do the same work"
        rounds.append((ours, theirs))

    def rate(side: int, time_name: str) -> float:
        return statistics.median(pair[side].tokens / getattr(pair[side], time_name) for pair in rounds[1:])

    name = f"generation, {kind}, {size.requests} prompts at a time, generated tokens"
    return [
        Figure(f"{name} a second", rate(0, "seconds"), rate(1, "seconds"), "higher", GOALS[kind]),
        # Of a machine that does other work too, this one can still be believed. No goal: a GPU's work is not in it.
        Figure(
            f"{name} a second of processor time",
            rate(0, "processor_seconds"),
            rate(1, "processor_seconds"),
            "higher",
        ),
    ]


def ask_engine(engine: VllmEngine, requests: list[Request]) -> Round:
    begin, begin_processor = time.perf_counter(), time.process_time() + processor_seconds(WORKER)
    responses = {response["custom_id"]: read_answer(response) for response in engine.generate(requests)}
    seconds = time.perf_counter() - begin
    used = time.process_time() + processor_seconds(WORKER) - begin_processor
    answers = [responses[request["custom_id"]] for request in requests]
    return Round([answer.content for answer in answers], sum(a.completion_tokens for a in answers), seconds, used)


def ask_peer(peer: subprocess.Popen[str], folder: Path, requests: list[Request]) -> Round:
    write_lines(folder / "requests.jsonl", requests)
    assert peer.stdin is not None and peer.stdout is not None
    peer.stdin.write(f"{folder / 'requests.jsonl'}\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        sys.exit("vLLM's side ended; what it printed stands above")
    return Round(**json.loads(line))


def processor_seconds(script: Path) -> float:
    """Of the processes below this one that run `script`, and of their own children."""
    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children if str(script) in child.cmdline()]
    return sum(time.user + time.system + time.children_user + time.children_system for time in times)


@contextmanager
def bare_generate(configuration: VllmConfiguration) -> Iterator[subprocess.Popen[str]]:
    """A process that answers `ask_peer`, with the engine arguments that our worker comes to."""
    arguments = {**worker_defaults(), **configuration.worker()["engine_arguments"]}
    command = [str(configuration.python), "-P", str(PEER), json.dumps(arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def worker_defaults() -> dict:
    """`default_arguments` of our worker, asked of vLLM's environment, where alone it runs."""
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); import vllm_worker; "
    code += "print(json.dumps(vllm_worker.default_arguments()))"
    command = [str(load_settings().vllm_python), "-c", code, str(WORKER.parent)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.generation", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few prompts")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="weights and tokenizer in the Hugging Face form")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or write_tiny_language_model(Path(folder), width=128, layers=3, context=8192)
        figures = measure(model.absolute(), QUICK if arguments.quick else FULL)
    write_report(arguments.json, figures, "tests.performance.generation", sys.argv[1:], ["transformers", "torch"])


if __name__ == "__main__":
    main()
