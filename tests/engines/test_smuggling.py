"""What never leaves: a request that a server could take for another one, or for two.

Whoever asks for it, a caller or a layer, is told before a byte is sent. What never comes back is
in `test_cases.py` and `test_surplus.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import httpx
import pytest

from ktor_client import Headers, HttpClient, HttpMethod, InvalidUrlError, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine, HttpxEngine, MockEngine, TestEngine
from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import Body, HttpRequest
from ktor_client.plugin import PluginScope, Send
from ktor_client.plugins import WebSockets, client_plugin
from tests.support.raw_server import Peer, raw_server

INJECTED = "a\r\nContent-Length: 0\r\n\r\nGET /evil HTTP/1.1\r\nX: y"
BAD = (INJECTED, "a\rb", "a\nb", "a\x00b", "a\x0bb", "a\x7fb", "a\x01b")


@client_plugin
def changing(scope: PluginScope, *, change: Callable[[HttpRequest], HttpRequest]) -> None:
    """Change each request in a layer, above all the others' checks."""

    async def layer(request: HttpRequest, send: Send) -> Any:
        return await send(change(request))

    scope.on_send(layer)


def adding(*fields: tuple[str, str]) -> Callable[[HttpRequest], HttpRequest]:
    return lambda request: request.copy(headers=Headers([*request.headers.fields(), *fields]))


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@asynccontextmanager
async def server_that_hears_nothing() -> AsyncGenerator[str, None]:
    """Return the URL of a server that must not get a whole request."""
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        heard.append(await peer.reader.read())

    async with raw_server(script) as server, asyncio.timeout(30):
        yield f"http://127.0.0.1:{server.port}/"
    for request in filter(None, heard):  # one whose content turned out to be of another length
        head, _, content = request.lower().partition(b"\r\n\r\n")
        assert b"evil" not in request
        assert b"transfer-encoding" not in head
        assert len(content) < int(head.split(b"content-length: ")[1].split(b"\r\n")[0])


@pytest.mark.parametrize("bad", BAD, ids=ascii)
async def test_nothing_is_injected(engine: EngineFactory, bad: str) -> None:
    async with server_that_hears_nothing() as url, HttpClient(engine) as client:
        for headers in ({bad: "x"}, {"X-Id": bad}, {"Host": bad}, {"Cookie": bad}):
            with pytest.raises(UnsafeHeaderError):
                await client.get(url, headers=headers)
        with pytest.raises(ValueError, match="is not an HTTP method"):
            await client.request(bad, url)
        with pytest.raises(InvalidUrlError):
            await client.get(f"http://127.0.0.1{bad}/")
        with pytest.raises(UnsafeHeaderError):
            await client.post(url, body=Body(lambda: in_pieces(b"x"), content_type=bad))


@pytest.mark.parametrize("place", ["path", "query"])
@pytest.mark.parametrize("bad", BAD, ids=ascii)
async def test_a_target_is_encoded_or_refused(engine: EngineFactory, bad: str, place: str) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        heads.append(peer.request)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with raw_server(script) as server, asyncio.timeout(30), HttpClient(engine) as client:
        url = f"http://127.0.0.1:{server.port}/"
        try:
            await client.get(f"{url}{bad}" if place == "path" else f"{url}?{bad}")
        except InvalidUrlError:
            pass
        else:
            line, *_ = heads[0].split(b"\r\n")
            assert line.count(b" ") == 2
            assert not any(byte < 0x20 or byte == 0x7F for byte in line)
            assert b"evil" not in b"".join(heads[0].split(b"\r\n")[1:])


