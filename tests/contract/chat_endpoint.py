"""An OpenAI-compatible endpoint that misbehaves as it is told to: stands in for hosted ones, which cannot be told."""

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
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    # The id and the date change from call to call, as an endpoint's do.
    told = {"id": f"chatcmpl-{time.monotonic_ns()}", "created": time.time_ns(), "model": model, "usage": usage}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Reply(body=json.dumps({**told, "choices": [choice]}).encode())


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
    "no text": Reply(body=json.dumps({"model": "stub", "choices": [{"message": {"content": None}}]}).encode()),
    "nothing": Hangs(),
}

Script = Callable[[dict[str, Any], int], Reply | Hangs]


@dataclass
class ChatEndpoint:
    """A running endpoint: its URL, and what it was asked."""

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
                asked_before = seen[json.dumps(body)]
                seen[json.dumps(body)] += 1
                endpoint.bodies.append(body)
                endpoint.keys.add(self.headers.get("Authorization"))
                endpoint.times.append(time.monotonic())
            reply = script(body, asked_before) if self.path == "/v1/chat/completions" else Reply(404, b"no such path")
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
