"""Answers to the handshake that refuse, come late, are cut off, or never come."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from ktor_client import (
    ConnectError,
    HttpClient,
    OpenTimeoutError,
    RequestTimeoutError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.http1.rules import MAX_INTERIM
from ktor_client.plugins import WebSockets
from tests.support.raw_server import TEXT, Peer, Script, close_frame, frame, raw_server

GIVE_UP = 0.4
"""Seconds of `open_timeout` where the server never gets to its answer."""


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 426, 500, 503, 599])
async def test_a_refusal_keeps_status_headers_and_body(engine: EngineFactory, status: int) -> None:
    body = b"" if status == 204 else b'{"why": "not today"}'

    async def script(peer: Peer) -> None:
        await peer.read_request()
        length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
        await peer.send(
            b"HTTP/1.1 %d Whatever\r\n%bRetry-After: 120\r\nX-Reason: tired\r\n\r\n%b"
            % (status, length, body)
        )

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(server.url)
    error = caught.value
    assert str(error) == f"Handshake exception, expected status code 101 but was {status}"
    assert error.response.status == status
    assert error.response.headers["x-reason"] == "tired"
    assert error.retry_after == 120
    assert await error.response.body_as_bytes() == body


async def test_a_refusal_in_chunks(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"3\r\nno \r\n4\r\nway!\r\n0\r\n\r\n")

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(server.url)
        assert await caught.value.response.body_as_text() == "no way!"


async def test_a_refusal_without_a_length(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\nuntil the end")

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(server.url)
        assert await caught.value.response.body_as_text() == "until the end"


async def test_of_a_huge_refusal_a_mebibyte_is_kept(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await peer.send(b"x" * 65536)
        except OSError:
            pass  # the client has left

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(server.url)
        assert len(await caught.value.response.body_as_bytes()) == 1 << 20
        await server.finished.wait()


async def test_a_refusal_that_stalls_is_told(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\nhalf of")
        await peer.read_eof()

    plugin = install(WebSockets, open_timeout=2)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        with pytest.raises(WebSocketHandshakeError, match="but was 503") as caught:
            await client.web_socket_session(server.url)
        await server.finished.wait()
    assert caught.value.retry_after == 7
    assert await caught.value.response.body_as_text() == "half of"
    assert isinstance(caught.value.__cause__, RequestTimeoutError)


@pytest.mark.parametrize(
    ("rest", "kept"),
    [
        (b"Content-Length: 50\r\n\r\nhello", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
        (b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", b""),
    ],
    ids=["cut", "chunks cut", "bad chunk", "bad gzip"],
)
async def test_a_refusal_with_a_broken_body_is_told(
    engine: EngineFactory, rest: bytes, kept: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n" + rest)

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError, match="but was 503") as caught:
            await client.web_socket_session(server.url)
    error = caught.value
    assert (error.response.status, error.retry_after) == (503, 7)
    assert await error.response.body_as_bytes() == kept
    assert isinstance(error.__cause__, ConnectError)
    assert error.response.body_error is error.__cause__


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), (None, None)],
)
async def test_retry_after(engine: EngineFactory, value: str | None, seconds: float | None) -> None:
    line = "" if value is None else f"Retry-After: {value}\r\n"

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(f"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n{line}\r\n".encode())

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(server.url)
    assert caught.value.retry_after == seconds


# --- no answer, or half of one


async def _garbage(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"\x00\x01\x02 SSH-2.0 not HTTP at all\r\n\r\n")


async def _garbage_without_a_line(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"not HTTP at all, and no line of it ends")
    await peer.read_eof()


async def _interim_answers_for_ever(peer: Peer) -> None:
    await peer.read_request()
    try:
        while True:
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await asyncio.sleep(0)  # this server shares the loop
    except OSError:
        pass  # the client has left


async def _frames_at_once(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(frame(TEXT, b"no 101 before it") * 100)


async def _half(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(peer.switch()[:60])


async def _drop_before(peer: Peer) -> None:
    await peer.read_request()


async def _drop_at_once(peer: Peer) -> None:
    pass


async def _reset(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def _reset_in_the_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 101 Switching")
    peer.reset()


async def _endless_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    try:
        while True:
            await peer.send(b"X-Filler: " + b"x" * 8000 + b"\r\n")
    except OSError:
        pass  # the client has left


BROKEN = [
    _garbage, _garbage_without_a_line, _interim_answers_for_ever, _frames_at_once, _half,
    _drop_before, _drop_at_once, _reset, _reset_in_the_head, _endless_head,
]  # fmt: skip


@pytest.mark.parametrize("script", BROKEN, ids=lambda script: script.__name__.strip("_"))
async def test_a_broken_answer_is_a_connect_error(engine: EngineFactory, script: Script) -> None:
    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(ConnectError):
            await client.web_socket_session(server.url)
        await server.finished.wait()


def _left_alone(script: Script) -> Script:
    """Let the client give up while it connects: on a busy machine that comes first."""

    async def run(peer: Peer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await script(peer)

    return run


async def test_another_version_of_http_is_refused(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/9.9 101 Switching Protocols\r\n\r\n")
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises((ConnectError, WebSocketHandshakeError)):
            await client.web_socket_session(server.url)


async def _silent(peer: Peer) -> None:
    await peer.read_request()
    await peer.read_eof()


async def _never_reads(peer: Peer) -> None:
    await peer.read_eof()


async def _half_and_silent(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(peer.switch()[:60])
    await peer.read_eof()


async def _slow_loris(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\n")
    try:
        while True:
            await peer.send(b"X-Slow: y\r\n")
            await asyncio.sleep(0.05)
    except OSError:
        pass  # the client has left


async def _early_hints_for_ever(peer: Peer) -> None:
    await peer.read_request()
    try:
        while True:
            await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await asyncio.sleep(0.05)
    except OSError:
        pass  # the client has left


SILENT = [_silent, _never_reads, _half_and_silent, _slow_loris, _early_hints_for_ever]


@pytest.mark.parametrize("script", SILENT, ids=lambda script: script.__name__.strip("_"))
async def test_open_timeout_covers_every_wait(engine: EngineFactory, script: Script) -> None:
    plugin = install(WebSockets, open_timeout=GIVE_UP)
    async with raw_server(_left_alone(script)) as server, HttpClient(engine, plugin) as client:
        with pytest.raises(OpenTimeoutError):
            await client.web_socket_session(server.url)
        await server.finished.wait()  # the connection is closed


async def test_the_connection_drops_right_after_the_101(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session(server.url)
        reason = await session.close_reason
        assert (reason.code, reason.initiator, reason.clean) == (1006, "peer", False)


async def test_a_reset_right_after_the_101(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.reset()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        try:
            session = await client.web_socket_session(server.url)
        except ConnectError:
            pass  # the reset overtook the 101
        else:
            assert (await session.close_reason).code == 1006


async def test_early_hints_before_the_101(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await peer.send(peer.switch(trailing=frame(TEXT, b"open")))
        assert (await peer.read_close())[0] == 1000
        await peer.send(close_frame(1000))

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == "open"


async def test_many_interim_answers_and_the_101(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_INTERIM)
        await peer.send(peer.switch(trailing=frame(TEXT, b"open")))
        assert (await peer.read_close())[0] == 1000
        await peer.send(close_frame(1000))

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == "open"


async def test_interim_answers_are_counted_for_each_request(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        for count in (MAX_INTERIM, MAX_INTERIM, MAX_INTERIM + 1):
            await peer.read_request()
            await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * count)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine) as client:
        url = server.url.replace("ws", "http", 1)
        for _ in range(2):
            assert await (await client.get(url)).body_as_text() == "ok"
        with pytest.raises(ConnectError, match=f"more than {MAX_INTERIM} interim answers"):
            await client.get(url)
        await server.finished.wait()


async def test_cancelling_the_handshake_closes_the_connection(engine: EngineFactory) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.set()
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        opening = asyncio.ensure_future(client.web_socket_session(server.url))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await server.finished.wait()
