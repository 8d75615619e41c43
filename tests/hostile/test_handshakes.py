"""Answers to the handshake with status 101: wrong ones, strange ones, and the request itself."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client import (
    ConnectError,
    HttpClient,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSocketDeflate, WebSockets
from tests.support.raw_server import TEXT, Peer, Script, close_frame, frame, raw_server

DEFLATE = "permessage-deflate"


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
    "HTTP/1.0": answer("HTTP/1.0 101 Switching Protocols"),
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


async def test_a_101_with_two_lengths_is_no_http(engine: EngineFactory) -> None:
    build = answer(Content_Length="5", Transfer_Encoding="chunked")
    async with raw_server(answering(build)) as server:
        async with HttpClient(engine, install(WebSockets)) as client:
            with pytest.raises(ConnectError, match=r"not HTTP|no answer that is HTTP"):
                await client.web_socket_session(server.url)
            await server.finished.wait()


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


WINDOWS_OF_256: dict[str, tuple[dict[str, Any], str]] = {
    "asked of us": ({}, "client_max_window_bits=8"),
    "in quotes": ({}, 'client_max_window_bits="8"'),
    "asked of us, each message alone": ({}, "client_no_context_takeover; client_max_window_bits=8"),
    "offered by us": ({"client_max_window_bits": 8}, ""),
    "offered by us, granted more": ({"client_max_window_bits": 8}, "client_max_window_bits=15"),
    "asked of the server": ({"server_max_window_bits": 8}, "server_max_window_bits=8"),
    "the server's own choice": ({}, "server_max_window_bits=8"),
    "both": ({}, "server_max_window_bits=8; client_max_window_bits=8"),
}


@pytest.mark.parametrize(("options", "chosen"), WINDOWS_OF_256.values(), ids=WINDOWS_OF_256)
async def test_windows_of_256_bytes(
    engine: EngineFactory, options: dict[str, Any], chosen: str
) -> None:
    """What we compress needs no more; what the server does with no more is understood."""
    ours_are_small = "client_max" in chosen or "client_max_window_bits" in options
    unit = random.Random(0).randbytes(250).hex()[:256]
    texts = [unit * 8, unit, f"hello {unit[:100]}"]

    async def script(peer: Peer) -> None:
        await peer.upgrade(f"Sec-WebSocket-Extensions: {DEFLATE}; {chosen}".removesuffix("; "))
        deflate = zlib.compressobj(wbits=-9)  # which never looks back further than 250 bytes
        inflate = zlib.decompressobj(-8 if ours_are_small else -15)
        for text in texts:
            first, payload = await peer.read_frame()
            assert first == 0xC1
            if "client_no_context_takeover" in chosen:
                inflate = zlib.decompressobj(-8)
            got, rest = b"", payload + b"\0\0\xff\xff"
            while piece := inflate.decompress(rest, 1):  # so that the window counts
                got += piece
                rest = inflate.unconsumed_tail
            assert got.decode() == text
            answer = deflate.compress(got) + deflate.flush(zlib.Z_SYNC_FLUSH)
            await peer.send(frame(TEXT, answer.removesuffix(b"\0\0\xff\xff"), rsv=0x40))
        assert await peer.read_close() == (1000, "")
        await peer.send(close_frame(1000))

    extension = WebSocketDeflate(**options)
    async with raw_server(script) as server:
        async with HttpClient(engine, install(WebSockets, extensions=[extension])) as client:
            async with client.web_socket(server.url) as session:
                for text in texts:
                    await session.send(text)
                    assert await session.receive_text() == text
        await server.finished.wait()
        assert not server.failures
