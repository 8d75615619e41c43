"""`connect_timeout` and `socket_timeout`: what they count, what they do not, and what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ktor_client import (
    ConnectTimeoutError,
    HttpClient,
    OpenTimeoutError,
    SocketTimeoutError,
    install,
    timeout,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import HttpTimeout, WebSockets
from tests.support.raw_server import Peer, Script, raw_server

SHORT = 0.4
UNFINISHED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
"""Seconds."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def silent_after(*pieces: bytes) -> Script:
    """Return a script that says so much to a request, and no more."""

    async def script(peer: Peer) -> None:
        try:
            await peer.read_request()
            await peer.send(*pieces)
            await peer.read_eof()
        except (asyncio.IncompleteReadError, OSError):
            return

    return script


# --- a connection ---


async def test_the_wait_for_a_free_connection(engine: EngineFactory) -> None:
    told = r"within 0.4 s \(connect_timeout\); it was still waiting for a free connection \(limit=1"
    async with (
        raw_server(silent_after(UNFINISHED)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1), install(WebSockets)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        for _ in range(2):
            async with client.prepare_get(url):
                with pytest.raises(ConnectTimeoutError, match=told) as caught:
                    await client.get(url, timeout(connect=SHORT))
                assert caught.value.nothing_sent
        await client.engine.close()


async def test_a_handshake_that_waits_for_a_free_connection(engine: EngineFactory) -> None:
    async with (
        raw_server(silent_after(UNFINISHED)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1), install(WebSockets, open_timeout=SHORT)) as client,
    ):
        async with client.prepare_get(f"http://127.0.0.1:{server.port}/"):
            with pytest.raises(OpenTimeoutError, match=r"a free connection \(limit=1\)"):
                await client.web_socket_session(server.url)
        await client.engine.close()


async def test_a_connection_that_takes_too_long(engine: EngineFactory) -> None:
    async def no_tls(peer: Peer) -> None:
        await peer.read_eof()

    async with (
        raw_server(no_tls) as server,
        asyncio.timeout(20),
        HttpClient(
            engine(limit=1), install(WebSockets), install(HttpTimeout, connect_timeout=SHORT)
        ) as client,
    ):
        for opening in (
            client.get(f"https://127.0.0.1:{server.port}/"),
            client.web_socket_session(f"wss://127.0.0.1:{server.port}/"),
        ):
            with pytest.raises(ConnectTimeoutError, match=r"0\.4 s \(connect_timeout\)"):
                await opening
        await client.engine.close()


