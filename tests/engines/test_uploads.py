"""Request bodies of every kind, through each engine to a real server."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import httpx
import pytest

from ktor_client import Body, FilePart, HttpClient, HttpRequestBuilder, install, on_upload
from ktor_client.config import Block
from ktor_client.engine import HttpClientEngine
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine, HttpxEngine, MockEngine
from ktor_client.errors import ConnectError, RedirectError, UnsafeHeaderError
from ktor_client.plugins import BodyProgress, ContentEncoding, Logging, LogLevel
from ktor_client.testing import EchoServer, echo_server
from tests.support.raw_server import Peer, raw_server


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        yield server


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b""
    yield b"two"


async def told(client: HttpClient, server: EchoServer, **content: Any) -> dict[str, Any]:
    """Return what the server has seen of a POST: names of headers in lower case."""
    response = await client.post(f"{server.http_url}/request", **content)
    seen: dict[str, Any] = await response.body(dict)
    headers = [(name.lower(), value) for name, value in seen["headers"]]
    assert len(dict(headers)) == len(headers)
    return {**dict(headers), "body": seen["body"]}


async def test_bodies_of_a_known_length(
    engine: EngineFactory, server: EchoServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a file")
    async with HttpClient(engine) as client:
        with path.open("rb") as file:
            for body, content in (
                ("text", "text"),
                (bytearray(b"array"), "array"),
                (memoryview(b"view"), "view"),
                (io.BytesIO(b"memory"), "memory"),
                (path, "a file"),
                (file, "a file"),
                (Body(pieces, 7), "one two"),
            ):
                seen = await told(client, server, body=body)
                assert seen["body"] == content
                assert seen["content-length"] == str(len(content))
                assert "transfer-encoding" not in seen


async def test_bodies_of_unknown_length(engine: EngineFactory, server: EchoServer) -> None:
    async with HttpClient(engine) as client:
        for body in (pieces(), Body(pieces)):
            seen = await told(client, server, body=body)
            assert seen["body"] == "one two"
            assert seen["transfer-encoding"] == "chunked"
            assert "content-length" not in seen


@pytest.mark.parametrize(
    "plugin",
    [
        install(ContentEncoding, compress="gzip"),
        install(BodyProgress),
        install(Logging, level=LogLevel.BODY),
    ],
    ids=str,
)
async def test_what_a_plugin_passes_on_is_closed_with_the_upload(
    engine: EngineFactory, plugin: Block
) -> None:
    ends: list[str] = []
    asked = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield os.urandom(1 << 20)
        finally:
            ends.append("closed")

    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.set()
        await asyncio.Event().wait()

    content = endless()  # which is kept, so that nobody else closes it
    async with asyncio.timeout(20), raw_server(script) as at:
        async with HttpClient(engine, install(BodyProgress), plugin) as client:
            url = at.url.replace("ws", "http", 1)
            sending = asyncio.ensure_future(client.post(url, on_upload(_ignore), body=content))
            await asked.wait()
            for _ in range(100):  # until the buffers are full
                await asyncio.sleep(0)
            sending.add_done_callback(lambda _: ends.append("sent"))
            sending.cancel()
            await asyncio.wait({sending})
            assert ends == ["closed", "sent"]  # nobody's task has closed it later


def _ignore(done: int, total: int | None) -> None:
    """Watch an upload, and do nothing about it."""


async def test_forms(engine: EngineFactory, server: EchoServer, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a file")
    async with HttpClient(engine) as client:
        seen = await told(client, server, form={"a": "1 2", "b": ["x", "y"]})
        assert seen["body"] == "a=1+2&b=x&b=y"
        assert seen["content-type"] == "application/x-www-form-urlencoded"
        seen = await told(client, server, form={"a": "1"}, files={"f": path, "g": b"bytes"})
        assert seen["content-type"].startswith("multipart/form-data; boundary=")
        assert seen["content-length"] == str(len(seen["body"]))
        boundary = seen["content-type"].partition("boundary=")[2]
        assert seen["body"].count(f"--{boundary}") == 4
        assert (
            'name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\na file\r\n'
            in (seen["body"])
        )
        seen = await told(client, server, files=[("f", FilePart(Body(pieces), "s"))])
        assert seen["transfer-encoding"] == "chunked"


async def test_a_long_body_warns_of_nothing(engine: EngineFactory, server: EchoServer) -> None:
    data = bytes(range(256)) * 8 * 1024  # 2 MiB
    async with (
        aiohttp.ClientSession() as session,
        httpx.AsyncClient() as httpx_client,
    ):
        engines: list[HttpClientEngine] = [
            engine(),
            AiohttpEngine(session=session),
            HttpxEngine(client=httpx_client),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for one in engines:
                async with HttpClient(one) as client, asyncio.timeout(30):
                    response = await client.post(f"{server.http_url}/echo-body", body=data)
                    assert await response.body_as_bytes() == data
                await one.close()


async def test_a_big_file(engine: EngineFactory, server: EchoServer, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * 12_000)
    async with HttpClient(engine) as client, asyncio.timeout(30):
        response = await client.post(f"{server.http_url}/echo-body", body=path)
        assert await response.body_as_bytes() == path.read_bytes()


async def test_nobody_looks_for_more_behind_the_end_of_a_file(
    engine: EngineFactory, tmp_path: Path
) -> None:
    answered = threading.Event()
    connections: list[Peer] = []

    class File(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 10:
                answered.wait(10)
            return super().read(size)

    async def script(peer: Peer) -> None:
        connections.append(peer)
        with suppress(asyncio.IncompleteReadError):  # the client is closed
            while True:
                await peer.read_request()
                await peer.reader.readexactly(10)
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    path = tmp_path / "a.txt"
    path.write_text("0123456789")
    async with asyncio.timeout(60), raw_server(script) as at, HttpClient(engine) as client:
        with File(io.FileIO(path)) as file:
            for _ in range(3):
                file.seek(0)
                await client.post(at.url.replace("ws", "http", 1), body=file)
            answered.set()
    assert len(connections) == 1


async def test_redirects_open_a_body_again(
    engine: EngineFactory, server: EchoServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a file")
    url = f"{server.http_url}/redirect?to=/echo-body&status=307"
    async with HttpClient(engine) as client:
        for body, content in ((path, "a file"), (Body(pieces), "one two"), ("text", "text")):
            assert await (await client.post(url, body=body)).body_as_text() == content
        with pytest.raises(RedirectError, match=r"this one \(async_generator\) can be sent only"):
            await client.post(url, body=pieces())
        response = await client.post(url, files={"f": path})
        assert "a file" in await response.body_as_text()


async def test_a_body_that_is_not_of_its_length(engine: EngineFactory, server: EchoServer) -> None:
    async with HttpClient(engine) as client, asyncio.timeout(20):
        for length, is_told in ((6, "has 7 or more"), (8, "has 7;")):
            with pytest.raises(UnsafeHeaderError, match=is_told):
                await client.post(f"{server.http_url}/echo-body", body=Body(pieces, length))
        assert (await client.get(f"{server.http_url}/hello")).status == 200


@pytest.mark.parametrize("length", ["Content-Length: 7", "Transfer-Encoding: chunked"])
async def test_an_answer_before_the_reset_that_stops_the_upload(
    engine: EngineFactory, length: str
) -> None:
    content = "7\r\ntoo big\r\n0\r\n\r\n" if "chunked" in length else "too big"
    answered = threading.Event()

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while b"begin" not in connection.recv(1024):
                pass
            connection.sendall(f"HTTP/1.1 413 No\r\n{length}\r\n\r\n{content}".encode())
        answered.set()  # and what was not read has reset the connection

    async def body() -> AsyncIterator[bytes]:
        yield b"begin"
        yield b"more" * 5_000
        answered.wait()  # nothing is read meanwhile
        yield b"the piece that meets the reset"
        yield b"and another"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = asyncio.create_task(asyncio.to_thread(refuse, listener))
        async with HttpClient(engine) as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            response = await client.post(url, body=body())
            assert (response.status, await response.body_as_text()) == (413, "too big")
        await refusing


async def endless_megabytes() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1 << 20)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 413 No\r\nContent-Length: 7\r\n\r\ntoo big",
        b"HTTP/1.1 103 Hm\r\n\r\nHTTP/1.1 413 No\r\nContent-Length: 7\r\n\r\ntoo big",
        b"HTTP/1.1 413 No\r\nConnection: close\r\n\r\ntoo big",
    ],
    ids=["413", "103", "until-close"],
)
@pytest.mark.parametrize("kind", ["bytes", "pieces"])
async def test_an_answer_of_a_server_that_reads_no_more(
    engine: EngineFactory, answer: bytes, kind: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        cast("asyncio.Transport", peer.writer.transport).pause_reading()
        await peer.send(answer)
        if b"Length" not in answer:
            peer.writer.write_eof()
        await heard.wait()

    heard = asyncio.Event()
    async with asyncio.timeout(20), raw_server(script) as at, HttpClient(engine) as client:
        try:
            body = bytes(1 << 25) if kind == "bytes" else endless_megabytes()
            response = await client.post(at.url.replace("ws", "http", 1), body=body)
            assert (response.status, await response.body_as_text()) == (413, "too big")
        finally:
            heard.set()


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b""])
async def test_the_end_of_a_server_that_reads_no_more(
    engine: EngineFactory, answer: bytes, kind: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        cast("asyncio.Transport", peer.writer.transport).pause_reading()
        await peer.send(answer)
        peer.writer.write_eof()
        await heard.wait()

    heard = asyncio.Event()
    async with asyncio.timeout(20), raw_server(script) as at, HttpClient(engine) as client:
        try:
            body = bytes(1 << 25) if kind == "bytes" else endless_megabytes()
            posting = client.post(at.url.replace("ws", "http", 1), body=body)
            if answer:
                assert (await posting).status == 200
            else:
                with pytest.raises(ConnectError, match="got no answer"):
                    await posting
        finally:
            heard.set()


async def test_what_a_call_takes() -> None:
    def block(request: HttpRequestBuilder) -> None:
        request.body = "from a block"

    async with HttpClient(MockEngine(lambda request: bytes(request.body or b""))) as client:  # type: ignore[arg-type]
        both: tuple[dict[str, Any], ...] = (
            {"body": "x", "json": 1},
            {"json": None, "form": {}},
            {"body": b"", "files": {}},
        )
        for two in both:
            with pytest.raises(TypeError, match=r"^give either "):
                await client.post("/", **two)
        with pytest.raises(UnsafeHeaderError, match="which has the boundary of the parts"):
            await client.post("/", files={"f": b""}, headers={"content-type": "multipart/x"})
        with pytest.raises(FileNotFoundError):
            await client.post("/", body=Path("/no/such/file"))
        assert await (await client.post("/", block)).body_as_text() == "from a block"
        response = await client.post("/", form={"a": 1}, headers={"Content-Type": "x/y"})
        assert response.request.headers.get_all("content-type") == ["x/y"]
