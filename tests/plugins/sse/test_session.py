"""Event streams on each engine: what is told, what comes back, what ends them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import pytest

from ktor_client import (
    Backoff,
    ClientClosedError,
    ConnectError,
    ConverterNotFoundError,
    Failure,
    HttpClient,
    HttpRequest,
    PluginNotInstalledError,
    RequestTimeoutError,
    RetryPolicy,
    SocketTimeoutError,
    SseError,
    install,
    timeout,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import CioEngine, MockEngine
from ktor_client.engines._mock import MockResponse, respond
from ktor_client.plugins import (
    SSE,
    Auth,
    BearerAuth,
    BearerTokens,
    ContentEncoding,
    HttpTimeout,
    JsonConverter,
    RefreshTokensParams,
    ServerSentEvent,
    SseSession,
)
from tests.support.leaks import quiet_destructors
from tests.support.raw_server import Peer, RawServer, Script, raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
OVER = b"HTTP/1.1 204 No Content\r\n\r\n"
AT_ONCE = RetryPolicy(Backoff(0.001, 0.001, jitter="none"))


def server_of(*answers: bytes, hold: bool = False) -> tuple[Script, list[Peer]]:
    """Return a script that gives one answer a connection, and who has asked.

    With `hold` the last connection stays until the client leaves.
    """
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        peers.append(peer)
        await peer.send(answers[min(len(peers), len(answers)) - 1])
        if hold and len(peers) >= len(answers):
            await peer.read_eof()

    return script, peers


def url_of(server: RawServer) -> str:
    return f"http://127.0.0.1:{server.port}/feed"


async def test_a_cancellation_from_within_reaches_who_waits(engine: EngineFactory) -> None:
    """Such as that of a future which `decide` awaits; nothing is opened again in silence."""

    async def decide(failure: Failure) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    script, peers = server_of(HEAD + b"data: a\n\n")
    policy = RetryPolicy(AT_ONCE.backoff, decide=decide)
    async with (
        raw_server(script) as server,
        HttpClient(engine, install(SSE, policy=policy)) as client,
    ):
        async with client.sse(url_of(server)) as events:
            assert (await anext(events)).data == "a"
            with pytest.raises(asyncio.CancelledError):
                await anext(events)
        assert len(peers) == 1


@pytest.mark.parametrize("first", ["client", "stream"])
@pytest.mark.parametrize("is_run", [True, False])
def test_a_stream_whose_loop_is_closed_is_dropped(is_run: bool, first: str) -> None:
    """Also in the middle of a wait, whether `asyncio.run` has cancelled that or nobody has."""
    opened: list[tuple[HttpClient, SseSession]] = []

    async def begin() -> None:
        script, _ = server_of(HEAD + b"data: a\n\n", hold=True)
        async with raw_server(script) as server:
            client = HttpClient(CioEngine, install(SSE))
            events = await client.sse(url_of(server)).__aenter__()
            opened.append((client, events))
            await anext(events)
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})

    async def end() -> None:
        for client, events in opened:
            for one in (client, events) if first == "client" else (events, client):
                await asyncio.wait_for(one.close(), 60)

    with warnings.catch_warnings(action="ignore"), quiet_destructors() as raised:
        if is_run:
            asyncio.run(begin())
        else:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(begin())
            loop.close()
            del loop
        asyncio.run(end())
        opened.clear()
        gc.collect()
        assert not raised


async def test_a_stream_goes_on_where_a_redirect_leads(engine: EngineFactory) -> None:
    """To another origin too, as in browsers: else all events would come again."""
    asked: list[str | None] = []

    async def feed(peer: Peer) -> None:
        await peer.read_request()
        last = peer.headers.get("last-event-id")
        asked.append(last)
        await peer.send(OVER if last == "2" else HEAD + b"retry: 1\nid: 2\ndata: a\n\n")

    async def lead(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(moved)

    async with raw_server(feed) as other, raw_server(lead) as server:
        moved = (
            f"HTTP/1.1 307 See\r\nLocation: {url_of(other)}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        async with HttpClient(engine, install(SSE)) as client:
            async with client.sse(url_of(server)) as events:
                assert [event.data async for event in events] == ["a"]
    assert asked == [None, "2"]


async def test_each_opening_may_refresh_tokens(engine: EngineFactory) -> None:
    """To plugins a stream that is opened again is another request."""
    issued = 0
    asked: list[str] = []

    def refresh(_: RefreshTokensParams) -> BearerTokens:
        nonlocal issued
        issued += 1
        return BearerTokens(f"t{issued}")

    async def script(peer: Peer) -> None:
        await peer.read_request()
        token = peer.headers["authorization"].removeprefix("Bearer ")
        asked.append(token)
        if token in asked[:-1] or token == "t0":  # each token is good for one stream
            await peer.send(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            await peer.send(HEAD + f"retry: 1\ndata: {token}\n\n".encode())

    auth = install(Auth, providers=[BearerAuth(lambda: BearerTokens("t0"), refresh)])
    async with asyncio.timeout(20), raw_server(script) as server:
        async with HttpClient(engine, install(SSE), auth) as client:
            async with client.sse(url_of(server)) as events:
                assert [(await anext(events)).data for _ in range(3)] == ["t1", "t2", "t3"]
    assert asked == ["t0", "t1", "t1", "t2", "t2", "t3"]


async def test_events_before_one_that_is_too_large_are_delivered(engine: EngineFactory) -> None:
    script, _ = server_of(HEAD + b"data: a\n\ndata: b\n\ndata: " + b"x" * 100 + b"\n\n")
    async with asyncio.timeout(20), raw_server(script) as server:
        async with HttpClient(engine, install(SSE, max_event_size=50)) as client:
            async with client.sse(url_of(server)) as events:
                assert [(await anext(events)).data for _ in range(2)] == ["a", "b"]
                with pytest.raises(SseError, match="max_event_size"):
                    await anext(events)


async def test_events_in_order_until_204(engine: EngineFactory) -> None:
    """A stream that ends is opened again behind its last id."""
    script, peers = server_of(
        HEAD + b"retry: 1\nid: 1\ndata: a\n\n", HEAD + b"data: b\n\ndata: lost", OVER
    )
    async with raw_server(script) as server, HttpClient(engine, install(SSE)) as client:
        async with client.sse(url_of(server)) as events:
            assert [event async for event in events] == [
                ServerSentEvent("a", id="1", retry=0.001),
                ServerSentEvent("b", id="1"),
            ]
            assert events.last_event_id == "1"
    assert [peer.headers.get("last-event-id") for peer in peers] == [None, "1", "1"]
    assert peers[0].headers["accept"] == "text/event-stream"
    assert peers[0].headers["cache-control"] == "no-store"


async def test_headers_of_the_callers_own(engine: EngineFactory) -> None:
    script, peers = server_of(OVER)
    async with raw_server(script) as server, HttpClient(engine, install(SSE)) as client:
        events = await client.sse_session(url_of(server), headers={"Accept": "text/*"})
        assert [event async for event in events] == []
        assert events.response.status == 204
    assert peers[0].headers["accept"] == "text/*"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 4\r\nRetry-After: 9\r\n\r\nwho?", "but got 401"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nwho?",
         "but got Content-Type 'text/html'"),
    ],
)  # fmt: skip
async def test_what_is_no_stream(engine: EngineFactory, answer: bytes, words: str) -> None:
    script, _ = server_of(answer)
    factory = partial(engine, limit=1)
    async with raw_server(script) as server, HttpClient(factory, install(SSE)) as client:
        for _ in range(2):  # the second needs the first one's connection
            with pytest.raises(SseError, match=words) as refused:
                await client.sse_session(url_of(server) + "?token=secret")
            assert await refused.value.response.body_as_text() == "who?"
            assert "secret" not in str(refused.value)


async def test_what_is_no_stream_and_does_not_end(engine: EngineFactory) -> None:
    """A stream of events may be silent, a refusal may not."""
    script, _ = server_of(b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nwho?", hold=True)
    async with (
        raw_server(script) as server,
        HttpClient(
            partial(engine, limit=1), install(SSE), install(HttpTimeout, socket_timeout=1)
        ) as client,
    ):
        for _ in range(2):
            with pytest.raises(SseError, match="but got 401") as refused:
                await client.sse_session(url_of(server))
            assert await refused.value.response.body_as_text() == "who?"
            assert isinstance(refused.value.response.body_error, RequestTimeoutError)


async def test_a_stream_that_breaks_off_comes_back(engine: EngineFactory) -> None:
    asked: list[str | None] = []
    came = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.append(peer.headers.get("last-event-id"))
        if len(asked) == 3:
            await peer.send(OVER)
            return
        head = HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        came.clear()
        await peer.send(head + b"10\r\nid: %d\ndata: ab\n\n\r\n5\r\nda" % len(asked))
        await came.wait()

    async with raw_server(script) as server:
        async with HttpClient(engine, install(SSE, policy=AT_ONCE)) as client:
            async with client.sse(url_of(server)) as events:
                async for event in events:
                    assert event.data == "ab"
                    came.set()
    assert asked == [None, "1", "2"]


async def test_a_policy_that_stops(engine: EngineFactory) -> None:
    """The last error is told; a clean end is none."""
    script, peers = server_of(
        HEAD + b"data: a\n\n", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    )
    policy = RetryPolicy(Backoff(0.001, 0.001), max_attempts=3)
    async with raw_server(script) as server:
        async with HttpClient(engine, install(SSE, policy=policy)) as client:
            async with client.sse(url_of(server)) as events:
                assert (await anext(events)).data == "a"
                with pytest.raises(SseError, match="but got 503") as stopped:
                    await anext(events)
                assert "max_attempts=3 is reached" in stopped.value.__notes__[0]
    assert len(peers) == 3
    script, peers = server_of(HEAD + b"data: a\n\n")
    once = RetryPolicy(max_attempts=1)
    async with raw_server(script) as server:
        async with HttpClient(engine, install(SSE, policy=once)) as client:
            async with client.sse(url_of(server)) as events:
                assert [event.data async for event in events] == ["a"]
    assert len(peers) == 1


async def test_a_post_is_not_repeated(engine: EngineFactory) -> None:
    script, peers = server_of(HEAD + b"data: a\n\n", HEAD)
    async with raw_server(script) as server, HttpClient(engine, install(SSE)) as client:
        async with client.sse(url_of(server), method="POST", json={"q": 1}) as events:
            assert [event.data async for event in events] == ["a"]
    assert len(peers) == 1
    assert peers[0].request.startswith(b"POST ")


async def test_a_post_that_breaks_off_raises(engine: EngineFactory) -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\n")
    script, _ = server_of(head + b"data: a\n\n")
    async with raw_server(script) as server, HttpClient(engine, install(SSE)) as client:
        async with client.sse(url_of(server), method="POST") as events:
            assert (await anext(events)).data == "a"
            for _ in range(2):
                with pytest.raises(ConnectError):
                    await anext(events)


async def test_a_cancelled_wait_loses_nothing(engine: EngineFactory) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(HEAD + b"data: a\n\n")
        await go_on.wait()
        await peer.send(b"data: b\n\n")
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine, install(SSE)) as client:
        async with client.sse(url_of(server)) as events:
            assert (await anext(events)).data == "a"
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            go_on.set()
            assert (await anext(events)).data == "b"


async def test_an_event_without_an_end(engine: EngineFactory) -> None:
    script, _ = server_of(HEAD + b"data: a\n\ndata: " + b"x" * 10_000, hold=True)
    factory = partial(engine, limit=1)
    async with raw_server(script) as server:
        async with HttpClient(factory, install(SSE, max_event_size=1000)) as client:
            for _ in range(2):
                async with client.sse(url_of(server)) as events:
                    with pytest.raises(SseError, match="more than 1000 characters"):
                        [event async for event in events]


def leave_the_block(events: object) -> None:
    """Do nothing: the block ends."""


def fail(events: object) -> None:
    raise LookupError("mine")


@pytest.mark.parametrize("ending", [leave_the_block, fail])
async def test_leaving_gives_the_connection_back(
    engine: EngineFactory, ending: Callable[[object], None]
) -> None:
    script, peers = server_of(HEAD + b"data: a\n\n", hold=True)
    factory = partial(engine, limit=1)
    async with raw_server(script) as server, HttpClient(factory, install(SSE)) as client:
        for _ in range(2):
            with contextlib.suppress(LookupError):
                async with client.sse(url_of(server)) as events:
                    async for event in events:
                        assert event.data == "a"
                        break
                    ending(events)
            await asyncio.wait_for(server.finished.wait(), 20)
            server.finished.clear()
        assert len(peers) == 2


@pytest.mark.parametrize("first", ["events", "client"])
async def test_closing_wakes_who_waits(engine: EngineFactory, first: str) -> None:
    script, _ = server_of(HEAD + b"data: a\n\n", hold=True)
    async with raw_server(script) as server:
        client = HttpClient(engine, install(SSE))
        events = await client.sse_session(url_of(server))
        assert (await anext(events)).data == "a"
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        await (events.close() if first == "events" else client.close())
        with pytest.raises(StopAsyncIteration if first == "events" else ClientClosedError):
            await waiting
        await client.close()
        assert "over" in repr(events)


async def test_closing_while_it_waits_to_come_back(engine: EngineFactory) -> None:
    script, peers = server_of(HEAD + b"retry: 3600000\ndata: a\n\n")
    async with raw_server(script) as server:
        client = HttpClient(engine, install(SSE))
        events = await client.sse_session(url_of(server))
        assert (await anext(events)).data == "a"
        waiting = asyncio.ensure_future(anext(events))
        await server.finished.wait()
        await client.close()
        with pytest.raises(ClientClosedError):
            await waiting
    assert len(peers) == 1


@dataclass
class Price:
    id: int
    price: float


async def test_typed_events(engine: EngineFactory) -> None:
    script, _ = server_of(HEAD + b'event: price\ndata: {"id": 1, "price": 2.5}\n\n', OVER)
    plugin = install(SSE, content_converter=JsonConverter(), policy=AT_ONCE)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        async with client.sse(url_of(server)) as events:
            assert [event async for event in events.typed(Price)] == [
                ServerSentEvent(Price(1, 2.5), "price")
            ]
        with pytest.raises(PluginNotInstalledError, match=r"install\(SSE\)"):
            HttpClient(engine).sse(url_of(server))
    async with raw_server(script) as server, HttpClient(engine, install(SSE)) as client:
        async with client.sse(url_of(server)) as events:
            with pytest.raises(ConverterNotFoundError, match="content_converter"):
                await anext(events.typed(Price))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"policy": 3}, TypeError),
        ({"max_event_size": 0}, ValueError),
        ({"max_event_size": 1.5}, TypeError),
        ({"idle_timeout": -1}, ValueError),
        ({"content_converter": JsonConverter}, TypeError),
        ({"max_events": 1}, TypeError),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        HttpClient("mock", install(SSE, **options))  # type: ignore[arg-type]  # wrong on purpose


async def test_no_limit_of_what_is_decoded_ends_a_stream(engine: EngineFactory) -> None:
    packed = gzip.compress(b"".join(b"data: %d\n\n" % number for number in range(100)))
    script, peers = server_of(HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n" + packed)
    limit = install(ContentEncoding, max_decoded_size=100)
    async with (
        raw_server(script) as server,
        HttpClient(engine, install(SSE, policy=AT_ONCE), limit) as client,
        client.sse(url_of(server)) as events,
    ):
        for _ in range(2):  # it is opened again
            assert [(await anext(events)).data for _ in range(100)] == [*map(str, range(100))]
    assert len(peers) == 2


async def test_time_limits_on_a_virtual_clock() -> None:
    """A stream that falls silent is opened again; time limits of requests do not end one."""
    engine = MockEngine()
    asked: list[float] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: a\n\n"
        await engine.clock.sleep(100)
        yield b"data: b\n\n"
        await engine.clock.sleep(1000)

    def answer(request: HttpRequest) -> MockResponse:
        asked.append(engine.clock.time())
        if len(asked) == 3:
            return respond(status=204)
        return respond(chunks(), headers={"Content-Type": "text/event-stream"})

    engine.on_request("/feed", answer)
    async with HttpClient(
        engine, install(SSE, idle_timeout=200), install(HttpTimeout, request_timeout=30)
    ) as client:
        async with client.sse("/feed") as events:
            assert [event.data async for event in events] == ["a", "b"] * 2
    assert asked[0] == 0
    assert 303 <= asked[1] <= 303.25  # 100 s, 200 s of silence, 3 s and some jitter
    assert 606 <= asked[2] <= 606.5


async def test_time_in_which_a_stream_was_open_does_not_count_as_elapsed() -> None:
    engine = MockEngine()
    asked: list[float] = []

    async def quiet() -> AsyncIterator[bytes]:
        yield b": no news\n\n"
        await engine.clock.sleep(3600)

    def answer(request: HttpRequest) -> MockResponse:
        asked.append(engine.clock.time())
        return respond(quiet(), headers={"Content-Type": "text/event-stream"})

    engine.on_request("/feed", answer)
    policy = RetryPolicy(Backoff(1, 8, jitter="none"), max_elapsed=6)
    async with HttpClient(engine, install(SSE, policy=policy)) as client:
        async with client.sse("/feed") as events:
            assert [event async for event in events] == []
    assert asked == [0, 3601, 7203]


async def test_an_id_that_no_header_can_carry(engine: EngineFactory) -> None:
    script, peers = server_of(HEAD + b"id: a\x01b\ndata: a\n\n", OVER)
    async with raw_server(script) as server:
        async with HttpClient(engine, install(SSE, policy=AT_ONCE)) as client:
            events = await client.sse_session(url_of(server))
            async with events:
                assert [event.id async for event in events] == ["a\x01b"]
    assert "last-event-id" not in peers[1].headers


async def test_a_server_that_asks_for_time_and_two_readers() -> None:
    engine = MockEngine()
    asked: list[float] = []

    def answer(request: HttpRequest) -> MockResponse:
        asked.append(engine.clock.time())
        if len(asked) == 1:
            return respond(b"data: a\n\ndata: b\n\n", headers={"Content-Type": "text/event-stream"})
        if len(asked) == 2:
            return respond(status=503, headers={"Retry-After": "60"})
        return respond(status=204)

    engine.on_request("/feed", answer)
    async with HttpClient(engine, install(SSE, policy=AT_ONCE)) as client:
        async with client.sse("/feed") as events:
            both = await asyncio.gather(anext(events), anext(events))
            assert [event.data for event in both] == ["a", "b"]
            assert [event async for event in events] == []
    assert asked[2] - asked[1] >= 60


async def test_a_time_limit_of_somebody_else_passes() -> None:
    engine = MockEngine()

    async def late(request: HttpRequest) -> MockResponse:
        raise TimeoutError("not ours")

    engine.on_request("/feed", late)
    async with HttpClient(engine, install(SSE)) as client:
        with pytest.raises(TimeoutError, match="not ours"):
            await client.sse_session("/feed")


async def test_what_an_answer_was_waited_for(engine: EngineFactory) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.set()
        await peer.read_eof()

    async with (
        asyncio.timeout(20),
        raw_server(script) as server,
        HttpClient(partial(engine, limit=1), install(SSE)) as client,
    ):
        holding = asyncio.create_task(client.get(url_of(server)))
        await asked.wait()
        waited = r"\(socket_timeout\); it was still waiting for a free connection \(limit=1\)"
        with pytest.raises(SocketTimeoutError, match=waited):
            await client.sse_session(url_of(server), timeout(socket=0.1))
        holding.cancel()
        await asyncio.wait({holding})
        with pytest.raises(SocketTimeoutError, match=r"within 0.1 s \(socket_timeout\)$"):
            await client.sse_session(url_of(server), timeout(socket=0.1))


async def test_an_answer_that_does_not_come() -> None:
    engine = MockEngine()

    async def never(request: HttpRequest) -> MockResponse:
        await asyncio.Event().wait()
        raise AssertionError

    engine.on_request("/feed", never)
    async with HttpClient(engine, install(SSE)) as client:
        with pytest.raises(SocketTimeoutError, match=r"within 60 s \(socket_timeout\)"):
            await client.sse_session("/feed")
    assert engine.clock.time() == 60
