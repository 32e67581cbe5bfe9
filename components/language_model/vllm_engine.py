"""Answers of vLLM, which runs offline in a worker process: it needs a Python environment of its own."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Self

from components.contracts.batch_format import Request, Response, write_lines
from components.contracts.language_model import LanguageModel
from components.foundation.errors import EnvironmentFaultError, InputError, RelandError
from components.foundation.progress import say
from components.language_model.engine import EngineOptions, RationaleEngine
from components.prompting.catalogue import Catalogue

WORKER = Path(__file__).with_name("vllm_worker.py")
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class VllmConfiguration:
    """What runs, where.

    Attributes:
        model: its `weights`, `adapter`, `tokenizer` and `context` are what vLLM loads.
        python: the interpreter of vLLM's environment.
        engine_arguments: of `vllm.LLM`, as tensor parallelism and quantization; they come on top of ours.
    """

    model: LanguageModel
    python: Path
    engine_arguments: Mapping[str, Any] = field(default_factory=dict)

    def worker(self) -> dict[str, Any]:
        """What `vllm_worker.py` reads."""
        arguments: dict[str, Any] = {"model": self.model.weights}
        if self.model.tokenizer:
            arguments["tokenizer"] = self.model.tokenizer
        if self.model.context:
            arguments["max_model_len"] = self.model.context
        return {
            "name": self.model.name,
            "engine_arguments": {**arguments, **self.engine_arguments},
            "adapter": self.model.adapter,
        }


class VllmEngine(RationaleEngine):
    """Starts the worker with the first requests and keeps it, model loaded, until it is closed or fails.

    Requests and responses are files in the OpenAI batch format. All requests are handed over at once, and vLLM's
    scheduler batches them as it likes; a response is appended to its file as soon as it is finished, and yielded from
    there. The worker ends with this process, however that ends.

    Raises:
        EnvironmentFaultError: the interpreter is missing.
        InputError: a folder of the model is missing.
    """

    name = "vllm"
    infers = True

    def __init__(self, configuration: VllmConfiguration):
        check_python(configuration.python)
        for place in (configuration.model.weights, configuration.model.tokenizer, configuration.model.adapter):
            # What is no absolute path is the id of a model on a hub, which vLLM looks up.
            if Path(place).is_absolute() and not Path(place).is_dir():
                raise InputError(f"language_model: no folder {place}")
        self.model = configuration.model.name
        self._configuration = configuration
        self._worker: _Worker | None = None

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """As the contract says; the weights, which may be trained first, are not looked at."""
        super().check(options)
        check_python(options.settings.vllm_python)

    @classmethod
    def open(cls, options: EngineOptions, catalogue: Catalogue, seed_of_request: Mapping[str, str]) -> Self:
        """As the contract says; vLLM starts with the first requests."""
        settings = options.settings
        model = cls.answering_model(options)
        return cls(VllmConfiguration(model, settings.vllm_python, settings.vllm_engine_arguments))

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """As the contract says.

        Raises:
            InputError: vLLM does not load the model, the tokenizer has no chat template, or no request at all can be
                answered.
            EnvironmentFaultError: the worker ended.
        """
        requests = iter(requests)
        first = next(requests, None)
        if first is None:
            return
        if self._worker is None:
            self._worker = _Worker(self._configuration)
        worker = self._worker
        answered = 0
        first_failure: Response | None = None
        try:
            for response in worker.generate(chain([first], requests)):
                answered += response["error"] is None
                first_failure = first_failure or (response if response["error"] else None)
                yield response
        except BaseException:
            # A worker cannot be told to drop the rest of a job: it has to end.
            self.close()
            raise
        if first_failure and not answered:
            raise InputError(f"{self.model}: no request is answered: {first_failure['error']['message']}")

    def close(self) -> None:
        """End the worker, and the processes that vLLM started."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def check_python(python: Path) -> None:
    """Raises EnvironmentFaultError where there is no interpreter."""
    if not (python.is_file() and os.access(python, os.X_OK)):
        raise EnvironmentFaultError(
            f"setting RELAND_VLLM_PYTHON: no Python of a vLLM environment at {python} (`make vllm` makes it)"
        )


class _Worker:
    """The process and the folder of files that are exchanged with it."""

    def __init__(self, configuration: VllmConfiguration):
        self._folder = tempfile.TemporaryDirectory(prefix="reland-vllm-")
        self._path = Path(self._folder.name)
        self._jobs = 0
        (self._path / "worker.json").write_text(json.dumps(configuration.worker()), encoding="utf-8")
        say(f"vLLM loads {configuration.model.weights}")
        self._process = subprocess.Popen(
            # -P: the folder of the script is not to be searched for modules of vLLM.
            [str(configuration.python), "-P", str(WORKER), str(self._path)],
            stdin=subprocess.PIPE,
            # What vLLM prints is no result; it goes where a library's chatter goes.
            stdout=2,
            # The worker and the processes that vLLM starts are ended together.
            start_new_session=True,
            env={
                "VLLM_LOGGING_LEVEL": "WARNING",
                **os.environ,
                "TMPDIR": str(self._path),  # what is left there goes with the folder
                "VLLM_NO_USAGE_STATS": "1",
                "DO_NOT_TRACK": "1",
            },
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        self._jobs += 1
        request_file, response_file = (self._path / f"{kind}-{self._jobs}.jsonl" for kind in ("requests", "responses"))
        count = write_lines(request_file, requests)
        response_file.touch()
        self._send({"requests": str(request_file), "responses": str(response_file)})
        yield from self._follow(response_file, count)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._folder.cleanup()

    def _send(self, job: dict[str, str]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; waiting for its answers says why
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()

    def _follow(self, responses: Path, count: int) -> Iterator[Response]:
        """The lines of a growing file, up to `count`."""
        incomplete = b""
        with responses.open("rb") as stream:
            while count:
                ended = self._process.poll() is not None  # checked before reading, so that its last lines are read
                *lines, incomplete = (incomplete + stream.read()).split(b"\n")
                for line in lines:
                    count -= 1
                    yield json.loads(line)
                if not lines:
                    if ended:
                        raise self._why_it_ended()
                    time.sleep(POLL_SECONDS)

    def _why_it_ended(self) -> RelandError:
        fault = self._path / "fault.txt"
        if fault.exists():
            return InputError(fault.read_text(encoding="utf-8"))
        status = self._process.returncode
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return EnvironmentFaultError(f"the vLLM worker {how}; what it printed stands above")
