"""Plain HTTP through each socket engine."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from ktor_client.engine.registry import EngineFactory
from ktor_client.errors import ConnectError
from ktor_client.http import Headers, HttpMethod, HttpRequest, RequestBody, Url
from tests.support.cancellation import cancelled_at
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get

if TYPE_CHECKING:
    from pytest_aiohttp import AiohttpServer


async def _describe(request: web.Request) -> web.Response:
    """Tell what came."""
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[n.decode(), v.decode()] for n, v in request.raw_headers],
            "body": (await request.read()).decode(),
        }
    )


@pytest.fixture
async def url(aiohttp_server: AiohttpServer) -> str:
    """An aiohttp server's root; it describes each request."""
    app = web.Application()

    async def cookie(_: web.Request) -> web.Response:
        response = web.Response(text="sweet")
        response.set_cookie("flavour", "oat")
        return response

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def chunks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Twice": "1", "Server": "test"})
        response.headers.add("X-Twice", "2")
        await response.prepare(request)
        for _ in range(50):
            await response.write(b"0123456789" * 1000)
        return response

    app.router.add_get("/cookie", cookie)
    app.router.add_get("/away", away)
    app.router.add_get("/chunks", chunks)
    app.router.add_route("*", "/{rest:.*}", _describe)
    server = await aiohttp_server(app)
    return str(server.make_url("/"))


def request(
    url: str,
    method: HttpMethod = HttpMethod.Get,
    *fields: tuple[str, str],
    body: RequestBody | None = None,
) -> HttpRequest:
    return HttpRequest(method, Url.parse(url), Headers(fields), body)


async def _pieces() -> AsyncIterator[bytes]:
    for piece in (b"one ", b"", b"two ", b"three"):
        yield piece


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("kind", ["none", "empty", "bytes", "stream"])
async def test_methods_and_bodies(engine: EngineFactory, url: str, method: str, kind: str) -> None:
    bodies: dict[str, RequestBody | None] = {
        "none": None,
        "empty": b"",
        "bytes": b"one two three",
        "stream": _pieces(),
    }
    client = engine()
    response = await client.execute(
        request(f"{url}x?y=1", HttpMethod(method), ("X-Id", "7"), body=bodies[kind])
    )
    seen = await response.body(dict)
    assert response.status == 200
    assert seen["method"] == method
    assert seen["target"] == "/x?y=1"
    assert seen["body"] == ("" if kind in ("none", "empty") else "one two three")
    names = [name.lower() for name, _ in seen["headers"]]
    assert len(names) == len(set(names))
    sent = {name.lower(): value for name, value in seen["headers"]}
    assert sent["x-id"] == "7"
    assert sent["accept"] == "*/*"
    assert "gzip" in sent["accept-encoding"]
    assert "user-agent" not in sent
    assert "content-type" not in sent
    if kind == "bytes":
        assert sent["content-length"] == "13"
    if kind == "stream":
        assert sent["transfer-encoding"] == "chunked"
    await client.close()


async def test_the_callers_headers_come_first(engine: EngineFactory, url: str) -> None:
    client = engine()
    fields = (("accept", "text/plain"), ("Accept-Encoding", "identity"), ("X-A", "1"), ("X-A", "ü"))
    response = await client.execute(request(url, HttpMethod.Get, *fields))
    seen = Headers([(name, value) for name, value in (await response.body(dict))["headers"]])
    assert seen["Accept"] == "text/plain"
    assert seen["accept-encoding"] == "identity"
    assert seen.get_all("x-a") == ["1", "ü"]
    await client.close()


async def test_a_stream_with_a_length_is_not_chunked(engine: EngineFactory, url: str) -> None:
    client = engine()
    length = ("Content-Length", "13")
    response = await client.execute(request(url, HttpMethod.Post, length, body=_pieces()))
    seen = await response.body(dict)
    assert seen["body"] == "one two three"
    assert "transfer-encoding" not in [name.lower() for name, _ in seen["headers"]]
    await client.close()


async def test_no_cookies_are_kept(engine: EngineFactory, url: str) -> None:
    client = engine()
    response = await client.execute(get(f"{url}cookie"))
    assert await response.body_as_text() == "sweet"
    assert "flavour=oat" in response.headers["set-cookie"]
    seen = await (await client.execute(get(url))).body(dict)
    assert "cookie" not in [name.lower() for name, _ in seen["headers"]]
    await client.close()


async def test_redirects_are_not_followed(engine: EngineFactory, url: str) -> None:
    client = engine()
    response = await client.execute(get(f"{url}away"))
    assert (response.status, response.headers["location"]) == (302, "/elsewhere")
    await response.close()
    await client.close()


async def test_a_redirect_to_nowhere_is_a_response(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = b"HTTP/1.1 302 Found\r\nLocation: http://[::bad/\r\n"
        await peer.send(head + b"Content-Length: 2\r\n\r\nno")

    client = engine()
    async with raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert (response.status, response.headers["location"]) == (302, "http://[::bad/")
        assert await response.body_as_bytes() == b"no"
        await client.close()


async def test_a_packed_body_in_single_bytes(engine: EngineFactory) -> None:
    packed = gzip.compress(b"unpacked" * 20)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n")
        await peer.send(f"Content-Length: {len(packed)}\r\n\r\n".encode())
        for byte in packed:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)

    client = engine()
    async with raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = [chunk async for chunk in response.chunks()]
        assert b"".join(chunks) == b"unpacked" * 20
        assert all(chunks)
        await client.close()


