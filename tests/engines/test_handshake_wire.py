"""The head of a handshake that `AiohttpEngine` writes by itself: to the letter as aiohttp would."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ktor_client.engine import WebSocketOptions
from ktor_client.engines import AiohttpEngine
from ktor_client.engines._aiohttp.errors import NoAnswerError
from ktor_client.engines._aiohttp.handshake import shake_hands
from ktor_client.engines._aiohttp.session import PooledProtocol
from ktor_client.errors import UnsafeHeaderError
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get, handshake

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def heads(path: Path, place: str, *fields: tuple[str, str]) -> list[list[str]]:
    """Return what was sent for a handshake and for a GET of one place: the lines of each."""
    seen: list[list[str]] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        seen.append(peer.request.decode().split("\r\n")[:-2])
        await peer.send(REFUSAL)

    engine = AiohttpEngine(unix_socket=str(path / "socket"))
    async with raw_server(script, path=str(path / "socket")):
        upgrade = await engine.open_web_socket(
            handshake(f"ws://{place}", *fields), WebSocketOptions()
        )
        assert upgrade.response.status == 403
        await (await engine.execute(get(f"http://{place}", *fields))).close()
        await engine.close()
    return seen


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("example.com/", "example.com"),
        ("EXAMPLE.com:80/", "example.com"),
        ("example.com:443/", "example.com:443"),
        ("example.com./", "example.com"),
        ("example.com.:81/", "example.com:81"),
        ("bücher.example/", "xn--bcher-kva.example"),
        ("[2001:DB8:0::1]/", "[2001:db8::1]"),
        ("[2001:db8::1]:8080/", "[2001:db8::1]:8080"),
    ],
)
async def test_host_is_that_of_a_plain_request(tmp_path: Path, place: str, host: str) -> None:
    for lines in await heads(tmp_path, place):
        assert lines[1] == f"Host: {host}"


@pytest.mark.parametrize("given", [["other.example:99"], ["one", "two"]])
async def test_a_host_of_the_callers_comes_first_and_once(tmp_path: Path, given: list[str]) -> None:
    fields = [("X-Before", "1"), *(("Host", host) for host in given)]
    for lines in await heads(tmp_path, "example.com/", *fields):
        assert lines[1] == f"Host: {given[-1]}"
        assert [line for line in lines if line.lower().startswith("host:")] == [lines[1]]


@pytest.mark.parametrize(
    "value", ["a\r\nX-B: c", "a\nb", "a\rb", "a\0b", "a\x01b", "a\x7fb", "\ud800"]
)
async def test_what_would_smuggle_is_refused_before_a_connection(value: str) -> None:
    engine = AiohttpEngine(unix_socket="/nowhere")
    with pytest.raises(UnsafeHeaderError, match="a header of the handshake has"):
        await engine.open_web_socket(
            handshake("ws://example.com/", ("X-A", value)), WebSocketOptions()
        )
    await engine.close()


async def test_other_values_are_sent_as_utf_8(tmp_path: Path) -> None:
    lines, _ = await heads(tmp_path, "example.com/", ("X-A", "é漢\t😀"), ("x-a", ""))
    assert lines[-2:] == ["X-A: é漢\t😀", "x-a: "]


@pytest.mark.parametrize("status", ["000", "099"])
async def test_a_status_below_100_is_an_answer(status: str) -> None:
    """No number of RFC 9110 15, but nothing follows it either: waiting would be for ever."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(REFUSAL.replace(b"403", status.encode()))
        assert await peer.read_eof() == b""

    engine = AiohttpEngine()
    async with raw_server(script) as server, asyncio.timeout(20):
        upgrade = await engine.open_web_socket(handshake(server.url), WebSocketOptions())
        assert (upgrade.response.status, upgrade.link) == (int(status), None)
        await server.finished.wait()
        await engine.close()


async def test_an_answer_is_closed_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(REFUSAL)
        assert await peer.read_eof() == b""

    engine = AiohttpEngine(limit=1)
    async with raw_server(script) as server, asyncio.timeout(20):
        connector = engine._open_session().connector
        assert connector is not None
        for _ in range(2):
            answer = await shake_hands(connector, handshake(server.url))
            assert (answer.status, answer.closed) == (403, False)
            answer.close()
            answer.close()
            assert answer.closed
        await engine.close()


async def test_a_connection_that_is_lost_at_once() -> None:
    protocol = PooledProtocol(asyncio.get_running_loop())
    closed: list[bool] = []

    class Connector:
        async def connect(self, *_: object) -> SimpleNamespace:
            protocol.connection_lost(None)
            return SimpleNamespace(protocol=protocol, close=lambda: closed.append(True))

    connector: Any = Connector()
    with pytest.raises(NoAnswerError):
        await shake_hands(connector, handshake("ws://example.com/"))
    assert closed == [True]
    assert not protocol.is_connected()
