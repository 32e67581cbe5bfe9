"""The gateway under clients that mean no good, or want everything: what the others still get.

The gateway as the process that `reland serve` starts, with keys, on loopback, asked by clients of this command alone.
Its Triton does not answer, so lists come from the lowest step of the ladder: what is measured is the door.

1. One header that never ends, streamed; thousands of headers; 6,000 requests of which half is sent. During each,
   `/healthz` is asked 100 times a second on connections of its own, and the memory of the process is read.
2. A greedy client asks for lists as fast as it is answered, on 32 connections, while another asks 10 times a second:
   the share of the other's requests that is answered with 200.

    python -m tests.performance.serving_attack [--quick] --json FILE
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from tests.performance.http_load import Connection, Load, closed_loop, open_loop
from tests.performance.report import Figure, write_report

ITEMS = 30
HEALTH_RATE = 100.0
HEALTH_P99_SECONDS = 0.05
HEALTH_SHARE = 0.99
MEMORY_BYTES = 64 << 20
MODEST_RATE = 10.0
MODEST_SHARE = 0.9
GREEDY_CONNECTIONS = 32

Attack = Callable[[int, float], Coroutine[Any, Any, None]]


async def long_header(port: int, seconds: float) -> None:
    """One header, in parts of 64 KiB, for as long as it is taken; then another connection does the same."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nlong: ")
            while asyncio.get_running_loop().time() < deadline:
                writer.write(b"x" * (64 << 10))
                await writer.drain()
                await asyncio.sleep(0.01)


async def many_headers(port: int, seconds: float) -> None:
    """260 MB of headers, 65 KB each, over connections that begin anew."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n")
            for number in range(4_000):
                writer.write(b"name-%d: " % number + b"x" * (65 << 10) + b"\r\n")
                await writer.drain()


async def half_sent(port: int, seconds: float) -> None:
    """6,000 requests of which half is sent, and nothing more."""
    writers = []
    for number in range(6_000):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/rank HTTP/1.1\r\nhost: localhost\r\nx-half: " + b"x" * 8_000)
            writers.append(writer)
        if number % 20 == 0:
            await asyncio.sleep(0.01)
    await asyncio.sleep(seconds / 4)
    for writer in writers:
        writer.close()


ATTACKS: dict[str, Attack] = {
    "one header without an end": long_header,
    "thousands of headers": many_headers,
    "6,000 half-sent requests": half_sent,
}


@contextlib.contextmanager
def beside(job: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Iterator[BaseProcess]:
    """A process that runs a job, so that it takes nothing from the event loop that measures; it ends with the block."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(job, *arguments))
    process.start()
    try:
        yield process
    finally:
        process.join()


def _run(job: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> None:
    asyncio.run(job(*arguments))


def under_attack(attack: Attack, port: int, process: psutil.Process, seconds: float) -> tuple[Load, int]:
    """What `/healthz` answered meanwhile, and by how many bytes the process grew at most."""
    before = largest = process.memory_info().rss
    request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    health = Load()
    with beside(attack, port, seconds) as attacking:
        while attacking.is_alive():
            load = asyncio.run(open_loop(port, [request], HEALTH_RATE, 1.0, 4, lambda status, body: None))
            for status, times in load.seconds.items():
                health.seconds.setdefault(status, []).extend(times)
            largest = max(largest, process.memory_info().rss)
    return health, largest - before


def share_of_modest(port: int, seconds: float) -> float:
    """The share of one key's requests that is answered with 200 while another key asks without end."""
    body = json.dumps({"user_id": "u", "candidates": [f"item {number:02}" for number in range(1, ITEMS + 1)]}).encode()
    with beside(_ask_greedily, port, body, seconds):
        time.sleep(0.5)
        ask = open_loop(port, [_post("modest", body)], MODEST_RATE, seconds - 1.0, 2, lambda status, body: None)
        modest = asyncio.run(ask)
    return modest.statuses[200] / sum(modest.statuses.values())


def _post(key: str, body: bytes) -> bytes:
    head = f"POST /v1/rank HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def _ask_greedily(port: int, body: bytes, seconds: float) -> None:
    free = [await Connection.open(port) for _ in range(GREEDY_CONNECTIONS)]

    async def ask() -> int:
        connection = free.pop()
        status, _ = await connection.ask(_post("greedy", body))
        free.append(connection)
        return status

    load = await closed_loop(ask, GREEDY_CONNECTIONS, seconds)
    print(f"the greedy key's answers, by status: {dict(load.statuses)}", file=sys.stderr)


@contextlib.contextmanager
def running_gateway(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Its port and process."""
    # Imported here, so that the processes of the attacks, which import this module, start at once.
    from components.contracts.serving import RolloutRecord, rollout_file, write_rollout
    from components.foundation.settings import Settings
    from feature_repo.store import open_feature_store
    from serving.triton.server import free_ports
    from tests.serving_stack import RankerSize, gateway_process, make_arm, release

    size = RankerSize(ITEMS, text=6, text_encoder="tiny", embedding=8, layers=1)
    port, nobody = free_ports(0, 0)
    keys = folder / "keys.json"
    keys.write_text(json.dumps({name: hashlib.sha256(name.encode()).hexdigest() for name in ("greedy", "modest")}))
    settings = Settings(home=folder / "home")
    release(folder / "rankers", settings.resolved_model_repository, 1, size, seed=1)
    open_feature_store(settings)
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="salt", arms=(make_arm(),)))
    variables = {"RELAND_GATEWAY_AUTH": "keys", "RELAND_GATEWAY_KEYS": str(keys)}
    variables |= {"RELAND_TRITON_GRPC": f"127.0.0.1:{nobody}"}
    with gateway_process(settings, port, folder / "gateway.log", **variables) as process:
        yield port, psutil.Process(process.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", required=True, type=Path)
    parser.add_argument("--quick", action="store_true", help="a third of the time")
    arguments = parser.parse_args()
    seconds = 5.0 if arguments.quick else 15.0
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="reland-attack-") as folder,
        running_gateway(Path(folder)) as (port, process),
    ):
        for name, attack in ATTACKS.items():
            print(name, file=sys.stderr)
            health, grown = under_attack(attack, port, process, seconds)
            answered = health.statuses[200] / sum(health.statuses.values())
            figures.append(Figure(f"{name}: /healthz answered, share", answered, HEALTH_SHARE, "higher", 1.0))
            p99 = health.percentile(99)
            figures.append(Figure(f"{name}: /healthz p99, s", p99, HEALTH_P99_SECONDS, "lower", 1.0))
            figures.append(
                Figure(f"{name}: memory grown, bytes", float(max(grown, 1)), float(MEMORY_BYTES), "lower", 1.0)
            )
        share = share_of_modest(port, seconds)
        figures.append(Figure("a greedy key beside: requests answered", share, MODEST_SHARE, "higher", 1.0))
    write_report(arguments.json, figures, "tests.performance.serving_attack", sys.argv[1:], ["uvicorn", "fastapi"])


if __name__ == "__main__":
    main()
