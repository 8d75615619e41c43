"""`limit=1`: whatever a server answers, however it is asked, twice in a row: the slot is free."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ktor_client import Body, HttpClient, KtorClientError, expect_success, install, timeout
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import SSE, HttpTimeout, WebSockets
from tests.support.raw_server import Peer, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\n"
CODED = gzip.compress(bytes(1000))
SHORT = 0.05
"""Seconds of silence that are borne."""

STAYS: dict[str, bytes] = {
    "an answer and a half": OK + OK[:20],
    "two answers": OK + OK,
    "a body of a 204": b"HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\nabcde",
    "a body of a 304": b"HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\nabcde",
    "a redirect to nowhere": MOVED + b"Location: ftp://x/\r\nContent-Length: 3\r\n\r\nabc",
    "a redirect to garbage": MOVED + b"Location: http://[::1\r\nContent-Length: 3\r\n\r\nabc",
    "a redirect without a place": MOVED + b"Content-Length: 3\r\n\r\nabc",
    "a redirect in a circle": MOVED + b"Location: /7\r\nContent-Length: 0\r\n\r\n",
    "half a redirect": MOVED + b"Location: ftp://x/\r\nContent-Length: 300\r\n\r\nabc",
    "half a refusal": b"HTTP/1.1 500 E\r\nContent-Length: 300\r\n\r\nabc",
    "half a body": HEAD + b"Content-Length: 10\r\n\r\nabc",
    "half a chunk": CHUNKED + b"5\r\nab",
    "half a head": HEAD + b"Cont",
    "nothing": b"",
    "gzip that is none": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
    "gzip that is cut": HEAD
    + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (len(CODED) - 12)
    + CODED[:-12],
    "many codings": HEAD + b"Content-Encoding: gzip" + b", gzip" * 50 + b"\r\n\r\njunk",
    "a coding of its own": HEAD + b"Content-Encoding: x\r\nContent-Length: 4\r\n\r\njunk",
    "cookies that are none": OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: =;;=\xff\r\n\r\n"),
    "a 101": b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00",
}
LEAVES: dict[str, bytes] = {
    "it leaves without a word": b"",
    "it leaves in the head": HEAD + b"Cont",
    "it leaves in the body": HEAD + b"Content-Length: 10\r\n\r\nabc",
    "it leaves in a chunk": CHUNKED + b"5\r\nab",
    "no HTTP": b"\x16\x03\x01junk\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "HTTP/0.9": b"<html>",
    "no status": b"HTTP/1.1 099 X\r\n\r\n",
    "a line that is no field": HEAD + b"Foo\r\n\r\n",
    "a null in a field": HEAD + b"X: a\x00b\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length below zero": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length beyond all": HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "a length and chunks": CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n"),
    "a transfer coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no size of a chunk": CHUNKED + b"ZZ\r\nab\r\n0\r\n\r\n",
    "no end of a chunk": CHUNKED + b"2\r\nabXX0\r\n\r\n",
    "no end of a chunk's size": CHUNKED + b"1;" + b"a" * 200_000,
    "a trailer that is none": CHUNKED + b"0\r\nbad trailer\r\n\r\n",
    "a head without an end": HEAD + b"X: " + b"a" * 200_000,
    "fields without an end": HEAD + b"X: a\r\n" * 20_000,
    "interim answers without an end": b"HTTP/1.1 103 Early\r\n\r\n" * 5000,
}
ANSWERS = [*STAYS.values(), *LEAVES.values()]


async def serve(peer: Peer) -> None:
    """Give the answer whose number is the path, and stay or leave."""
    try:
        while True:
            await peer.read_request()
            path = peer.request.split()[1][1:]
            await peer.reader.readexactly(int(peer.headers.pop("content-length", "0")))
            answer = OK if path == b"good" else ANSWERS[int(path)]
            await peer.send(answer)
            if answer != OK and int(path) >= len(STAYS):
                return
    except (asyncio.IncompleteReadError, OSError):
        return


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


async def reading(client: HttpClient, url: str) -> None:
    await (await client.get(url)).body_as_text()


async def insisting(client: HttpClient, url: str) -> None:
    await client.get(url, expect_success())


async def streaming(client: HttpClient, url: str) -> None:
    async with client.prepare_get(url) as response:
        async for _ in response.chunks():
            pass


async def leaving(client: HttpClient, url: str) -> None:
    async with client.prepare_get(url):
        pass


async def asking_for_the_head(client: HttpClient, url: str) -> None:
    await client.head(url)


async def uploading(client: HttpClient, url: str) -> None:
    await client.put(url, body=Body(pieces, 7))


async def cancelling(client: HttpClient, url: str) -> None:
    task = asyncio.ensure_future(client.get(url))
    await asyncio.wait({task}, timeout=SHORT / 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def shaking_hands(client: HttpClient, url: str) -> None:
    await client.web_socket_session(url.replace("http", "ws", 1))


async def waiting_for_events(client: HttpClient, url: str) -> None:
    await client.sse_session(url)


@pytest.mark.parametrize(
    "ask",
    [
        reading,
        insisting,
        streaming,
        leaving,
        asking_for_the_head,
        uploading,
        cancelling,
        shaking_hands,
        waiting_for_events,
    ],
)
async def test_the_slot_comes_back(
    engine: EngineFactory,
    ask: Callable[[HttpClient, str], Awaitable[None]],
) -> None:
    async with (
        raw_server(serve) as server,
        HttpClient(
            engine(limit=1),
            install(HttpTimeout, socket_timeout=SHORT),
            install(WebSockets, open_timeout=20 * SHORT),
            install(SSE),
        ) as client,
    ):
        url = f"http://127.0.0.1:{server.port}"
        for number, what in enumerate([*STAYS, *LEAVES]):
            try:
                async with asyncio.timeout(10):
                    for _ in range(2):
                        try:
                            await ask(client, f"{url}/{number}")
                        except KtorClientError:
                            pass  # which one, other tests say
                    good = await client.get(f"{url}/good", timeout(socket=None))
                    assert await good.body_as_text() == "ok"
            except TimeoutError:
                pytest.fail(f"no slot after: {what}")
        await client.engine.close()
