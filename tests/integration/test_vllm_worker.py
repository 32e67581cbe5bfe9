"""The worker process of real vLLM: how it lives, how it ends, and what it says when it cannot do its work."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file

from components.contracts.batch_format import make_request, read_answer, write_lines
from components.contracts.language_model import LanguageModel
from components.contracts.recorded_rationales import read_recorded_file
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings
from components.language_model.recorded_engine import RecordedEngine
from components.language_model.vllm_engine import WORKER, VllmConfiguration, VllmEngine
from tests.tiny_language_model import write_tiny_language_model
from tests.vllm_fixtures import SERVER_OPTIONS

LONG = 400  # tokens of an answer; some seconds' work for all of them
END_SECONDS = 120


def make_requests(count: int, tokens: int = 8) -> list[dict]:
    texts = [f"Answer the question with the number {number}." for number in range(count)]
    body = {"model": "tiny", "temperature": 0, "max_tokens": tokens, "ignore_eos": True}
    return [make_request({**body, "messages": [{"role": "user", "content": text}]}) for text in texts]


def open_engine(settings: Settings, model: Path, **changes) -> VllmEngine:
    chosen = LanguageModel(name="tiny", weights=str(model), **changes)
    return VllmEngine(VllmConfiguration(chosen, settings.vllm_python, settings.vllm_engine_arguments))


def contents(responses) -> dict[str, str]:
    return {response["custom_id"]: read_answer(response).content for response in responses}


def workers(of: int) -> list[psutil.Process]:
    """The worker processes that are alive below a process."""
    children = psutil.Process(of).children(recursive=True)
    return [child for child in children if child.is_running() and str(WORKER) in " ".join(child.cmdline())]


@pytest.mark.vllm
class TestLife:
    """One engine over the tests, in their order."""

    @pytest.fixture(scope="class")
    def engine(self, vllm_settings, tiny_model) -> Iterator[VllmEngine]:
        with open_engine(vllm_settings, tiny_model) as engine:
            yield engine

    def test_the_model_stays_loaded_from_one_job_to_the_next(self, engine):
        assert workers(os.getpid()) == []
        first = contents(engine.generate(make_requests(3)))
        assert len(set(first.values())) > 1
        (worker,) = workers(os.getpid())
        assert contents(engine.generate(make_requests(3))) == first
        assert workers(os.getpid()) == [worker]

    def test_more_requests_than_the_scheduler_takes_at_a_time(self, engine):
        # One token may be the end of the answer, so that it has no text: it is answered all the same.
        responses = list(engine.generate(make_requests(700, tokens=1)))
        assert len({response["custom_id"] for response in responses}) == 700
        assert not [response for response in responses if response["error"]]

    def test_a_killed_worker_loses_nothing_that_was_finished(self, engine):
        short, long = make_requests(4), make_requests(20, LONG)[4:]
        responses = engine.generate([*short, *long])
        answered = [next(responses)]
        (worker,) = workers(os.getpid())
        worker.kill()
        with pytest.raises(EnvironmentFaultError, match="the vLLM worker was ended by SIGKILL"):
            answered.extend(responses)
        assert {request["custom_id"] for request in short} == set(contents(answered))

    def test_after_that_the_engine_starts_another_and_closing_the_iterator_ends_it(self, engine):
        responses = engine.generate(make_requests(20, LONG))
        next(responses)
        (worker,) = workers(os.getpid())
        responses.close()
        assert not worker.is_running()


HOLDER = """
import json, sys, time
from pathlib import Path
from components.contracts.batch_format import read_lines
from components.contracts.language_model import LanguageModel
from components.language_model.vllm_engine import VllmConfiguration, VllmEngine

python, model, requests, wait = sys.argv[1:]
model = LanguageModel(name="tiny", weights=model)
engine = VllmEngine(VllmConfiguration(model, Path(python), {"kv_cache_memory_bytes": 2**28}))
responses = engine.generate(row for _, row in read_lines(Path(requests)))
if wait == "answer":
    next(responses)
    print("answered", flush=True)
else:
    print("loading", flush=True)
    next(responses)
