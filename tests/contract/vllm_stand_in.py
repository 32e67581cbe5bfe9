"""A worker that answers as `vllm_worker.py` does, without vLLM: one and the same text to every request.

Runs as a program of its own, as the worker does, and imports nothing of this project.
"""

import json
import sys
from pathlib import Path

CONTENT = '{"preference_summary": "Likes a good story.", "categories": ["Drama"], "items": ["Emma"]}'


def answer(request: dict, model: str) -> dict:
    """The response line to a request line."""
    message = {"role": "assistant", "content": CONTENT}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = {"object": "chat.completion", "model": model, "choices": choices, "usage": usage}
    return {
        "id": f"response-{request['custom_id'][:16]}",
        "custom_id": request["custom_id"],
        "response": {"status_code": 200, "body": body},
        "error": None,
    }


if __name__ == "__main__":
    model = json.loads((Path(sys.argv[1]) / "worker.json").read_text())["name"]
    for line in sys.stdin:
        job = json.loads(line)
        with Path(job["requests"]).open() as requests, Path(job["responses"]).open("a") as responses:
            for request in requests:
                responses.write(json.dumps(answer(json.loads(request), model)) + "\n")
                responses.flush()
