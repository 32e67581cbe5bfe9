"""An OpenAI-compatible endpoint that misbehaves as a test wants: stands in for hosted ones, which do so by chance."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = '{"preference_summary": "Likes a good story.", "categories": ["Drama"], "items": ["Emma"]}'


@dataclass(frozen=True)
class Reply:
    """What goes over the wire. `promised` is the length that is announced, where it is not that of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None


class Hangs:
    """Says nothing until the endpoint is stopped."""


def answer(content: str = CONTENT, model: str = "stub") -> Reply:
    """An answer of 7 tokens of prompt and 3 of text."""
    return answer_with({"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}, model)


def answer_with(choice: dict[str, Any], model: str = "stub") -> Reply:
    """The same with a choice of any form."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    # The id and the date change from call to call, as an endpoint's do.
    envelope = {"id": f"chatcmpl-{time.monotonic_ns()}", "created": time.time_ns(), "model": model, "usage": usage}
    return Reply(body=json.dumps({**envelope, "choices": [{"index": 0, **choice}]}).encode())


FAULTS: dict[str, Reply | Hangs] = {
    "too many, wait 0 s": Reply(429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0"}),
    "too many": Reply(429),
    "internal error": Reply(500, b"Traceback"),
    "overloaded, wait 0 s": Reply(503, b"", {"Retry-After": "0"}),
    "garbage": Reply(body=b"\xff\xfe<html>"),
    "half a body": Reply(body=answer().body[:40], promised=len(answer().body)),
    "no body": Reply(),
    "wrong JSON": Reply(body=b'{"choices": []}'),
    "a list": Reply(body=b"[1]"),
    "nothing": Hangs(),
}

# What is answered under status 200 without a text, by the reason under which it counts.
WITHOUT_TEXT: dict[str, list[dict[str, Any]]] = {
    "refusal": [
        {"message": {"content": None, "refusal": "I cannot help."}, "finish_reason": "stop"},
        {"message": {"content": [{"type": "refusal", "refusal": "I cannot."}]}, "finish_reason": "stop"},
    ],
    "cut_off": [
        {"message": {"content": None, "reasoning_content": "The user likes"}, "finish_reason": "length"},
        {"message": {"content": ""}, "finish_reason": "MAX_TOKENS"},
        {"message": {"content": [{"type": "thinking", "thinking": "The user likes"}]}, "finish_reason": "length"},
    ],
    "content_filter": [
        {"message": {"content": None}, "finish_reason": "content_filter"},
        {"message": {"role": "assistant"}, "finish_reason": "content_filter"},
        {"finish_reason": "SAFETY"},
    ],
    "tool_call": [
        {"message": {"content": None, "tool_calls": [{"id": "1", "type": "function"}]}, "finish_reason": "tool_calls"},
        {"message": {"content": None, "tool_calls": [{"id": "1", "type": "function"}]}, "finish_reason": "stop"},
        {"message": {"content": None, "function_call": {"name": "search"}}, "finish_reason": "function_call"},
    ],
    "empty": [
        {"message": {"content": None}, "finish_reason": "stop"},
        {"message": {"content": " \n"}, "finish_reason": "stop"},
        {"message": {"content": []}},
    ],
    "error": [{"message": {"content": None}, "finish_reason": "error", "error": {"code": 502}}],
    "not_text": [{"message": {"content": "half a pair: \ud800"}, "finish_reason": "stop"}],
}

Script = Callable[[dict[str, Any], int], Reply | Hangs]


@dataclass
class ChatEndpoint:
    """A running endpoint: its URL, and what it received."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    times: list[float] = field(default_factory=list)  # of `time.monotonic`, when each request came


@contextmanager
def chat_endpoint(script: Script) -> Iterator[ChatEndpoint]:
    """Run an endpoint on loopback; `script` gives the reply to a body and how often that body came before."""
    stopping = threading.Event()
    lock = threading.Lock()
    seen: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                repeats = seen[json.dumps(body)]
                seen[json.dumps(body)] += 1
                endpoint.bodies.append(body)
                endpoint.keys.add(self.headers.get("Authorization"))
                endpoint.times.append(time.monotonic())
            reply = script(body, repeats) if self.path == "/v1/chat/completions" else Reply(404, b"no such path")
            if isinstance(reply, Hangs):
                stopping.wait()
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body) if reply.promised is None else reply.promised))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = reply.promised is not None

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that is gone is no fault of the endpoint, and the tests see what it answered."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = ChatEndpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield endpoint
    finally:
        stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