time.sleep(600)
"""


@pytest.mark.vllm
@pytest.mark.parametrize("moment", ["loads", "answer"])
def test_the_worker_ends_when_its_parent_is_killed(moment, vllm_settings, tiny_model, tmp_path):
    write_lines(tmp_path / "requests.jsonl", [*make_requests(1), *make_requests(50, LONG)[1:]])
    arguments = [str(vllm_settings.vllm_python), str(tiny_model), str(tmp_path / "requests.jsonl"), moment]
    with subprocess.Popen([sys.executable, "-c", HOLDER, *arguments], stdout=subprocess.PIPE, text=True) as parent:
        while "answered" not in (line := parent.stdout.readline()) and "loading" not in line:
            assert line, "the process that holds the engine ended"
        while not (children := workers(parent.pid)):
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _, alive = psutil.wait_procs(children, timeout=END_SECONDS)
        assert alive == []


@pytest.mark.vllm
def test_a_tokenizer_without_a_chat_template(vllm_settings, tmp_path):
    folder = write_tiny_language_model(tmp_path / "model", chat_template=False)
    with open_engine(vllm_settings, folder) as engine, pytest.raises(InputError) as error:
        list(engine.generate(make_requests(2)))
    assert str(error.value) == f"{folder}: the tokenizer has no chat template"


@pytest.mark.vllm
def test_a_context_that_is_too_small_for_every_prompt(vllm_settings, tiny_model):
    with (
        open_engine(vllm_settings, tiny_model, context=32) as engine,
        pytest.raises(InputError, match=r"tiny: no request is answered: .*context length is 32 tokens"),
    ):
        list(engine.generate(make_requests(3)))


@pytest.mark.vllm
def test_a_folder_that_holds_no_model(vllm_settings, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with (
        open_engine(vllm_settings, tmp_path) as engine,
        pytest.raises(InputError, match=f"vLLM does not load {tmp_path}: "),
    ):
        list(engine.generate(make_requests(1)))
    with pytest.raises(InputError, match="language_model: no folder"):
        open_engine(vllm_settings, tmp_path / "none")


@pytest.mark.vllm
def test_an_argument_that_vllm_does_not_know(vllm_settings, tiny_model):
    settings = vllm_settings.model_copy(update={"vllm_arguments": json.dumps({"tensor_parallel": 4})})
    with open_engine(settings, tiny_model) as engine, pytest.raises(InputError, match=r"vLLM does not load .*parallel"):
        list(engine.generate(make_requests(1)))


@pytest.mark.vllm
def test_an_adapter_answers_and_a_batch_that_was_run_elsewhere_is_brought_back(vllm_settings, tiny_model, tmp_path):
    requests = make_requests(3)
    adapter = write_adapter(tmp_path / "adapter", tiny_model)
    with open_engine(vllm_settings, tiny_model, adapter=str(adapter)) as engine:
        adapted = contents(engine.generate(requests))

    # As an operator would, with vLLM's own command and the file that the step has written.
    write_lines(tmp_path / "requests.jsonl", requests)
    command = [str(vllm_settings.vllm_python), "-m", "vllm.entrypoints.openai.run_batch"]
    files = ["-i", str(tmp_path / "requests.jsonl"), "-o", str(tmp_path / "output.jsonl")]
    model = [f"--model={tiny_model}", "--served-model-name=tiny", *SERVER_OPTIONS]
    subprocess.run([*command, *files, *model], check=True, env={**os.environ, "VLLM_NO_USAGE_STATS": "1"})
    recorded = RecordedEngine(read_recorded_file(tmp_path / "output.jsonl"), "tiny", {})
    plain = contents(recorded.generate(requests))

    assert set(adapted) == set(plain) and adapted != plain
    with open_engine(vllm_settings, tiny_model) as engine:
        assert contents(engine.generate(requests)) == plain


def write_adapter(folder: Path, model: Path) -> Path:
    """A LoRA adapter of rank 4 whose difference to the model is large."""
    width = json.loads((model / "config.json").read_text())["hidden_size"]
    folder.mkdir()
    configuration = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 64, "bias": "none"}
    target = {"target_modules": ["o_proj"], "base_model_name_or_path": str(model)}
    (folder / "adapter_config.json").write_text(json.dumps({**configuration, **target}))
    generator = torch.Generator().manual_seed(0)
    name = "base_model.model.model.layers.0.self_attn.o_proj.lora_{}.weight"
    shapes = {"A": (4, width), "B": (width, 4)}
    tensors = {name.format(key): torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_no_interpreter(tmp_path):
    configuration = VllmConfiguration(LanguageModel(name="tiny", weights="hub/model"), tmp_path / "python")
    for _ in range(2):
        with pytest.raises(
            EnvironmentFaultError, match=r"setting RELAND_VLLM_PYTHON: no Python .* \(`make vllm` makes it\)"
        ):
            VllmEngine(configuration)
        (tmp_path / "python").touch(mode=0o644)  # a file that cannot be run is none either
