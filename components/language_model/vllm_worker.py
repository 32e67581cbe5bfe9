"""The worker of the `vllm` engine: runs in vLLM's own environment and imports nothing of this project.

    python -P vllm_worker.py FOLDER

`FOLDER/worker.json` says which model to load: `name` (what requests and answers call it), `engine_arguments` (of
`vllm.LLM`) and `adapter` (folder of a LoRA adapter, or empty). Then every line of the standard input is a job,
`{"requests": FILE, "responses": FILE}`, both in the OpenAI batch format; each answer is appended to the responses and
flushed when it is finished. The worker ends when its standard input does, with whoever holds the other end of the pipe:
also in the middle of a job, and also when that process was killed. A fault that the user can mend is written to
`FOLDER/fault.txt` before it ends.

Made for vLLM 0.32. It ships as a module of the package, and the engine starts it by its path.
"""

import json
import os
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vLLM takes these upper bounds alone

SHOWN_CHARACTERS = 500  # of a reason; vLLM's can be pages


class FaultError(Exception):
    """A fault beyond a single request; the message is one line."""


def default_arguments() -> dict[str, Any]:
    """Engine arguments that the user's own ones come on top of."""
    from vllm.platforms import current_platform

    arguments: dict[str, Any] = {
        # xgrammar lets raw control characters into texts under a `maxLength`, and white space without end.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        "enable_prefix_caching": True,  # the system message is the prefix that all requests share
    }
    if current_platform.is_cpu():
        # There is no device to keep busy, so a process of its own for the engine would only cost memory.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        arguments |= {
            "enforce_eager": True,  # compiling needs a C++ compiler, and a minute before the first answer
            "dtype": "float32",  # temperature 0 then repeats itself, whatever shares the batch
            # On the CPU a seeded request ends the engine when its prompt is read in chunks.
            "enable_chunked_prefill": False,
            "block_size": 32,  # the default of 128 tokens is longer than most of a prefix
            "kv_cache_memory_bytes": 2**30,
        }
    return arguments


class Worker:
    """A loaded model; see the module."""

    def __init__(self, name: str, engine_arguments: dict[str, Any], adapter: str):
        arguments = {**default_arguments(), **engine_arguments}
        if adapter:
            arguments |= {"enable_lora": True, "max_lora_rank": smallest_rank(Path(adapter))}

        import vllm
        from vllm.lora.request import LoRARequest

        try:
            self.llm = vllm.LLM(**arguments)
        except Exception as error:
            raise FaultError(f"vLLM does not load {arguments['model']}: {one_line(error)}") from error
        self.name = name
        self.lora = LoRARequest(name, 1, adapter) if adapter else None
        # What the weights' own `generation_config.json` says, as vLLM's server takes it.
        self.default_sampling = self.llm.model_config.get_diff_sampling_param()
        # Enough that the scheduler always finds a request to go on with; the rest needs no memory yet.
        self.window = 2 * self.llm.llm_engine.vllm_config.scheduler_config.max_num_seqs

    def answer(self, requests: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The responses, each as soon as it is there: the scheduler batches continuously, nothing waits for a batch."""
        from vllm.exceptions import VLLMClientError

        engine = self.llm.llm_engine
        custom_id_of: dict[str, str] = {}
        while True:
            for request in islice(requests, self.window - engine.get_num_unfinished_requests()):
                try:
                    custom_id_of[self.submit(request["body"])] = request["custom_id"]
                except (VLLMClientError, ValueError) as error:  # this request cannot be answered, others can
                    yield failure(request["custom_id"], "invalid_request", one_line(error))
            if not engine.has_unfinished_requests():
                return
            for output in engine.step():
                if output.finished:
                    yield self.response(custom_id_of.pop(output.request_id), output)

    def submit(self, body: dict[str, Any]) -> str:
        """Hand one request to the engine; the number it goes by.

        Raises:
            VLLMClientError, ValueError: vLLM takes no such request; one with a prompt that is too long is such.
        """
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.renderers.chat_utils import ChatTemplateResolutionError

        request = ChatCompletionRequest(**body)
        longest = body.get("max_completion_tokens") or body.get("max_tokens") or self.llm.model_config.max_model_len
        params = request.to_sampling_params(longest, self.default_sampling)
        try:
            (internal,) = self.llm.enqueue_chat(
                body["messages"],
                params,
                use_tqdm=False,
                lora_request=self.lora,
                chat_template_kwargs=request.chat_template_kwargs,
            )
        except ChatTemplateResolutionError as error:
            raise FaultError(f"{self.llm.model_config.tokenizer}: the tokenizer has no chat template") from error
        return internal.partition("-")[0]  # without what vLLM appends within its engine

    def response(self, custom_id: str, output: Any) -> dict[str, Any]:
        """The response line of an answer that vLLM has finished."""
        (choice,) = output.outputs
        prompt, completion = len(output.prompt_token_ids), len(choice.token_ids)
        message = {"role": "assistant", "content": choice.text}
        body = {
            "object": "chat.completion",
            "model": self.name,
            "choices": [{"index": 0, "message": message, "finish_reason": choice.finish_reason}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }
        return {
            "id": f"response-{custom_id[:16]}",
            "custom_id": custom_id,
            "response": {"status_code": 200, "body": body},
            "error": None,
        }


def failure(custom_id: str, code: str, message: str) -> dict[str, Any]:
    """A response line that says why there is no answer."""
    error = {"code": code, "message": message}
    return {"id": f"response-{custom_id[:16]}", "custom_id": custom_id, "response": None, "error": error}


def smallest_rank(adapter: Path) -> int:
    """The least of vLLM's bounds that holds the adapter's rank."""
    path = adapter / "adapter_config.json"
    try:
        rank = int(json.loads(path.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaultError(f"{path}: no configuration of a LoRA adapter ({one_line(error)})") from error
    if rank > LORA_RANKS[-1]:
        raise FaultError(f"{path}: rank {rank}, vLLM takes at most {LORA_RANKS[-1]}")
    return next(bound for bound in LORA_RANKS if bound >= rank)


def one_line(error: Exception) -> str:
    """The beginning of an error's message, in one line."""
    return " ".join(str(error).split())[:SHOWN_CHARACTERS] or type(error).__name__


def read_requests(path: Path) -> Iterator[dict[str, Any]]:
    """The request lines of a file."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def receive(jobs: "queue.SimpleQueue[dict[str, str]]", folder: Path) -> None:
    """Pass jobs on until the standard input ends; then end this process and those that vLLM started, in its group."""
    for line in sys.stdin:
        jobs.put(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)  # who was killed could not remove it
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main(folder: Path) -> None:
    """Load the model, then answer jobs until the standard input ends."""
    if os.getpgid(0) != os.getpid():
        os.setsid()  # a group of its own, which can be ended without the shell that it was started from
    jobs: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    threading.Thread(target=receive, args=(jobs, folder), daemon=True).start()
    try:
        worker = Worker(**json.loads((folder / "worker.json").read_text(encoding="utf-8")))
        while True:
            job = jobs.get()
            with Path(job["responses"]).open("a", encoding="utf-8") as stream:
                for response in worker.answer(read_requests(Path(job["requests"]))):
                    stream.write(json.dumps(response, ensure_ascii=False) + "\n")
                    stream.flush()
    except (FaultError, OSError) as fault:
        (folder / "fault.txt").write_text(str(fault), encoding="utf-8")
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
