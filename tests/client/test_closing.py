"""How a client ends: its sessions with 1001, what is being opened, and what nobody closed."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from ktor_client import (
    ClientClosedError,
    CloseReason,
    ConnectionClosedError,
    HttpClient,
    HttpRequest,
    HttpResponse,
    KtorClientError,
    expect_success,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import MockPeerSession
from ktor_client.http import WrappedBody
from ktor_client.plugins import PluginScope, Send, WebSockets, client_plugin
from ktor_client.session import DefaultClientWebSocketSession
from ktor_client.testing import echo_server
from tests.support.certificates import client_context, server_context
from tests.support.fake_link import steps
from tests.support.leaks import Held, quiet_destructors
from tests.support.raw_server import Peer, close_frame, raw_server

Session = DefaultClientWebSocketSession


def web_sockets(**options: float) -> HttpClient:
    """Return a client on a network in memory, whose peers only wait for the end."""

    async def peer(session: MockPeerSession) -> None:
        await session.wait_closed()

    engine = MockEngine()
    for _ in range(10):
        engine.on_web_socket("/", peer)
    return HttpClient(engine, install(WebSockets, **options))  # type: ignore[arg-type]


# --- open sessions


async def test_every_open_session_is_closed_with_1001(engine: EngineFactory) -> None:
    codes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        codes.append((await peer.read_close())[0])
        await peer.send(close_frame(1001))

    before = Held()
    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(engine, install(WebSockets))
        sessions = [await client.web_socket_session(server.url) for _ in range(10)]
        waiting = asyncio.create_task(sessions[0].receive_text())
        await sessions[9].close()
        async with client.web_socket(server.url):
            pass
        await client.close()
        assert codes == [1000, 1000] + [1001] * 9
        with pytest.raises(ConnectionClosedError) as caught:
            await waiting
        assert (caught.value.reason.code, caught.value.initiator) == (1001, "local")
        for session in sessions[:9]:
            assert session.close_reason.code == 1001
            assert session.close_reason.clean
            await session.close()
    await before.again()


async def test_peers_that_do_not_answer_share_one_deadline(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.read_eof()

    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(engine, install(WebSockets, close_timeout=0.05))
        sessions = [await client.web_socket_session(server.url) for _ in range(20)]
        await client.close()
        for session in sessions:
            assert session.close_reason == CloseReason(1001)
            assert not session.close_reason.clean


async def test_a_session_within_its_statement(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        assert await peer.read_close() == (1001, "")
        await peer.send(close_frame(1001))

    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(engine, install(WebSockets))
        async with client.web_socket(server.url) as session:
            await client.close()
            assert [message async for message in session] == []
        assert session.close_reason.code == 1001


async def test_every_caller_of_close_waits_for_the_end() -> None:
    client = web_sockets()
    session = await client.web_socket_session()
    closing = [asyncio.create_task(client.close()) for _ in range(3)]
    await asyncio.sleep(0)
    assert client.is_closed
    closing[1].cancel()
    await asyncio.gather(closing[0], closing[2])
    assert session.close_reason.code == 1001
    await client.close()


async def test_derived_clients_close_their_own_sessions() -> None:
    client = web_sockets()
    async with client:
        async with client.config() as derived:
            own, other = await client.web_socket_session(), await derived.web_socket_session()
        assert other.close_reason.code == 1001
        assert own.is_open
    assert own.close_reason.code == 1001


# --- sessions that are being opened


async def test_closing_while_a_session_is_opened(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.set()
        await peer.read_eof()

    asked = asyncio.Event()
    before = Held()
    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(engine, install(WebSockets))
        opening = asyncio.create_task(client.web_socket_session(server.url))
        await asked.wait()
        await client.close()
        with pytest.raises(KtorClientError) as caught:
            await opening
        assert isinstance(caught.value, ClientClosedError)
    await before.again()


async def test_requests_that_wait_for_a_connection_end_with_the_client(
    engine: EngineFactory,
) -> None:
    async def script(peer: Peer) -> None:
        asked.set()
        await peer.read_eof()

    asked = asyncio.Event()
    before = Held()
    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(partial(engine, limit=1))
        url = f"http://127.0.0.1:{server.port}/"
        waiting = [asyncio.create_task(client.get(url)) for _ in range(4)]
        await asked.wait()
        await client.close()
        for ended in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(ended, ClientClosedError)
    await before.again()


@pytest.mark.parametrize("tls", [False, True])
async def test_who_reads_a_body_hears_of_the_end(engine: EngineFactory, tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await peer.read_eof()

    context = server_context() if tls else None
    async with asyncio.timeout(20), raw_server(script, tls=context) as server:
        client = HttpClient(partial(engine, ssl_context=client_context()))
        async with client.prepare_get(server.url.replace("ws", "http", 1)) as response:
            chunks = response.chunks()
            assert await anext(chunks) == b"half"
            rest = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(KtorClientError):
                await rest


async def test_closing_in_any_step_of_a_request(engine: EngineFactory) -> None:
    before = Held()
    async with asyncio.timeout(30), echo_server() as server:
        for steps in range(40):
            client = HttpClient(engine)
            asking = asyncio.create_task(client.get(f"{server.http_url}/hello"))
            for _ in range(steps):
                await asyncio.sleep(0)
            await client.close()
            (ended,) = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(ended, HttpResponse | ClientClosedError), repr(ended)
    await before.again()


async def test_a_handshake_ends_with_its_client(engine: EngineFactory) -> None:
    """The engine is somebody else's and stays open; the connection of the handshake does not."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.set()
        assert await peer.read_eof() == b""

    asked = asyncio.Event()
    own = engine()
    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(own, install(WebSockets))
        opening = asyncio.create_task(client.web_socket_session(server.url))
        await asked.wait()
        await client.close()
        with pytest.raises(ClientClosedError, match="while the session was being opened"):
            await opening
        await server.finished.wait()
        await own.close()


