"""The head of a handshake that `AiohttpEngine` writes by itself: to the letter as aiohttp would."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ktor_client.engine import WebSocketOptions
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.engines import AiohttpEngine
from ktor_client.engines._aiohttp.connector import Connector
from ktor_client.engines._aiohttp.errors import ERRORS, NoAnswerError
from ktor_client.engines._aiohttp.exchange import exchange
from ktor_client.engines._aiohttp.protocol import PooledProtocol
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
        ("example.com./", "example.com."),
        ("example.com.:81/", "example.com.:81"),
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
    with pytest.raises(UnsafeHeaderError, match="a header has"):
        await engine.open_web_socket(
            handshake("ws://example.com/", ("X-A", value)), WebSocketOptions()
        )
    await engine.close()


async def test_other_values_are_sent_as_utf_8(tmp_path: Path) -> None:
    lines, _ = await heads(tmp_path, "example.com/", ("X-A", "é漢\t😀"), ("x-a", ""))
    assert lines[-2:] == ["X-A: é漢\t😀", "x-a: "]


async def test_an_answer_is_closed_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(REFUSAL)
        assert await peer.read_eof() == b""

    dialer = Dialer(SocketOptions(limit=1), ERRORS)
    connector = Connector(dialer)
    async with raw_server(script) as server, asyncio.timeout(20):
        for _ in range(2):
            request = handshake(server.url)
            answer = await exchange(connector, dialer, request, is_handshake=True)
            assert answer.status == 403
            await answer.aclose()
            answer.close()
            assert answer.closed
        await connector.close()


async def test_a_connection_that_is_lost_at_once() -> None:
    protocol = PooledProtocol(asyncio.get_running_loop())
    protocol.connection_lost(None)
    with pytest.raises(NoAnswerError):
        protocol.begin("example.com:80", "GET", None, is_handshake=True)
    assert not protocol.is_connected()