async def test_closed_while_another_task_reads(engine: EngineFactory) -> None:
    """The reader hears of it; nobody waits for ever."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart")
        await peer.read_eof()

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = response.chunks()
        assert await anext(chunks) == b"start"
        reader = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        await response.close()
        with pytest.raises(ConnectError):
            await reader
        await client.close()


async def test_the_head_and_a_streamed_body(engine: EngineFactory, url: str) -> None:
    client = engine()
    response = await client.execute(get(f"{url}chunks"))
    assert response.http_version == "1.1"
    assert response.reason == "OK"
    assert response.headers.get_all("x-twice") == ["1", "2"]
    body = b"".join([chunk async for chunk in response.chunks()])
    assert body == b"0123456789" * 50_000
    await response.close()
    await client.close()


async def test_a_head_has_no_body(engine: EngineFactory, url: str) -> None:
    client = engine()
    response = await client.execute(request(url, HttpMethod.Head))
    assert response.status == 200
    assert await response.body_as_bytes() == b""
    await client.close()


async def test_a_body_that_nobody_reads_is_dropped(engine: EngineFactory) -> None:
    """Closing early frees the slot and ends the connection; the next request gets a new one."""
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nstart")
        try:
            await peer.read_eof()
        except OSError:
            return

    client = engine(limit=1)
    async with raw_server(script) as server, asyncio.timeout(20):
        for _ in range(2):
            response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
            chunks = response.chunks()
            assert await anext(chunks) == b"start"
            await response.close()
            await response.close()
            await chunks.aclose()
        await client.close()
    assert connections == 2


async def test_a_whole_body_gives_the_connection_back(engine: EngineFactory) -> None:
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        for _ in range(3):
            await peer.read_request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.read_eof()

    client = engine(limit=1)
    async with raw_server(script) as server, asyncio.timeout(20):
        for _ in range(3):
            response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
            assert await response.body_as_bytes() == b"ok"
        await client.close()
    assert connections == 1


async def test_a_response_that_two_close_at_a_time(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        await peer.read_eof()

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = response.chunks()
        assert await anext(chunks) == b"only this"
        # The second one is that of an async generator.
        await asyncio.gather(response.close(), chunks.aclose())
        await client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n",
    ],
    ids=["short", "unfinished", "bad chunk"],
)
async def test_a_broken_body(engine: EngineFactory, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(answer)

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        with pytest.raises(ConnectError, match=f"{type(client).__name__} .*127.0.0.1:") as e:
            await (await client.execute(get(f"http://127.0.0.1:{server.port}/"))).body_as_bytes()
        assert e.value.__cause__ is not None
        await client.close()


class OwnError(Exception):
    """The user's."""


class OwnEnd(BaseException):
    """The user's, and no `Exception`."""


@pytest.mark.parametrize(
    "error",
    [
        OwnError("mine"),
        OSError("mine"),
        ValueError("mine"),
        OwnEnd("mine"),
        asyncio.CancelledError("mine"),  # as of a task that the body waits for
    ],
    ids=repr,
)
async def test_the_users_own_error_comes_out_unchanged(
    engine: EngineFactory, url: str, error: BaseException
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        raise error

    client = engine()
    with pytest.raises(type(error)) as caught:
        await client.execute(request(url, HttpMethod.Post, body=body()))
    assert caught.value is error
    await client.close()


async def test_an_answer_before_the_upload_ends(engine: EngineFactory) -> None:
    """The server refuses early; its answer is told, and the upload is dropped."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.wait_for(server.finished.wait(), 10)
        for _ in range(200):
            yield b"x" * 65536

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        response = await client.execute(
            request(f"http://127.0.0.1:{server.port}/", HttpMethod.Post, body=body())
        )
        assert response.status == 413
        assert await response.body_as_bytes() == b"big"
        await client.close()


async def test_an_answer_whose_end_comes_while_the_body_still_leaves(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nearly")
        peer.writer.write_eof()
        with contextlib.suppress(OSError):
            await peer.read_eof()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * (16 << 20)  # more than the kernel takes

    client = engine(limit=1)
    async with raw_server(script) as server, asyncio.timeout(20):
        for _ in range(2):
            response = await client.execute(
                request(f"http://127.0.0.1:{server.port}/", HttpMethod.Post, body=body())
            )
            assert await response.body_as_bytes() == b"early"
        await client.close()


async def test_cancelled_at_every_await(engine: EngineFactory) -> None:
    """Wherever a request is cancelled, the next one gets the only slot."""

    async def script(peer: Peer) -> None:
        try:
            while True:
                await peer.read_request()
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
                await peer.send(b"body")
        except (asyncio.IncompleteReadError, OSError):
            return

    client = engine(limit=1)

    async def whole() -> bytes:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        try:
            return await response.body_as_bytes()
        finally:
            await response.close()

    async with raw_server(script) as server, asyncio.timeout(40):
        body, at = None, 0
        while body is None:
            at += 1
            body = await cancelled_at(whole(), at)
            assert await whole() == b"body"
        assert body == b"body"
        await client.close()
    assert at > 1


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        ("text", r"yields bytes, not str; encode it: text.encode\(\)$"),
        (5, "yields bytes, not int$"),
    ],
)
async def test_an_upload_of_something_else_than_bytes(
    engine: EngineFactory, url: str, chunk: Any, told: str
) -> None:
    async def chunks() -> AsyncIterator[Any]:
        yield chunk

    client = engine()
    request = HttpRequest(HttpMethod.Post, Url.parse(url), body=chunks())
    with pytest.raises(TypeError, match=f"a streamed body {told}"):
        await client.execute(request)
    await client.close()
