"""CioEngine against servers that keep or break the rules of HTTP/1.1, and its connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from ktor_client.engines import CioEngine
from ktor_client.errors import ConnectError
from ktor_client.http import HttpMethod, HttpRequest, Url
from ktor_client.http1.rules import RULES, Rule
from tests.support.raw_server import Peer, Script, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(port: int, method: HttpMethod = HttpMethod.Get, body: object = None) -> HttpRequest:
    return HttpRequest(method, Url.parse(f"http://127.0.0.1:{port}/"), body=body)  # type: ignore[arg-type]  # what a test gives


def saying(*answers: bytes) -> tuple[Script, list[int]]:
    """Return a script that gives one answer a connection and ends it, and how many there were."""
    asked = [0]

    async def script(peer: Peer) -> None:
        asked[0] += 1
        await peer.read_request()
        await peer.send(answers[min(asked[0], len(answers)) - 1])

    return script, asked


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.what)
async def test_a_rule_of_the_table(rule: Rule) -> None:
    script, _ = saying(rule.answer)
    engine = CioEngine(limit=1)
    async with raw_server(script) as server:
        for _ in range(2):  # the second needs the first one's slot
            if rule.body is None:
                with pytest.raises(ConnectError):
                    await (await engine.execute(request(server.port))).body_as_bytes()
            else:
                response = await engine.execute(request(server.port))
                assert (response.status, await response.body_as_bytes()) == (rule.status, rule.body)
        await engine.close()


async def test_an_early_answer_ends_the_upload() -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await peer.read_eof()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            closed.set()

    engine = CioEngine(limit=1)
    async with raw_server(script) as server:
        for _ in range(2):
            closed.clear()
            response = await engine.execute(request(server.port, HttpMethod.Post, endless()))
            assert (response.status, await response.body_as_bytes()) == (413, b"big")
            await closed.wait()
        await engine.close()


@pytest.mark.parametrize("says", [b"HTTP/1.1 100 Continue\r\n\r\n", b""], ids=["100", "nothing"])
async def test_expect_continue(says: bytes) -> None:
    """The body waits for the server's word, and for no longer than a second."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(says)
        seen.append(await peer.reader.readexactly(5))
        await peer.send(OK)
        await peer.read_eof()

    engine = CioEngine()
    async with raw_server(script) as server:
        asked = request(server.port, HttpMethod.Post, b"hello").with_header(
            "Expect", "100-continue"
        )
        assert (await engine.execute(asked)).status == 200
        assert seen == [b"hello"]
        await engine.close()


async def test_a_body_that_is_refused_is_not_sent() -> None:
    rest: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        rest.append(await peer.read_eof())

    engine = CioEngine()
    async with raw_server(script) as server:
        asked = request(server.port, HttpMethod.Post, b"hello").with_header(
            "Expect", "100-continue"
        )
        assert (await engine.execute(asked)).status == 417
        await server.finished.wait()
        assert rest == [b""]
        await engine.close()


@pytest.mark.parametrize("method", [HttpMethod.Get, HttpMethod.Post])
async def test_a_kept_connection_that_dies_before_a_byte(method: HttpMethod) -> None:
    """What may be repeated is sent once more, on a new connection; a POST is not."""
    connections: list[int] = []

    async def script(peer: Peer) -> None:
        connections.append(0)
        with contextlib.suppress(asyncio.IncompleteReadError):  # the client has left
            while connections != [2]:  # dropped under the second request
                await peer.read_request()
                connections[-1] += 1
                if connections != [2]:
                    await peer.send(OK)

    engine = CioEngine(limit=1)
    async with raw_server(script) as server:
        assert (await engine.execute(request(server.port, method))).status == 200
        if method is HttpMethod.Get:
            assert (await engine.execute(request(server.port, method))).status == 200
            assert connections == [2, 1]
        else:
            with pytest.raises(ConnectError, match="isconnected"):
                await engine.execute(request(server.port, method))
        await engine.close()


async def test_a_new_connection_that_dies_is_not_repeated() -> None:
    script, asked = saying(b"")
    engine = CioEngine()
    async with raw_server(script) as server:
        with pytest.raises(ConnectError, match="isconnected"):
            await engine.execute(request(server.port))
        assert asked == [1]
        await engine.close()


async def test_an_upload_that_fails_behind_an_early_answer() -> None:
    """The answer has begun; who reads it hears of the iterator's own exception."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun")
        await peer.read_eof()

    async def failing() -> AsyncGenerator[bytes]:
        yield b"x"
        await go_on.wait()
        raise OSError("the disk is gone")

    engine = CioEngine(limit=1)
    async with raw_server(script) as server:
        for _ in range(2):
            go_on.clear()
            response = await engine.execute(request(server.port, HttpMethod.Post, failing()))
            go_on.set()
            with pytest.raises(OSError, match="the disk is gone"):
                await response.body_as_bytes()
        await engine.close()
