"""A real server on loopback, and clients that send what none should."""

import asyncio
import contextlib

import pytest
import uvicorn

from serving.gateway import connections
from serving.gateway.connections import MAX_PIPELINED, MAX_UNFINISHED, Connections, protocol_of


async def application(scope, receive, send):
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def running(limit=100):
    """The port of a server."""
    config = uvicorn.Config(
        application, port=0, http=protocol_of(Connections(limit)), ws="none", lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def connect(port):
    return await asyncio.open_connection("127.0.0.1", port)


GOOD = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def status(port):
    """The status of a proper request."""
    reader, writer = await connect(port)
    writer.write(GOOD)
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\nlong: " + b"x" * 2 * MAX_UNFINISHED,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MAX_UNFINISHED,
        b"GET /" + b"x" * 2 * MAX_UNFINISHED,
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nlong: " + b"x" * 2 * MAX_UNFINISHED,
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;long=" + b"x" * 2 * MAX_UNFINISHED,
        b"\r\n" * MAX_UNFINISHED,
        GOOD * (200 * MAX_PIPELINED),
    ],
    ids=["header", "headers", "address", "trailer", "extension", "lines", "pipeline"],
)
def test_a_connection_that_sends_too_much_which_is_no_request_is_ended(content):
    async def scene():
        async with running() as port:
            reader, writer = await connect(port)
            with contextlib.suppress(ConnectionError):
                writer.write(content)
                await writer.drain()
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.wait_for(reader.read(), 60)
                assert answer == b"" or answer[9:12] in (b"431", b"400", b"200")
            assert await status(port) == 200

    asyncio.run(scene())


def test_headers_that_do_not_end_in_time_and_connections_that_say_nothing_are_ended(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.2)

    async def scene():
        async with running() as port:
            for beginning in (b"", b"GET / HTTP/1.1\r\nhost: "):
                reader, writer = await connect(port)
                writer.write(beginning)
                assert await asyncio.wait_for(reader.read(), 60) == b""
                writer.close()
            reader, writer = await connect(port)
            for _ in range(2):  # the second request on a connection has its own time
                writer.write(GOOD)
                assert await reader.readuntil(b"ok")
            writer.write(GOOD[:5])
            assert await asyncio.wait_for(reader.read(), 60) == b""

    asyncio.run(scene())


def test_a_new_connection_takes_the_place_of_the_one_that_has_sent_its_headers_the_longest():
    async def scene():
        async with running(limit=3) as port:
            resting = await connect(port)
            resting[1].write(GOOD)
            await resting[0].readuntil(b"ok")
            half = [await connect(port) for _ in range(2)]
            for _, writer in half:
                writer.write(GOOD[:5])
            await asyncio.sleep(0.05)
            assert await status(port) == 200
            assert await asyncio.wait_for(half[0][0].read(), 60) == b""
            half[1][1].write(GOOD[5:])
            assert (await half[1][0].readline()).startswith(b"HTTP/1.1 200")
            resting[1].write(GOOD)
            assert (await resting[0].readline()).startswith(b"HTTP/1.1 200")

    asyncio.run(scene())


def test_a_large_body_in_many_parts_is_none_of_this():
    async def scene():
        async with running() as port:
            reader, writer = await connect(port)
            body = b"".join(b"1\r\na\r\n" for _ in range(20_000)) + b"0\r\n\r\n"
            writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" + body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    asyncio.run(scene())