async def test_a_close_that_was_given_up_is_not_waited_for_again(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        assert await peer.read_close() == (4000, "")
        assert await peer.read_eof() == b""

    plugin = install(WebSockets, close_timeout=3600)
    async with asyncio.timeout(30), raw_server(script) as server:
        client = HttpClient(engine, plugin)
        session = await client.web_socket_session(server.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.close(CloseReason(4000))
        await client.close()
        assert session.close_reason.code == 4000
        await server.finished.wait()


class Halves:
    """Answers /fine, and of everything else half; says when that is out."""

    def __init__(self, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") -> None:
        self.head = head
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        try:
            await peer.read_request()
            if peer.request.startswith(b"GET /other"):
                await self.go_on.wait()
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else:
                await peer.send(self.head)
                self.asked.set()
            await peer.read_eof()
        except OSError:
            return


async def read_whole(client: HttpClient, url: str) -> object:
    return await client.get(url)


async def read_in_pieces(client: HttpClient, url: str) -> object:
    async with client.prepare_get(url) as response:
        return [chunk async for chunk in response.chunks()]


async def read_at_once(client: HttpClient, url: str) -> object:
    async with client.prepare_get(url) as response:
        return await response.body_as_text()


async def read_by_a_function(client: HttpClient, url: str) -> object:
    return await client.prepare_get(url).execute(HttpResponse.body_as_bytes)


async def read_an_error(client: HttpClient, url: str) -> object:
    return await client.get(url, expect_success())


WAYS = [read_whole, read_in_pieces, read_at_once, read_by_a_function, read_an_error]


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhalf"])
@pytest.mark.parametrize("ask", WAYS)
async def test_requests_end_with_their_client_on_an_engine_that_stays(
    engine: EngineFactory, ask: Callable[[HttpClient, str], Awaitable[object]], head: bytes
) -> None:
    halves, own = Halves(head), engine(limit=3)
    async with asyncio.timeout(20), raw_server(halves) as server:
        url = server.url.replace("ws", "http", 1)
        mine, other = HttpClient(own), HttpClient(own)
        asking = asyncio.ensure_future(ask(mine, url))
        going_on = asyncio.create_task(other.get(f"{url}other"))
        await halves.asked.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        await mine.close()
        with pytest.raises(ClientClosedError, match="the client was closed"):
            await asking
        assert not going_on.done()
        halves.go_on.set()
        assert (await going_on).status == 200
        await other.close()
        await own.close()


async def test_a_response_that_nobody_reads_ends_with_its_client(engine: EngineFactory) -> None:
    own = engine(limit=1)
    async with asyncio.timeout(20), raw_server(halves := Halves()) as server:
        url = server.url.replace("ws", "http", 1)
        mine, other = HttpClient(own), HttpClient(own)
        async with mine.prepare_get(url) as response:
            await mine.close()
            halves.go_on.set()
            assert (await other.get(f"{url}other")).status == 200  # on the one connection
            with pytest.raises(ClientClosedError, match="before the response was read"):
                await response.body_as_bytes()
        await other.close()
        await own.close()


async def ask_http(client: HttpClient) -> object:
    return await client.get("http://h/")


async def ask_web_socket(client: HttpClient) -> object:
    return await client.web_socket_session("ws://h/")


@pytest.mark.parametrize("ask", [ask_http, ask_web_socket])
@pytest.mark.parametrize("is_by_hook", [False, True])
async def test_a_hook_that_waits_ends_with_its_client(
    ask: Callable[[HttpClient], Awaitable[object]], is_by_hook: bool
) -> None:
    """Nothing is sent for a client that is closed, on an engine that stays."""
    engine = MockEngine(lambda request: b"")
    begun, ended = asyncio.Event(), asyncio.Event()

    @client_plugin
    def Hook(scope: PluginScope) -> None:
        async def hook(_: object) -> None:
            begun.set()
            try:
                if is_by_hook:
                    await client.close()
                else:
                    await asyncio.Event().wait()
            finally:
                ended.set()

        scope.on_request(hook)

    client = HttpClient(engine, install(WebSockets), install(Hook))
    async with asyncio.timeout(20):
        asking = asyncio.ensure_future(ask(client))
        await begun.wait()
        await client.close()
        with pytest.raises(ClientClosedError):
            await asking
        assert ended.is_set()
    assert not [*engine.request_history, *engine.handshakes]


@pytest.mark.parametrize("tls", [False, True])
async def test_an_upload_that_nobody_reads_ends_with_its_client(
    engine: EngineFactory, tls: bool
) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(20), raw_server(script, tls=server_context() if tls else None) as at:
        client = HttpClient(partial(engine, ssl_context=client_context()))
        asking = asyncio.ensure_future(client.post(at.url.replace("ws", "http", 1), body=endless()))
        await begun.wait()
        for _ in range(100):  # until the buffers are full
            await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ClientClosedError):
            await asking


async def test_a_layer_may_close_its_client() -> None:
    @client_plugin
    def Closing(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            response = await send(request)
            await client.close()
            return response

        scope.on_send(layer)

    client = HttpClient(MockEngine(lambda request: b"late"), install(Closing))
    async with asyncio.timeout(20):
        assert await (await client.get("http://h/")).body_as_text() == "late"
    assert client.is_closed


async def test_who_is_cancelled_as_the_client_closes_is_cancelled(engine: EngineFactory) -> None:
    halves, own = Halves(b""), engine()
    async with asyncio.timeout(20), raw_server(halves) as server:
        client = HttpClient(own)
        asking = asyncio.create_task(client.get(server.url.replace("ws", "http", 1)))
        await halves.asked.wait()
        asking.cancel()
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await own.close()


# --- statements


async def test_a_statement_that_is_awaited_says_what_to_write() -> None:
    async with HttpClient(MockEngine, install(WebSockets)) as client:
        awaitable: Any = client.web_socket("/")
        with pytest.raises(TypeError, match=r"`session = await client.web_socket_session\(url\)`"):
            await awaitable
        awaitable = client.prepare_get("/")
        with pytest.raises(TypeError, match=r"`response = await client.get\(url\)`"):
            await awaitable


async def test_a_statement_runs_once() -> None:
    async with web_sockets() as client:
        statement = client.web_socket()
        async with statement as session:
            with pytest.raises(RuntimeError, match="WebSocketStatement runs once"):
                async with statement:
                    raise AssertionError("it was entered twice")
            assert session.is_open
        with pytest.raises(RuntimeError, match="runs once"):
            await statement.execute(_nothing)
    async with HttpClient(MockEngine(lambda _: "hello")) as client:
        request = client.prepare_get("/")
        async with request as response:
            assert await response.body_as_text() == "hello"
        with pytest.raises(RuntimeError, match="HttpStatement runs once"):
            async with request:
                raise AssertionError("it was entered twice")


async def _nothing(session: Session) -> None:
    raise AssertionError("it ran twice")


async def test_execute_returns_the_blocks_result_and_closes() -> None:
    async def block(session: Session) -> tuple[str, Session]:
        return "result", session

    async def failing(session: Session) -> None:
        failed.append(session)
        raise KeyError("mine")

    failed: list[Session] = []
    async with web_sockets() as client:
        result, session = await client.web_socket().execute(block)
        assert (result, session.close_reason.code) == ("result", 1000)
        with pytest.raises(KeyError, match="mine"):
            await client.web_socket().execute(failing)
        assert failed[0].close_reason.code == 1011


async def test_execute_gives_the_response_to_the_block() -> None:
    async def block(response: HttpResponse) -> str:
        return await response.body_as_text()

    async with HttpClient(MockEngine(lambda _: "hello")) as client:
        assert await client.prepare_get("/").execute(block) == "hello"


# --- plugins


async def test_a_close_hook_that_fails_keeps_nothing_open() -> None:
    """The first failure comes out; the other hooks run and the engine is closed all the same."""
    seen: list[str] = []

    async def hook(name: str) -> None:
        seen.append(name)
        if name != "innocent":
            raise LookupError(name)

    @client_plugin
    def Closing(scope: PluginScope) -> None:
        for name in ("first", "innocent", "last"):
            scope.on_close(partial(hook, name))

    class Watched(MockEngine):
        async def close(self) -> None:
            seen.append("engine")
            await super().close()

    client = HttpClient(Watched, install(Closing))
    with pytest.raises(LookupError, match="last"):
        await client.close()
    assert seen == ["last", "innocent", "first", "engine"]
    await client.close()  # it is closed


# --- clients that nobody closed


async def test_a_response_that_fails_to_close_keeps_no_hook_from_it(engine: EngineFactory) -> None:
    done: list[str] = []

    class Stuck(WrappedBody):
        async def close(self) -> None:
            await super().close()
            raise OSError("the disk is full")

    @client_plugin
    def saving(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            return (await send(request)).copy(body=Stuck)

        scope.on_send(layer)
        scope.on_close(lambda: done.append("saved"))

    async with echo_server() as server:
        client = HttpClient(engine, install(saving))
        statement = client.prepare_get(f"{server.http_url}/chunks?n=0")
        response = await statement.__aenter__()
        with pytest.raises(OSError, match="the disk is full"):
            await client.close()
        assert done == ["saved"]
        assert client.is_closed
        with pytest.raises(ClientClosedError):
            await response.body_as_bytes()
        await client.close()


async def test_an_unclosed_client_is_told(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.read_close()
        await peer.send(close_frame(1000))

    engines = []

    def factory() -> object:
        engines.append(engine())
        return engines[0]

    async with raw_server(script) as server:
        client = HttpClient(factory, install(WebSockets))  # type: ignore[arg-type]
        async with client.web_socket(server.url):
            pass
        with pytest.warns(ResourceWarning, match=r"unclosed <HttpClient open on .*await client"):
            del client
        await engines[0].close()


async def test_no_warning_for_clients_that_hold_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HttpClient(MockEngine)  # never used
        borrowed = web_sockets()
        async with borrowed.web_socket():
            pass
        engine = borrowed.engine
        del borrowed  # the engine is its owner's
        gc.collect()
        await engine.close()


# --- a loop that was closed first


@pytest.mark.parametrize("path", ["silent", "half", "socket", "whole"])
def test_a_client_closes_when_its_loop_was_closed_by_hand(engine: EngineFactory, path: str) -> None:
    """In the midst of a wait for an answer, for its rest or for a handshake, or of none."""
    opened: list[HttpClient] = []
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        if path in ("half", "whole"):
            size = 3 if path == "whole" else 9
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nabc" % size)
        answered.set()
        await asyncio.get_running_loop().create_future()

    async def begin() -> None:
        async with raw_server(script) as server:
            client = HttpClient(engine, install(WebSockets))
            opened.append(client)
            if path == "socket":
                call: Awaitable[object] = client.web_socket_session(server.url + path)
            else:
                call = client.get(server.url.replace("ws", "http", 1) + path)
            waiting = asyncio.ensure_future(call)
            await (waiting if path == "whole" else answered.wait())
            await steps()
            loop.stop()  # as a program's own stop button does
            await asyncio.get_running_loop().create_future()

    with warnings.catch_warnings(action="ignore"), quiet_destructors():
        loop = asyncio.new_event_loop()
        beginning = loop.create_task(begin())
        loop.run_forever()
        loop.close()
        asyncio.run(opened[0].close())
        opened.clear()
        del beginning
        gc.collect()