async def test_a_limit_of_the_clients_and_one_of_the_requests(engine: EngineFactory) -> None:
    async with (
        raw_server(silent_after(UNFINISHED)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1), install(HttpTimeout, connect_timeout=SHORT)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        async with client.prepare_get(url):
            with pytest.raises(ConnectTimeoutError, match=r"0\.4 s"):
                await client.get(url)
            with pytest.raises(ConnectTimeoutError, match=r"0\.1 s"):
                await client.get(url, timeout(connect=0.1))
            lifted = asyncio.create_task(client.get(url, timeout(connect=None)))
            await asyncio.wait({lifted}, timeout=2 * SHORT)
            assert not lifted.done()
            lifted.cancel()
        await client.engine.close()


# --- silence ---


@pytest.mark.parametrize(
    ("said", "phase"),
    [
        (b"", "waiting for the answer"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "waiting for the rest of the answer's head"),
        (b"HTTP/1.1 200 OK\r\nCont", "waiting for the rest of the answer's head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nso much", "reading the body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "reading the body"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["read", "streamed"])
async def test_a_server_that_says_no_more(
    engine: EngineFactory, said: bytes, phase: str, streamed: bool
) -> None:
    async with (
        raw_server(silent_after(said)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1), install(HttpTimeout, socket_timeout=SHORT)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/?token=s3cret"
        told = rf"127.0.0.1:{server.port} .*for 0.4 s \(socket_timeout\); it was still {phase}$"
        for _ in range(2):  # the second needs the first one's slot
            with pytest.raises(SocketTimeoutError, match=told) as caught:
                if streamed:
                    async with client.prepare_get(url) as response:
                        async for _ in response.chunks():
                            pass
                else:
                    await client.get(url)
            assert type(client.engine).__name__ in str(caught.value)
            assert "s3cret" not in str(caught.value)
        await client.engine.close()


async def test_a_slow_answer_is_no_silence(engine: EngineFactory) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nin bytes"

    async def script(peer: Peer) -> None:
        await peer.read_request()
        for at in range(0, len(answer), 4):
            await peer.send(answer[at : at + 4])
            await asyncio.sleep(SHORT / 4)

    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        response = await client.get(f"http://127.0.0.1:{server.port}/", timeout(socket=SHORT))
        assert await response.body_as_text() == "in bytes"


async def test_a_slow_reader_is_no_silence(engine: EngineFactory) -> None:
    async with (
        raw_server(silent_after(OK[:-1], OK[-1:])) as server,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        async with client.prepare_get(url, timeout(socket=SHORT)) as response:
            await asyncio.sleep(2 * SHORT)
            assert await response.body_as_text() == "ok"


async def test_a_reader_that_holds_the_server_back(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        try:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n")
            await peer.send(bytes(8_000_000))
            await peer.read_eof()
        except OSError:
            return

    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        async with client.prepare_get(url, timeout(socket=SHORT)) as response:
            chunks = response.chunks()
            size = len(await anext(chunks))
            await asyncio.sleep(2 * SHORT)
            size += sum([len(chunk) async for chunk in chunks])
        assert size == 8_000_000


async def test_a_server_that_takes_nothing(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        try:
            await peer.read_request()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a duplex one
            await server.finished.wait()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            peer.writer.transport.abort()

    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(SocketTimeoutError, match=r"it was still sending the request$"):
            await client.post(url, timeout(socket=SHORT), body=bytes(20_000_000))


async def test_a_server_that_takes_its_time(engine: EngineFactory) -> None:
    """It counts what leaves; what the kernel still has must be little at the end."""
    limit, piece, slow = 1.0, 1_000_000, 40
    length = (slow + 12) * piece

    async def script(peer: Peer) -> None:
        await peer.read_request()
        for at in range(length // piece):
            await peer.reader.readexactly(piece)
            if at < slow:
                await asyncio.sleep(2 * limit / slow)
        await peer.send(OK)

    async with (
        raw_server(script) as server,
        asyncio.timeout(30),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        response = await client.post(url, timeout(socket=limit), body=bytes(length))
        assert response.status == 200


async def test_a_body_that_takes_its_time(engine: EngineFactory) -> None:
    async def hesitant() -> AsyncIterator[bytes]:
        await asyncio.sleep(2 * SHORT)
        yield bytes(1000)
        await asyncio.sleep(2 * SHORT)
        yield bytes(1000)
        await asyncio.sleep(2 * SHORT)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.reader.readuntil(b"\r\n0\r\n\r\n")
        await peer.send(OK)

    async with (
        raw_server(script) as server,
        asyncio.timeout(30),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        response = await client.post(url, timeout(socket=SHORT), body=hesitant())
        assert response.status == 200


async def test_a_server_that_does_not_ask_for_the_body(engine: EngineFactory) -> None:
    """It may know nothing of `Expect`; that we wait for its word is no silence."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        assert await peer.reader.readexactly(5) == b"hello"
        await peer.send(OK)
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine) as client:
        expecting = {"Expect": "100-continue"}
        url = f"http://127.0.0.1:{server.port}/"
        await client.post(url, timeout(socket=SHORT), body=b"hello", headers=expecting)


async def test_a_handshake_that_is_not_answered(engine: EngineFactory) -> None:
    async with (
        raw_server(silent_after(b"HTTP/1.1 101 Swit")) as server,
        asyncio.timeout(20),
        HttpClient(engine, install(WebSockets)) as client,
    ):
        with pytest.raises(SocketTimeoutError, match="rest of the answer's head"):
            await client.web_socket_session(server.url, timeout(socket=SHORT))


async def test_an_open_session_may_be_silent(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await asyncio.sleep(2 * SHORT)
        await peer.send(b"\x81\x02hi")
        await peer.read_close()

    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(engine, install(WebSockets)) as client,
        client.web_socket(server.url, timeout(socket=SHORT)) as session,
    ):
        assert await session.receive_text() == "hi"
