"""The echo server's life: start, end, TLS, Unix sockets, files, routes of one's own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from ktor_client import (
    ClientRequestError,
    CloseReason,
    ConnectError,
    HttpClient,
    HttpClientConfig,
    install,
)
from ktor_client.engine.registry import EngineFactory, engine_class
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer, Exchange, Response, echo_server
from ktor_client.testing.wire import ServerStream
from tests.support.cancellation import cancelled_at
from tests.support.certificates import client_context, server_context


async def test_it_echoes(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        assert server.url == f"ws://127.0.0.1:{server.port}"
        async with client.web_socket(f"{server.url}/echo") as session:
            for message in ("hello", "", "жук" * 100_000, b"\x00\xff", b"x" * 1_000_000):
                await session.send(message)
                frame = await session.incoming.receive()
                assert frame.data == (message.encode() if isinstance(message, str) else message)
        assert session.close_reason.clean
        response = await client.get(f"{server.http_url}/hello")
        assert await response.body_as_text() == "hello from the echo server"


async def test_its_end_closes_sessions_with_1001(engine: EngineFactory) -> None:
    async with HttpClient(engine, install(WebSockets)) as client:
        async with echo_server() as server:
            paths = ("/echo", "/silent", "/count-pong", "/stalled?id=end")
            sessions = [await client.web_socket_session(server.url + path) for path in paths]
            assert len(server.sessions) == 4
        assert server.connections == len(server.sessions) == 0
        for session in sessions:
            assert (await session.close_reason).received == CloseReason(1001)


async def test_its_end_frees_the_port_and_drops_what_hangs() -> None:
    async with echo_server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /silence HTTP/1.1\r\nHost: x\r\n\r\n")
        async with HttpClient(engine_class("aiohttp")) as client:
            await client.get(f"{server.http_url}/hello")
    for stream, sink in ((reader, writer), (idle_reader, idle_writer)):
        with suppress(ConnectionResetError):
            assert await stream.read() == b""
        sink.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_its_end_does_not_wait_for_a_client_that_does_not_read() -> None:
    async with echo_server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /chunks?n=0&size=1000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n")
        transport = cast("asyncio.Transport", writer.transport)
        transport.pause_reading()
    assert server.connections == 0
    writer.transport.abort()
    assert reader.exception() is None


async def test_its_end_when_connections_have_just_come_or_gone() -> None:
    for wait in range(8):  # steps of the loop between the client's call and the server's end
        async with echo_server() as server:
            pairs = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
            pairs[0][1].close()
            for _ in range(wait):
                await asyncio.sleep(0)
        assert server.connections == 0
        for reader, writer in pairs:
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()


async def test_its_end_when_connections_wait_to_be_accepted() -> None:
    for wait in (0, 1, 3, 4):  # after two steps, asyncio itself forgets the accepted socket
        async with echo_server() as server:
            # Blocking sockets: the loop has not seen the connection when this returns.
            waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
            for _ in range(wait):
                await asyncio.sleep(0)
        assert server.connections == 0
        for client in waiting:
            client.setblocking(False)
            with client, suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


async def test_its_end_without_a_beginning() -> None:
    server = EchoServer()
    await server.close()
    await server.close()
    assert server.connections == 0


async def test_a_taken_port_is_an_os_error() -> None:
    async with echo_server() as server:
        with pytest.raises(OSError, match="in use"):
            async with echo_server(port=server.port):
                pytest.fail("two servers on one port")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_ipv6_stands_in_brackets() -> None:
    async with echo_server("::1") as server, HttpClient(engine_class("aiohttp")) as client:
        assert server.url == f"ws://[::1]:{server.port}"
        assert (await client.get(f"{server.http_url}/hello")).status == 200


async def test_tls(engine: EngineFactory) -> None:
    made = partial(engine, ssl_context=client_context())
    async with (
        echo_server(ssl_context=server_context()) as server,
        HttpClient(made, install(WebSockets)) as client,
    ):
        assert server.url == f"wss://127.0.0.1:{server.port}"
        async with client.web_socket(f"{server.url}/echo") as session:
            await session.send("x" * 200_000)
            assert await session.receive_text() == "x" * 200_000
        assert session.close_reason.clean
        assert (await client.get(f"{server.http_url}/hello")).status == 200


async def test_tls_outlives_clients_that_speak_something_else() -> None:
    async with echo_server(ssl_context=server_context()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        assert b"HTTP/" not in answer
        writer.close()
        async with HttpClient(engine_class("aiohttp")) as client:
            with pytest.raises(ConnectError):  # our authority is not known to it
                await client.get(f"{server.http_url}/hello")
        half, silent = await asyncio.open_connection("127.0.0.1", server.port)
    assert await half.read() == b""
    silent.close()


class Hasty(ServerStream):
    """Reads as soon as a connection is made, as on uvloop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.resume_reading()


