"""Progress of bodies: how often it is told, and what, and listeners that fail."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from ktor_client import (
    Body,
    ConnectError,
    HttpClient,
    HttpRequest,
    HttpResponse,
    PluginNotInstalledError,
    RequestBlock,
    install,
    on_download,
    on_upload,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import BodyProgress, PluginScope, Send, client_plugin
from ktor_client.testing import echo_server, respond
from tests.support.raw_server import Peer, raw_server

DATA = b"x" * 200_000

Told = list[tuple[int, int | None]]


def into(told: Told) -> Callable[[int, int | None], None]:
    return lambda done, total: told.append((done, total))


def is_sound(told: Told, size: int, total: int | None) -> bool:
    """Whether what was told grows, and ends with everything."""
    counts = [done for done, _ in told]
    return (
        counts == sorted(set(counts))
        and told[-1] == (size, total)
        and {total for _, total in told} == {total}
    )


async def pieces(count: int = 4, size: int = 50_000) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size
        await asyncio.sleep(0)


# --- on every engine


async def test_up_and_down_on_the_wire(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine, install(BodyProgress)) as client:
        for body, known in ((DATA, len(DATA)), (pieces(), None)):
            up: Told = []
            down: Told = []
            response = await client.post(
                f"{server.http_url}/echo-body",
                on_upload(into(up)),
                on_download(into(down)),
                body=body,
            )
            assert await response.body_as_bytes() == DATA
            assert is_sound(up, len(DATA), known)
            assert is_sound(down, len(DATA), len(DATA))


async def test_bytes_keep_their_length_on_the_wire(engine: EngineFactory) -> None:
    heads: list[dict[str, str]] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        heads.append(peer.headers)
        assert await peer.reader.readexactly(len(DATA)) == DATA
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    told: Told = []
    async with raw_server(script) as server:
        async with HttpClient(engine, install(BodyProgress)) as client:
            await client.put(server.url.replace("ws", "http"), on_upload(into(told)), body=DATA)
    assert heads[0]["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in heads[0]
    assert is_sound(told, len(DATA), len(DATA))


async def test_the_last_bytes_are_told_before_the_body_says_that_it_ends(
    engine: EngineFactory,
) -> None:
    told: Told = []
    whole = asyncio.Event()

    def listener(done: int, total: int | None) -> None:
        told.append((done, total))
        if done == len(DATA):
            whole.set()

    async def reluctant() -> AsyncIterator[bytes]:
        async for piece in pieces():
            yield piece
        async with asyncio.timeout(5):  # as a file's end is found later, by a thread
            await whole.wait()

    async with echo_server() as server, HttpClient(engine, install(BodyProgress)) as client:
        body = Body(reluctant, length=len(DATA))
        url = f"{server.http_url}/echo-body"
        response = await client.post(url, on_upload(listener), body=body)
        assert is_sound(told, len(DATA), len(DATA))
        assert await response.body_as_bytes() == DATA


@pytest.mark.parametrize("body", [b"12345", Body(partial(pieces, 5, 1), 5)], ids=["bytes", "Body"])
async def test_the_answer_does_not_cut_off_the_last_call(engine: EngineFactory, body: Any) -> None:
    told: Told = []
    connections: list[Peer] = []
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        connections.append(peer)
        with suppress(asyncio.IncompleteReadError):  # the client is closed
            while True:
                await peer.read_request()
                await peer.reader.readexactly(5)
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                answered.set()

    async def listener(done: int, total: int | None) -> None:
        if done == total:
            await answered.wait()
            for _ in range(20):  # until it is read
                await asyncio.sleep(0)
        told.append((done, total))

    async with asyncio.timeout(20), raw_server(script) as server:
        async with HttpClient(engine, install(BodyProgress)) as client:
            for _ in range(2):
                answered.clear()
                told.clear()
                url = server.url.replace("ws", "http")
                await client.put(url, on_upload(listener), body=body)
                assert is_sound(told, 5, 5)
    assert len(connections) == 1  # which an upload that has not ended costs


@pytest.mark.parametrize("end", ["raise", "cancel", "no answer"])
async def test_how_the_last_call_may_end(engine: EngineFactory, end: str) -> None:
    mine = LookupError("a mistake of the listener's")
    ends: list[str] = []
    begun = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.reader.readexactly(5)
        if end == "no answer":
            await begun.wait()
            return
        with suppress(ConnectionError):  # who is cancelled resets it
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await peer.read_eof()

    async def listener(done: int, total: int | None) -> None:
        begun.set()
        try:
            await asyncio.sleep(0)
            if end == "raise":
                raise mine
            await asyncio.Event().wait()
        finally:
            ends.append("listener")

    async with asyncio.timeout(20), raw_server(script) as server:
        async with HttpClient(partial(engine, limit=1), install(BodyProgress)) as client:
            url = server.url.replace("ws", "http")
            sending = asyncio.ensure_future(client.post(url, on_upload(listener), body=b"12345"))
            sending.add_done_callback(lambda _: ends.append("request"))
            if end == "cancel":
                await begun.wait()
                sending.cancel()
            await asyncio.wait({sending})
            if end == "raise":
                assert sending.exception() is mine
            else:
                assert sending.cancelled() or isinstance(sending.exception(), ConnectError)
            assert ends == ["listener", "request"]


@pytest.mark.parametrize("which", ["up", "down"])
@pytest.mark.parametrize("later", [False, True], ids=["function", "coroutine function"])
async def test_a_listener_that_raises_ends_the_transfer(
    engine: EngineFactory, which: str, later: bool
) -> None:
    mine = LookupError("a mistake of the listener's")

    def listener(done: int, total: int | None) -> None:
        raise mine

    async def listener_later(done: int, total: int | None) -> None:
        await asyncio.sleep(0)
        raise mine

    block = (on_upload if which == "up" else on_download)(listener_later if later else listener)
    async with echo_server() as server:
        blocks = (install(BodyProgress),)
        async with HttpClient(partial(engine, limit=1), *blocks) as client:
            url = f"{server.http_url}/echo-body"
            for _ in range(2):
                with pytest.raises(LookupError) as caught:
                    await client.post(url, block, body=DATA)
                assert caught.value is mine
            assert await (await client.post(url, body="fine")).body_as_text() == "fine"


async def test_a_packed_body_is_counted_as_it_comes(engine: EngineFactory) -> None:
    packed = gzip.compress(DATA)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        await peer.send(head.encode(), packed)
        await peer.read_eof()

    told: Told = []
    async with raw_server(script) as server:
        async with HttpClient(engine, install(BodyProgress)) as client:
            url = server.url.replace("ws", "http")
            response = await client.get(url, on_download(into(told)))
            assert await response.body_as_bytes() == DATA
    assert is_sound(told, len(packed), len(packed))


# --- how often


async def test_no_more_than_one_call_in_fifty_milliseconds_and_the_last_always() -> None:
    engine = MockEngine()

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10
            await engine.clock.sleep(0.01)

    engine.on_request("/", respond(slowly(), headers={"Content-Length": "1000"}))
    times: list[float] = []
    told: Told = []

    def listener(done: int, total: int | None) -> None:
        times.append(engine.clock.time())
        told.append((done, total))

    async with HttpClient(engine, install(BodyProgress)) as client:
        await client.get("/", on_download(listener))
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap > 0.0499 for gap in gaps[:-1])
    assert is_sound(told, 1000, 1000)
    assert len(told) == 21


async def test_uploads_are_told_as_often() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10
            await engine.clock.sleep(0.01)

    def answer(request: HttpRequest) -> bytes:
        assert isinstance(request.body, bytes)  # MockEngine has read it
        return request.body

    engine = MockEngine(answer)
    told: Told = []
    async with HttpClient(engine, install(BodyProgress)) as client:
        response = await client.post("/", on_upload(into(told)), body=slowly())
        assert await response.body_as_bytes() == b"x" * 1000
    assert is_sound(told, 1000, None)
    assert len(told) == 21


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (respond(b"12345"), [(5, 5)]),
        (respond(b""), [(0, 0)]),
        (respond(b"", 204), [(0, 0)]),
        (respond(pieces(1, 7)), [(7, None)]),
        (respond(pieces(0, 7)), [(0, None)]),
    ],
    ids=["short", "empty", "no content", "streamed", "streamed, empty"],
)
async def test_short_bodies_are_told_once(answer: Any, told: Told) -> None:
    seen: Told = []
    async with HttpClient(MockEngine(lambda _: answer), install(BodyProgress)) as client:
        await client.get("/", on_download(into(seen)))
    assert seen == told


async def test_a_body_of_no_bytes_goes_up() -> None:
    seen: Told = []
    async with HttpClient(MockEngine(lambda _: "ok"), install(BodyProgress)) as client:
        await client.post("/", on_upload(into(seen)), body=b"")
        await client.get("/", on_upload(into(seen)))  # has none
    assert seen in ([(0, 0)], [])


async def test_the_length_of_a_head_is_not_its_bodys() -> None:
    seen: Told = []
    answer = respond(b"", headers={"Content-Length": "1000"})
    async with HttpClient(MockEngine(lambda _: answer), install(BodyProgress)) as client:
        await client.head("/", on_download(into(seen)))
    assert seen == [(0, None)]


async def test_a_body_that_is_left_early_is_told_no_end() -> None:
    seen: Told = []
    answer = respond(pieces(4, 10), headers={"Content-Length": "40"})
    async with HttpClient(MockEngine(lambda _: answer), install(BodyProgress)) as client:
        async with client.prepare_get("/", on_download(into(seen))) as response:
            async for _ in response.chunks():
                break
    assert seen == [(10, 40)]


async def test_an_engine_that_takes_bodies_in_one_piece() -> None:
    seen: Told = []

    async def answer(request: HttpRequest) -> bytes:
        assert request.body == DATA
        return b"ok"

    engine = MockEngine(answer, capabilities=frozenset())
    async with HttpClient(engine, install(BodyProgress)) as client:
        await client.post("/", on_upload(into(seen)), body=DATA)
    assert seen == [(len(DATA), len(DATA))]


async def test_a_layer_may_send_an_observed_body_twice() -> None:
    bodies: list[bytes] = []

    def answer(request: HttpRequest) -> Any:
        assert isinstance(request.body, bytes)  # MockEngine has read it
        bodies.append(request.body)
        return respond("", 401 if len(bodies) == 1 else 200)

    @client_plugin
    def twice(scope: PluginScope) -> None:
        async def send_twice(request: HttpRequest, send: Send) -> HttpResponse:
            response = await send(request)
            if response.status == 401:
                await response.close()
                response = await send(request.with_header("respond", "true"))
            return response

        scope.on_send(send_twice)

    seen: Told = []
    blocks: tuple[Any, ...] = (install(BodyProgress), install(twice))
    async with HttpClient(MockEngine(answer), *blocks) as client:
        response = await client.post("/", on_upload(into(seen)), body=DATA)
    assert response.status == 200
    assert bodies == [DATA, DATA]
    assert [done for done, _ in seen].count(len(DATA)) == 2


# --- mistakes


@pytest.mark.parametrize("block", [on_upload, on_download])
async def test_the_plugin_is_needed(block: Callable[[Any], RequestBlock]) -> None:
    async with HttpClient(MockEngine(lambda _: "ok")) as client:
        with pytest.raises(PluginNotInstalledError, match=r"install\(BodyProgress\)"):
            await client.get("/", block(print))
    with pytest.raises(TypeError, match="takes a function of"):
        block("done")
