"""What is accepted, repaired or refused in an answer: the table, on each engine."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import ConnectError, HttpClient, WebSocketHandshakeError, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.http1.rules import RULES, Rule
from ktor_client.plugins import WebSockets
from tests.support.raw_server import Peer, Script, raw_server
from tests.support.receiver import get


def saying(answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(answer)

    return script


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.what)
async def test_a_rule_of_the_table(engine: EngineFactory, rule: Rule) -> None:
    client = engine(limit=1)
    async with raw_server(saying(rule.answer)) as server, asyncio.timeout(20):
        for _ in range(2):  # the second needs the first one's slot
            request = get(f"http://127.0.0.1:{server.port}/")
            if rule.body is None:
                with pytest.raises(ConnectError):
                    await (await client.execute(request)).body_as_bytes()
            else:
                response = await client.execute(request)
                assert (response.status, await response.body_as_bytes()) == (rule.status, rule.body)
        await client.close()


@pytest.mark.parametrize(
    ("head", "name", "value"),
    [
        (b"X-Fold: a\r\n  b\r\n\tc", "x-fold", "a b c"),
        (b"X-Fold:\r\n a", "x-fold", "a"),
        (b"X-Id:\t 7 \t", "x-id", "7"),
        (b"X-Name: gr\xc3\xbcn", "x-name", "grün"),
        (b"X-Name: gr\xfcn", "x-name", "grün"),
        (b"X-Id: 1\r\nx-id: 2", "x-id", "1, 2"),
    ],
)
async def test_values_come_out_alike(
    engine: EngineFactory, head: bytes, name: str, value: str
) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + head + b"\r\nContent-Length: 2\r\n\r\nok"
    refusal = b"HTTP/1.1 403 No\r\n" + head + b"\r\nContent-Length: 2\r\n\r\nno"
    async with HttpClient(engine, install(WebSockets)) as client, asyncio.timeout(20):
        async with raw_server(saying(answer)) as server:
            response = await client.get(f"http://127.0.0.1:{server.port}/")
            assert response.headers[name] == value
        async with raw_server(saying(refusal)) as server:
            with pytest.raises(WebSocketHandshakeError) as caught:
                await client.web_socket_session(server.url)
            assert caught.value.response.headers[name] == value


@pytest.mark.parametrize(
    ("line", "version", "reason"),
    [
        (b"HTTP/1.1 200 OK", "1.1", "OK"),
        (b"HTTP/1.0 200 Fine by me", "1.0", "Fine by me"),
        (b"HTTP/1.1 200 ", "1.1", ""),
        (b"HTTP/1.1 200", "1.1", ""),
    ],
)
async def test_the_first_line(
    engine: EngineFactory, line: bytes, version: str, reason: str
) -> None:
    client = engine()
    answer = line + b"\r\nContent-Length: 2\r\n\r\nok"
    async with raw_server(saying(answer)) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert (response.http_version, response.reason) == (version, reason)
        assert await response.body_as_bytes() == b"ok"
        await client.close()