async def test_a_tls_handshake_that_begins_before_it_is_waited_for() -> None:
    loop = asyncio.get_running_loop()
    made: asyncio.Future[ServerStream] = loop.create_future()
    listener = await loop.create_server(lambda: Hasty(made.set_result), "127.0.0.1", 0)
    async with listener:
        address = listener.sockets[0].getsockname()
        client = asyncio.create_task(
            asyncio.open_connection(*address, ssl=client_context(), server_hostname="127.0.0.1")
        )
        stream = await made
        await stream.read(0)  # the first bytes are here
        await stream.begin(server_context())
        reader, writer = await client
        writer.write(b"hello")
        assert await stream.read(5) == b"hello"
        await stream.aclose()
        with suppress(OSError):
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("when", ["before", "within", "cancelled"])
async def test_a_tls_handshake_that_ends_as_it_begins(when: str) -> None:
    """Dropped by the client who has said hello, or cancelled: no task of it is left."""
    made: asyncio.Future[ServerStream] = asyncio.get_running_loop().create_future()
    listener = await asyncio.get_running_loop().create_server(
        lambda: Hasty(made.set_result), "127.0.0.1", 0
    )
    async with listener:
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        writer.write(b"\x16 for instance")
        stream = await made
        await stream.read(0)  # the first bytes are here
        if when == "cancelled":
            await cancelled_at(stream.begin(server_context()), 1)
        else:
            if when == "before":
                stream.abort()
            beginning = asyncio.create_task(stream.begin(server_context()))
            await asyncio.sleep(0)
            stream.abort()
            with pytest.raises(ConnectionResetError, match="before the TLS handshake"):
                await beginning
        assert stream.is_lost
        with suppress(OSError):
            assert await reader.read() == b""
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_a_connection_that_is_dropped_during_its_tls_handshake() -> None:
    loop = asyncio.get_running_loop()
    made: asyncio.Future[ServerStream] = loop.create_future()
    listener = await loop.create_server(lambda: ServerStream(made.set_result), "127.0.0.1", 0)
    async with listener:
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        stream = await made
        handshake = asyncio.create_task(stream.begin(server_context()))
        await asyncio.sleep(0)
        stream.transport.abort()
        with pytest.raises(ConnectionResetError, match="during the TLS handshake"):
            await handshake
        assert stream.is_lost
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
async def test_a_unix_socket(engine: EngineFactory, tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "echo")
    made = partial(engine, unix_socket=path)
    async with echo_server(unix_socket=path), HttpClient(made, install(WebSockets)) as client:
        async with client.web_socket("ws://localhost/echo") as session:
            await session.send("hello")
            assert await session.receive_text() == "hello"


