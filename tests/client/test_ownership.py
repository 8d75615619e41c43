"""A response always has an owner: whatever goes wrong on its way up, its slot is free again.

Each way of failing happens twice in a row on an engine with one connection, and then a plain
request has to go through. The bodies are large, so that nothing ends by itself.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ktor_client import (
    ClientRequestError,
    ConnectError,
    HttpClient,
    HttpRequest,
    HttpResponse,
    RedirectError,
    RequestCreated,
    ResponseReceived,
    WebSocketHandshakeError,
    expect_success,
    install,
)
from ktor_client.config import Block
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import ResponseBody
from ktor_client.plugins import LayerKind, PluginScope, Send, WebSockets, client_plugin
from tests.support.raw_server import Peer, raw_server

BIG = 1_000_000
PLACES = {
    "/redirect-nowhere": (302, "Location: ftp://x/"),
    "/redirect-garbage": (302, "Location: http://["),
    "/redirect-to-socket": (302, "Location: ws://127.0.0.1/"),
    "/redirect-for-ever": (302, "Location: /redirect-for-ever"),
    "/again": (307, "Location: /big"),
    "/refused": (403, "X: y"),
    "/switch": (101, "Upgrade: x"),
    "/big": (200, "X: y"),
}


async def serve(peer: Peer) -> None:
    try:
        while True:
            await peer.read_request()
            path = peer.request.split()[1].decode()
            if int(peer.headers.get("content-length", "0")):
                await peer.reader.readexactly(int(peer.headers["content-length"]))
            elif peer.headers.pop("transfer-encoding", ""):
                await peer.reader.readuntil(b"0\r\n\r\n")
            if path == "/":
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            if path == "/session":
                await peer.send(peer.switch())
                await peer.read_eof()
                return
            status, line = PLACES[path]
            length = "" if status == 101 else f"Content-Length: {BIG}\r\n"
            await peer.send(f"HTTP/1.1 {status} Said\r\n{line}\r\n{length}\r\n".encode())
            await peer.send(bytes(BIG if status != 101 else 0))
            if status == 101:
                await peer.read_eof()
                return
    except (asyncio.IncompleteReadError, OSError):
        return  # the client has dropped the connection


class Mishap(Exception):
    """What goes wrong on the way."""


Ask = Callable[[HttpClient, str], Awaitable[object]]


async def get_big(client: HttpClient, url: str) -> object:
    return await client.get(f"{url}big")


def layered(
    layer: Callable[[HttpRequest, Send], Awaitable[HttpResponse]],
    kind: LayerKind = LayerKind.USER,
) -> Block:
    @client_plugin
    def Layered(scope: PluginScope) -> None:
        scope.on_send(layer, kind=kind)

    return install(Layered)


def hooked(register: Callable[[PluginScope], None]) -> Block:
    @client_plugin
    def Hooked(scope: PluginScope) -> None:
        register(scope)

    return install(Hooked)


async def raising(request: HttpRequest, send: Send) -> HttpResponse:
    await send(request)
    raise Mishap


async def returning_nothing(request: HttpRequest, send: Send) -> HttpResponse:
    await send(request)
    return None  # type: ignore[return-value]  # pyright: ignore  # the mistake


async def wrapped_in_raising(request: HttpRequest, send: Send) -> HttpResponse:
    (await send(request)).copy(status=201)
    raise Mishap


class Breaking(ResponseBody):
    """A body that a layer wraps and that fails in the middle."""

    def __init__(self, inner: ResponseBody) -> None:
        self._inner = inner

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner.chunks():
            yield chunk
            raise Mishap

    async def close(self) -> None:
        await self._inner.close()


async def breaking(request: HttpRequest, send: Send) -> HttpResponse:
    return (await send(request)).copy(body=Breaking)


def raise_mishap(_: object) -> None:
    raise Mishap


async def raise_later(_: object) -> None:
    await asyncio.sleep(0)
    raise Mishap


def dropping_what_it_asked(scope: PluginScope) -> None:
    async def layer(request: HttpRequest, send: Send) -> HttpResponse:
        await scope.send(request.copy(url=request.url.with_scheme("http").join("/big")))
        raise Mishap

    scope.on_send(layer)


def subscribed(scope: PluginScope) -> None:
    scope.events.subscribe(ResponseReceived, raise_mishap)


def subscribed_async(scope: PluginScope) -> None:
    scope.events.subscribe(ResponseReceived, raise_later)


def subscribed_to_requests(scope: PluginScope) -> None:
    scope.events.subscribe(RequestCreated, raise_mishap)


def at(path: str) -> Ask:
    async def ask(client: HttpClient, url: str) -> object:
        return await client.get(url + path)

    return ask


async def post_stream(client: HttpClient, url: str) -> object:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"once"

    return await client.post(f"{url}again", body=chunks())


async def expect(client: HttpClient, url: str) -> object:
    return await client.get(f"{url}refused", expect_success())


async def leave_by_an_exception(client: HttpClient, url: str) -> object:
    async with client.prepare_get(f"{url}big"):
        raise Mishap


async def leave_in_the_middle(client: HttpClient, url: str) -> object:
    async with client.prepare_get(f"{url}big") as response:
        async for _ in response.chunks():
            raise Mishap
    return None


async def execute(client: HttpClient, url: str) -> object:
    return await client.prepare_get(f"{url}big").execute(raise_later)


async def refused_handshake(client: HttpClient, url: str) -> object:
    return await client.web_socket_session(f"{url}refused")


async def session(client: HttpClient, url: str) -> object:
    return await client.web_socket_session(f"{url}session")


HOOKS: dict[str, Callable[[PluginScope], None]] = {
    "a response hook": lambda scope: scope.on_response(raise_mishap),
    "an async response hook": lambda scope: scope.on_response(raise_later),
    "a handler": subscribed,
    "an async handler": subscribed_async,
    "a handler of requests": subscribed_to_requests,
    "a layer that asks and raises": dropping_what_it_asked,
}

WAYS: dict[str, tuple[list[Block], Ask, type[BaseException]]] = {
    "a layer raises": ([layered(raising)], get_big, Mishap),
    **{
        f"a layer of kind {kind.value} raises": ([layered(raising, kind)], get_big, Mishap)
        for kind in LayerKind
    },
    "a layer returns nothing": ([layered(returning_nothing)], get_big, TypeError),
    "the outermost layer returns nothing": (
        [layered(returning_nothing, LayerKind.REDIRECT)],
        get_big,
        TypeError,
    ),
    "a layer wraps and raises": ([layered(wrapped_in_raising)], get_big, Mishap),
    "a wrapped body breaks": ([layered(breaking)], get_big, Mishap),
    **{f"{name} raises": ([hooked(register)], get_big, Mishap) for name, register in HOOKS.items()},
    **{
        f"{name} raises in a handshake": ([hooked(register)], session, Mishap)
        for name, register in HOOKS.items()
    },
    "a redirect to ftp": ([], at("redirect-nowhere"), RedirectError),
    "a redirect to garbage": ([], at("redirect-garbage"), RedirectError),
    "a redirect to a WebSocket": ([], at("redirect-to-socket"), RedirectError),
    "redirects without end": ([], at("redirect-for-ever"), RedirectError),
    "a body that cannot be sent again": ([], post_stream, RedirectError),
    "a status that was not expected": ([], expect, ClientRequestError),
    "a 101 to a GET": ([], at("switch"), ConnectError),
    "the block raises": ([], leave_by_an_exception, Mishap),
    "the block raises while it reads": ([], leave_in_the_middle, Mishap),
    "the function raises": ([], execute, Mishap),
    "a refused handshake": ([], refused_handshake, WebSocketHandshakeError),
    "a layer raises in a handshake": ([layered(raising)], session, Mishap),
    "a layer raises in a refused handshake": ([layered(raising)], refused_handshake, Mishap),
}


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_goes_wrong_the_slot_is_given_back(engine: EngineFactory, way: str) -> None:
    blocks, ask, error = WAYS[way]
    async with raw_server(serve) as server, asyncio.timeout(20):
        url = server.url.replace("ws", "http", 1)
        async with HttpClient(own := engine(limit=1), *blocks, install(WebSockets)) as client:
            for _ in range(2):
                with pytest.raises(error):
                    await ask(client, url)
            async with HttpClient(own) as plain:
                response = await plain.get(url)
                assert await response.body_as_text() == "ok"
        await own.close()
        del response
        gc.collect()  # what was forgotten warns here


@pytest.mark.parametrize("where", ["layer", "response hook", "handler", "body"])
async def test_a_cancelled_call_gives_its_slot_back(engine: EngineFactory, where: str) -> None:
    arrived = asyncio.Event()

    async def wait(_: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async def waiting(request: HttpRequest, send: Send) -> HttpResponse:
        response = await send(request)
        await wait(response)
        return response

    class Waiting(Breaking):
        async def chunks(self) -> AsyncIterator[bytes]:
            await wait(None)
            yield b""

    async def with_waiting_body(request: HttpRequest, send: Send) -> HttpResponse:
        return (await send(request)).copy(body=Waiting)

    @client_plugin
    def Waits(scope: PluginScope) -> None:
        if where == "layer":
            scope.on_send(waiting)
        elif where == "body":
            scope.on_send(with_waiting_body)
        elif where == "handler":
            scope.events.subscribe(ResponseReceived, wait)
        else:
            scope.on_response(wait)

    own = engine(limit=1)
    async with raw_server(serve) as server, asyncio.timeout(20), HttpClient(own) as plain:
        url = server.url.replace("ws", "http", 1)
        async with HttpClient(own, install(Waits)) as client:
            for _ in range(2):
                arrived.clear()
                asking = asyncio.create_task(client.get(f"{url}big"))
                await arrived.wait()
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
        assert (await plain.get(url)).status == 200
    await own.close()


async def test_a_layer_that_answers_itself_leaves_nothing_open(engine: EngineFactory) -> None:
    async def by_hand(request: HttpRequest, send: Send) -> HttpResponse:
        await send(request)
        return HttpResponse(request, 418, request.headers, b"mine")

    async def shortened(request: HttpRequest, send: Send) -> HttpResponse:
        return (await send(request)).copy(status=203, body=b"mine")

    own = engine(limit=1)
    async with raw_server(serve) as server, asyncio.timeout(20), HttpClient(own) as plain:
        url = server.url.replace("ws", "http", 1)
        for layer, status in ((by_hand, 418), (shortened, 203)):
            async with HttpClient(own, layered(layer)) as client:
                for _ in range(2):
                    response = await client.get(f"{url}big")
                    assert (response.status, await response.body_as_text()) == (status, "mine")
                async with client.prepare_get(f"{url}big") as response:
                    assert response.status == status
            assert (await plain.get(url)).status == 200
    await own.close()


async def test_who_comes_too_late_for_its_call_is_let_go(engine: EngineFactory) -> None:
    """A layer went on without an answer that it had asked for."""
    late: list[asyncio.Task[HttpResponse]] = []

    async def impatient(request: HttpRequest, send: Send) -> HttpResponse:
        late.append(asyncio.create_task(send(request)))  # type: ignore[arg-type]  # pyright: ignore
        return HttpResponse(request, 504, request.headers, b"too late")

    own = engine(limit=1)
    async with raw_server(serve) as server, asyncio.timeout(20), HttpClient(own) as plain:
        url = server.url.replace("ws", "http", 1)
        async with HttpClient(own, layered(impatient)) as client:
            for _ in range(2):
                assert (await client.get(f"{url}big")).status == 504
                await late.pop()
        assert (await plain.get(url)).status == 200
    await own.close()