CHANGES: dict[str, Callable[[HttpRequest], HttpRequest]] = {
    "chunked": adding(("Transfer-Encoding", "chunked")),
    "chunked in capitals": adding(("TRANSFER-ENCODING", "Chunked")),
    "another coding": adding(("Transfer-Encoding", "gzip, chunked")),
    "a length that is less": adding(("Content-Length", "2")),
    "a length that is more": adding(("Content-Length", "50")),
    "a length that is none": adding(("Content-Length", "5, 5")),
    "a length with a sign": adding(("Content-Length", "+5")),
    "two lengths": adding(("Content-Length", "5"), ("content-length", "0")),
    "an upgrade": adding(("Upgrade", "h2c"), ("Connection", "upgrade")),
    "a blank in the host": adding(("Host", "a b")),
    "a path in the host": adding(("Host", "a/b")),
    "a user in the host": adding(("Host", "a@b")),
    "two hosts in one": adding(("Host", "a, b")),
    "a handshake's key": adding(("Sec-WebSocket-Key", "x")),
    "a method": lambda request: request.copy(method="GET /evil HTTP/1.1\r\n\r\nGET"),  # type: ignore[arg-type]  # as a layer without types may
    "a coding behind a blank": lambda request: HttpRequest(
        request.method, request.url, Headers([("Transfer-Encoding ", "chunked")]), request.body
    ),
    "a field within a name": lambda request: HttpRequest(
        request.method, request.url, Headers([("X: y\r\nZ", "evil")]), request.body
    ),
    "CONNECT": lambda request: request.copy(method=HttpMethod("connect")),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_a_layer_makes_is_checked(engine: EngineFactory, change: str) -> None:
    async with server_that_hears_nothing() as url:
        async with HttpClient(engine, install(changing, change=CHANGES[change])) as client:
            for body in (None, b"hello", in_pieces(b"hel", b"lo!")):
                with pytest.raises((UnsafeHeaderError, ValueError)):
                    await client.post(url, body=body)


async def test_a_body_that_a_layer_replaces(engine: EngineFactory) -> None:
    """The caller's `Content-Length` is that of the caller's body."""
    change = partial(HttpRequest.copy, body=b"hello, evil")
    async with server_that_hears_nothing() as url:
        async with HttpClient(engine, install(changing, change=change)) as client:
            with pytest.raises(UnsafeHeaderError, match="says 5 bytes, but the body has 11"):
                await client.post(url, body=b"hello", headers={"Content-Length": "5"})


async def test_a_handshake_that_a_layer_changes(engine: EngineFactory) -> None:
    for fields in (("Connection", "close"), ("Upgrade", "x"), ("Content-Length", "3")):
        plugins = install(WebSockets), install(changing, change=adding(fields))
        async with server_that_hears_nothing() as url, HttpClient(engine, *plugins) as client:
            with pytest.raises(UnsafeHeaderError):
                await client.web_socket_session(url.replace("http", "ws"))


@pytest.mark.parametrize("name", ["aiohttp", "httpx", "mock", "test"])
async def test_the_others_are_asked_for_nothing_of_the_kind(name: str) -> None:
    """A session or client of the caller's, and the engines without sockets."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing was to come")

    async with aiohttp.ClientSession() as session, httpx.AsyncClient() as theirs:
        engines: dict[str, Callable[[], Any]] = {
            "aiohttp": lambda: AiohttpEngine(session=session),
            "httpx": lambda: HttpxEngine(client=theirs),
            "mock": MockEngine,
            "test": lambda: TestEngine(application, lifespan=False),
        }
        for change in CHANGES.values():
            plugin = install(changing, change=change)
            async with server_that_hears_nothing() as url:
                async with HttpClient(engines[name](), plugin) as client:
                    with pytest.raises((UnsafeHeaderError, ValueError)):
                        await client.post(url, body=b"hello")


async def test_a_streamed_body_of_another_length_ends_the_connection(
    engine: EngineFactory,
) -> None:
    """What is missing or too much must not be taken for, or from, the next request."""
    for length, pieces in ((3, (b"he", b"llo")), (9, (b"he", b"llo"))):
        heard: list[bytes] = []

        async def script(peer: Peer, heard: list[bytes] = heard) -> None:
            heard.append(await peer.reader.read())

        async with raw_server(script) as server, asyncio.timeout(30):
            async with HttpClient(engine(limit=1)) as client:
                url = f"http://127.0.0.1:{server.port}/"
                body = Body(partial(in_pieces, *pieces), length=length)
                with pytest.raises(UnsafeHeaderError, match=f"says {length} bytes"):
                    await client.post(url, body=body)
                await client.engine.close()
            await server.finished.wait()
        head, _, content = heard[0].partition(b"\r\n\r\n")
        assert f"content-length: {length}".encode() in head.lower()
        assert len(content) <= length


async def test_a_body_that_fails_in_the_moment_of_its_answer_ends_the_connection(
    engine: EngineFactory,
) -> None:
    """The server still waits for the rest, and would take the next request for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        async def failing() -> AsyncGenerator[bytes]:
            yield b"half"
            peer, _ = server.accept()  # the answer is there before the loop looks again
            peers.append(peer)
            peer.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            raise KeyError

        peers: list[socket.socket] = []
        async with asyncio.timeout(30), HttpClient(engine(limit=1)) as client:
            try:  # which of the two is heard first depends on the loop
                response = await client.post(url, body=Body(failing, length=9))
                assert response.status == 401
            except KeyError:
                pass
            server.setblocking(False)
            following = asyncio.create_task(client.get(url))
            peer, _ = await asyncio.get_running_loop().sock_accept(server)
            peers.append(peer)
            assert (await asyncio.get_running_loop().sock_recv(peer, 4)) == b"GET "
            peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert (await following).status == 204
            await client.engine.close()
        for peer in peers:
            peer.close()


async def test_a_body_that_fails_as_connections_do_is_sent_once(engine: EngineFactory) -> None:
    """It is no sign that the kept connection has died."""
    opened = 0

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        await peer.reader.read()

    async def failing() -> AsyncGenerator[bytes]:
        nonlocal opened
        opened += 1
        yield b"half"
        raise ConnectionResetError("of where it comes from")

    async with raw_server(script) as server, asyncio.timeout(30):
        async with HttpClient(engine()) as client:
            url = f"http://127.0.0.1:{server.port}/"
            await client.get(url)
            with pytest.raises(ConnectionResetError, match="of where it comes from"):
                await client.put(url, body=Body(failing))
            await client.engine.close()
    assert opened == 1
