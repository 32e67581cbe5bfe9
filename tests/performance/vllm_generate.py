"""vLLM's side of `tests.performance.generation`: runs in vLLM's environment, imports nothing of ours.

    python -P vllm_generate.py ARGUMENTS

ARGUMENTS are the engine arguments of `vllm.LLM`, as JSON. Every line of the standard input names a file of requests in
the OpenAI batch format; their prompts are written out by the chat template before, then all are given to one call of
`LLM.generate`, and the seconds of that call are printed with the answers.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # as the worker does on a CPU

import vllm
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest


def main() -> None:
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what vLLM prints is no result
    llm = vllm.LLM(**json.loads(sys.argv[1]))
    tokenizer = llm.get_tokenizer()
    default_sampling = llm.model_config.get_diff_sampling_param()
    for line in sys.stdin:
        with Path(line.rstrip("\n")).open(encoding="utf-8") as stream:
            bodies = [json.loads(request)["body"] for request in stream]
        prompts = [
            tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
            for body in bodies
        ]
        sampling = [
            ChatCompletionRequest(**body).to_sampling_params(body["max_tokens"], default_sampling) for body in bodies
        ]
        begin, begin_processor = time.perf_counter(), time.process_time()
        outputs = llm.generate(prompts, sampling, use_tqdm=False)
        times = {"seconds": time.perf_counter() - begin, "processor_seconds": time.process_time() - begin_processor}
        texts = [output.outputs[0].text for output in outputs]
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        print(json.dumps({"texts": texts, "tokens": tokens, **times}), file=results)


if __name__ == "__main__":
    main()
