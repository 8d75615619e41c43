"""Answers to the handshake that are wrong, strange, late, cut off, or that never come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from ktor_client import (
    ConnectError,
    HttpClient,
    OpenTimeoutError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSocketDeflate, WebSockets
from tests.support.raw_server import TEXT, Peer, Script, close_frame, frame, raw_server

DEFLATE = "permessage-deflate"
GIVE_UP = 0.2
"""Seconds of `open_timeout` where the server never gets to its answer."""


def answer(
    status: str = "HTTP/1.1 101 Switching Protocols", **changes: str | list[str] | None
) -> Callable[[Peer], bytes]:
    """Return what makes a 101 with some headers replaced (`Sec_WebSocket_Accept=`) or left out."""

    def build(peer: Peer) -> bytes:
        headers: dict[str, str | list[str] | None] = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": peer.accept,
        }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        lines = [status]
        for name, value in headers.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            lines += [f"{name}: {one.replace('ACCEPT', peer.accept)}" for one in values]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    return build


def answering(build: Callable[[Peer], bytes]) -> Script:
    """Return a script that answers so, and waits for the client to leave."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(build(peer))
        await peer.read_eof()

    return script


WRONG: dict[str, Callable[[Peer], bytes]] = {
    "no accept": answer(Sec_WebSocket_Accept=None),
    "empty accept": answer(Sec_WebSocket_Accept=""),
    "accept of another key": answer(Sec_WebSocket_Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    "accept in lower case": lambda peer: answer(Sec_WebSocket_Accept=peer.accept.swapcase())(peer),
    "two accepts": answer(Sec_WebSocket_Accept=["ACCEPT", "ACCEPT"]),
    "a right and a wrong accept": answer(Sec_WebSocket_Accept=["ACCEPT", "wrong"]),
    "accepts in a list": answer(Sec_WebSocket_Accept="ACCEPT, ACCEPT"),
    "no upgrade": answer(Upgrade=None),
    "upgrade to h2c": answer(Upgrade="h2c"),
    "upgrade to a list": answer(Upgrade="websocket, h2c"),
    "two upgrades": answer(Upgrade=["websocket", "websocket"]),
    "no connection": answer(Connection=None),
    "connection keep-alive": answer(Connection="keep-alive"),
    "connection is similar": answer(Connection="Upgraded, not-upgrade"),
    "unasked subprotocol": answer(Sec_WebSocket_Protocol="chat"),
    "unasked extension": answer(Sec_WebSocket_Extensions=DEFLATE),
    "unknown extension": answer(Sec_WebSocket_Extensions="x-custom; a=1"),
    "extensions that do not parse": answer(Sec_WebSocket_Extensions='"'),
}


@pytest.mark.parametrize("build", WRONG.values(), ids=WRONG)
async def test_a_wrong_101_is_refused(
    engine: EngineFactory, build: Callable[[Peer], bytes]
) -> None:
    async with raw_server(answering(build)) as server:
        async with HttpClient(engine, install(WebSockets)) as client:
            with pytest.raises(WebSocketHandshakeError) as caught:
                await client.web_socket_session(server.url)
            assert caught.value.response.status == 101
            await server.finished.wait()  # the connection is closed, not kept


WRONG_CHOICE: dict[str, str] = {
    "other subprotocol": "Sec-WebSocket-Protocol: other",
    "subprotocol in other case": "Sec-WebSocket-Protocol: CHAT",
    "two subprotocols": "Sec-WebSocket-Protocol: chat, superchat",
    "two subprotocol headers": "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat",
    "unknown extension": f"Sec-WebSocket-Extensions: {DEFLATE}, x-other",
    "extension twice": f"Sec-WebSocket-Extensions: {DEFLATE}, {DEFLATE}",
    "extension in two headers": "\r\n".join([f"Sec-WebSocket-Extensions: {DEFLATE}"] * 2),
    "unknown parameter": f"Sec-WebSocket-Extensions: {DEFLATE}; fast",
    "parameter twice": f"Sec-WebSocket-Extensions: {DEFLATE}" + "; client_no_context_takeover" * 2,
    "parameter with a value": f"Sec-WebSocket-Extensions: {DEFLATE}; server_no_context_takeover=1",
    "window without a value": f"Sec-WebSocket-Extensions: {DEFLATE}; server_max_window_bits",
    "window of 7": f"Sec-WebSocket-Extensions: {DEFLATE}; server_max_window_bits=7",
    "window of 16": f"Sec-WebSocket-Extensions: {DEFLATE}; client_max_window_bits=16",
    "window of 010": f"Sec-WebSocket-Extensions: {DEFLATE}; client_max_window_bits=010",
    "window beyond the offer": f"Sec-WebSocket-Extensions: {DEFLATE}; server_max_window_bits=13",
    "offer ignored": f"Sec-WebSocket-Extensions: {DEFLATE}",
}


@pytest.mark.parametrize("line", WRONG_CHOICE.values(), ids=WRONG_CHOICE)
async def test_a_wrong_choice_is_refused(engine: EngineFactory, line: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(line)
        await peer.read_eof()

    deflate = WebSocketDeflate(server_max_window_bits=12)
    async with raw_server(script) as server:
        async with HttpClient(engine, install(WebSockets, extensions=[deflate])) as client:
            with pytest.raises(WebSocketHandshakeError):
                await client.web_socket_session(server.url, subprotocols=("chat", "superchat"))
            await server.finished.wait()


LEGAL: dict[str, Callable[[Peer], bytes]] = {
    "connection is a list": answer(Connection="keep-alive, Upgrade"),
    "connection in two headers": answer(Connection=["keep-alive", "Upgrade"]),
    "any case": answer(Upgrade="WebSocket", Connection="UPGRADE"),
    "spaces around values": answer(
        Upgrade="  websocket\t", Sec_WebSocket_Accept="  ACCEPT  ", Connection="\tUpgrade "
    ),
    "other reason": answer("HTTP/1.1 101 Web Socket Protocol Handshake"),
    "no reason": answer("HTTP/1.1 101 "),
    "headers of a body": answer(Content_Type="text/plain", Date="now", Server="raw"),
    "empty extensions": answer(Sec_WebSocket_Extensions=""),
    "cookies": answer(Set_Cookie=["a=1", "b=2"]),
}


@pytest.mark.parametrize("build", LEGAL.values(), ids=LEGAL)
async def test_a_legal_101_is_taken(engine: EngineFactory, build: Callable[[Peer], bytes]) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(build(peer), frame(TEXT, b"open"))
        assert await peer.read_close() == (1000, "")
        await peer.send(close_frame(1000))

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == "open"


async def test_the_request_is_to_the_letter(engine: EngineFactory) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        requests.append(peer.request)
        assert (await peer.read_close())[0] == 1000
        await peer.send(close_frame(1000))

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url + "a/b?c=d%20e", subprotocols=("x", "y")):
            pass
    head = requests[0].decode("latin-1")
    lines = head[:-4].split("\r\n")
    assert lines[0] == "GET /a/b?c=d%20e HTTP/1.1"
    fields = [line.split(": ", 1) for line in lines[1:]]
    table = {name.lower(): value for name, value in fields}
    assert len(table) == len(fields), "a header stands twice"
    assert table["host"] == f"127.0.0.1:{server.port}"
    assert table["upgrade"] == "websocket"
    assert table["connection"] == "Upgrade"
    assert table["sec-websocket-version"] == "13"
    assert re.fullmatch(r"[A-Za-z0-9+/]{21}[AQgw]==", table["sec-websocket-key"])
    assert table["sec-websocket-protocol"] == "x, y"
    assert "sec-websocket-extensions" not in table
    assert "content-length" not in table
    assert "transfer-encoding" not in table


# --- refusals


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


async def test_a_refusal_that_stalls_is_given_up(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf of")
        await peer.read_eof()

    plugin = install(WebSockets, open_timeout=GIVE_UP)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        with pytest.raises(OpenTimeoutError):
            await client.web_socket_session(server.url)
        await server.finished.wait()


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
    _garbage, _frames_at_once, _half, _drop_before, _drop_at_once, _reset, _reset_in_the_head,
    _endless_head,
]  # fmt: skip


@pytest.mark.parametrize("script", BROKEN, ids=lambda script: script.__name__.strip("_"))
async def test_a_broken_answer_is_a_connect_error(engine: EngineFactory, script: Script) -> None:
    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(ConnectError):
            await client.web_socket_session(server.url)
        await server.finished.wait()


async def test_another_version_of_http_is_refused(engine: EngineFactory) -> None:
    script = answering(lambda peer: b"HTTP/9.9 101 Switching Protocols\r\n\r\n")
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
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
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