async def test_files(client: HttpClient, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "index.html").write_text("<p>page</p>")
    (site / "sub" / "code.mjs").write_text("export {}")
    (site / "core.wasm").write_bytes(b"\0asm")
    (site / "blob.unknown").write_bytes(b"?")
    (tmp_path / "secret").write_text("secret")
    headers = {"Cross-Origin-Opener-Policy": "same-origin"}
    async with echo_server(files={"/page": site}, file_headers=headers) as server:
        for path, kind, body in (
            ("/page/", "text/html; charset=utf-8", b"<p>page</p>"),
            ("/page/sub/code.mjs", "text/javascript; charset=utf-8", b"export {}"),
            ("/page/core.wasm", "application/wasm", b"\0asm"),
            ("/page/blob.unknown", "application/octet-stream", b"?"),
        ):
            response = await client.get(server.http_url + path)
            assert (response.status, response.headers["content-type"]) == (200, kind)
            assert response.headers["cross-origin-opener-policy"] == "same-origin"
            assert await response.body_as_bytes() == body
        for path in ("/page/none", "/page/%2e%2e/secret", "/page/%2Fetc/passwd", "/page/sub/"):
            assert (await client.get(server.http_url + path)).status == 404


async def test_a_folder_without_its_slash(client: HttpClient, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>page</p>")
    async with echo_server(files={"/page": tmp_path}) as server:
        for query in ("", "?a=1&b=%3F"):
            response = await client.get(f"{server.http_url}/page{query}")
            assert str(response.request.url) == f"{server.http_url}/page/{query}"
            assert await response.body_as_text() == "<p>page</p>"
        assert (await client.get(f"{server.http_url}/pages")).status == 404


async def test_folders_by_prefix(client: HttpClient, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(name)
    files = {"/first": tmp_path / "a", "/second/": tmp_path / "b"}
    async with echo_server(files=files) as server:
        for path, status in (("/first/x.txt", 200), ("/second/x.txt", 200), ("/third/x.txt", 404)):
            assert (await client.get(server.http_url + path)).status == status


async def test_a_route_of_ones_own(client: HttpClient, server: EchoServer) -> None:
    async def count(exchange: Exchange) -> Response:
        return Response.json([int(n) for n in exchange.query["n"].split(",")], 201)

    server.routes["/mine/"] = count
    response = await client.get(f"{server.http_url}/mine/below/it", params={"n": "1,2"})
    assert response.status == 201
    assert await response.body(list[int]) == [1, 2]


async def test_an_empty_chunk_does_not_end_the_body(client: HttpClient, server: EchoServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"", b"b"):
            yield chunk

    async def route(exchange: Exchange) -> Response:
        return Response(200, chunks())

    server.routes["/mine"] = route
    assert await (await client.get(f"{server.http_url}/mine")).body_as_bytes() == b"ab"


async def test_a_route_that_fails_is_logged(
    client: HttpClient, server: EchoServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(exchange: Exchange) -> Response | None:
        if exchange.query:
            return None
        raise LookupError("not today")

    server.routes["/broken"] = broken
    for query, text in (("", "not today"), ("?none", "returned no Response")):
        caplog.clear()
        with caplog.at_level(logging.ERROR, "ktor_client.testing"), pytest.raises(ConnectError):
            await client.get(f"{server.http_url}/broken{query}")
        assert text in str(caplog.records[0].exc_info)


async def test_the_index_names_every_route(client: HttpClient, server: EchoServer) -> None:
    text = await (await client.get(server.http_url)).body_as_text()
    lines = {line.split()[0] for line in text.splitlines() if line.startswith("/")}
    assert lines == {path.rstrip("/") or "/" for path in server.routes}
    assert all(len(line.split()) > 1 for line in text.splitlines() if line.startswith("/"))


async def test_what_is_not_there_is_404(client: HttpClient, server: EchoServer) -> None:
    with pytest.raises(ClientRequestError, match="404"):
        async with client.config(expect) as strict:
            await strict.get(f"{server.http_url}/nowhere/at/all")
    for path in ("/echo", "/hello", "/status/204", "/"):
        plain = await client.get(server.http_url + path)
        prefixed = await client.get(f"{server.http_url}/websockets{path}")
        assert plain.status == prefixed.status


def expect(config: HttpClientConfig) -> None:
    config.expect_success = True
