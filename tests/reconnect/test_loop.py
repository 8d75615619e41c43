"""`async for session in client.web_socket_reconnecting(url)`, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import itertools

import pytest

from ktor_client import (
    Backoff,
    ClientClosedError,
    CloseReason,
    ConnectError,
    ConnectionClosedError,
    DnsError,
    Failure,
    HttpClient,
    HttpRequestBuilder,
    InvalidUrlError,
    PingTimeoutError,
    ReconnectingSession,
    ReconnectStoppedError,
    Retry,
    RetryPolicy,
    Stop,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock.peer import Peer
from ktor_client.plugins import WebSocketReconnect, WebSockets
from ktor_client.reconnect.target import UrlAnew
from ktor_client.testing import MockPeerSession, accept, respond
from tests.support.fake_link import steps

STEADY = RetryPolicy(Backoff(first=1, longest=8, jitter="none"))
URL = "ws://test/feed"


def says(*texts: str, code: int | None = 1001) -> Peer:
    """Return a peer that says something and closes; without a code, it drops the connection."""

    async def peer(session: MockPeerSession) -> None:
        for text in texts:
            await session.send(text)
        if code is None:
            session.drop()
        else:
            await session.close(CloseReason(code))

    return peer


async def listens(session: MockPeerSession) -> None:
    await session.wait_closed()


def client_of(engine: MockEngine, **options: object) -> HttpClient:
    return HttpClient(engine, install(WebSockets, **options))  # type: ignore[arg-type]


async def test_one_session_after_another() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=1001), times=1)
    engine.on_web_socket("/feed", says("b", code=None), times=1)
    engine.on_web_socket("/feed", says("c", code=1000), times=1)
    seen: list[str | bytes] = []
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(URL, policy=STEADY):
            async with session:
                assert session.is_open
                async for message in session:
                    seen.append(message)
        assert seen == ["a", "b", "c"]  # a peer's 1000 ends it quietly
        assert 3 <= engine.clock.time() < 4  # after 1 s and 2 s; no session was stable


async def test_the_first_connection_is_covered() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("nobody is there"), times=1)
    engine.on_web_socket("/feed", respond(status=503), times=1)
    engine.on_web_socket("/feed", says("a", code=1000), times=1)
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(URL, policy=STEADY):
            async with session:
                assert [message async for message in session] == ["a"]
        assert 3 <= engine.clock.time() < 4


async def test_retry_after_is_a_floor() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", respond(status=429, headers={"Retry-After": "17"}), times=1)
    engine.on_web_socket("/feed", says(code=1000), times=1)
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(URL):
            async with session:
                assert 17 <= engine.clock.time() <= 17.25
                await session.wait_closed()


@pytest.mark.parametrize(
    ("answer", "cause", "code"),
    [
        (respond(status=403), WebSocketHandshakeError, 1006),
        (DnsError("no name"), DnsError, 1006),
        (says(code=4001), ConnectionClosedError, 4001),
        (says(code=1002), ConnectionClosedError, 1002),
    ],
)
async def test_what_the_policy_stops_is_raised(
    answer: object, cause: type[Exception], code: int
) -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", answer)  # type: ignore[arg-type]
    policy = RetryPolicy(max_attempts=1) if cause is DnsError else RetryPolicy()
    async with engine, client_of(engine) as client:
        with pytest.raises(ReconnectStoppedError) as caught:
            async for session in client.web_socket_reconnecting(URL, policy=policy):
                async with session:
                    await session.receive_text()
        assert type(caught.value.__cause__) is cause
        assert caught.value.reason.code == code
        assert "gave up after 1 attempt" in str(caught.value)


async def test_the_reason_is_the_last_close_reason() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says(code=1013), times=1)
    engine.on_web_socket("/feed", respond(status=404), times=1)
    async with engine, client_of(engine) as client:
        with pytest.raises(ReconnectStoppedError, match="gave up after 2 attempts") as caught:
            async for session in client.web_socket_reconnecting(URL, policy=STEADY):
                async with session:
                    await session.receive_text()
        assert caught.value.reason.code == 1013
        assert isinstance(caught.value.__cause__, WebSocketHandshakeError)
        assert caught.value.__cause__.response.status == 404


async def test_a_ping_timeout_is_an_end_like_others() -> None:
    async def dead(session: MockPeerSession) -> None:
        await session.stall()

    engine = MockEngine()
    engine.on_web_socket("/feed", dead, times=1)
    engine.on_web_socket("/feed", says("a", code=1000), times=1)
    failures: list[Failure] = []
    policy = RetryPolicy(decide=lambda failure: failures.append(failure))
    async with engine, client_of(engine, ping_interval=1, timeout=2) as client:
        async for session in client.web_socket_reconnecting(URL, policy=policy):
            async with session:
                while True:
                    await session.receive_text()
        assert isinstance(failures[0].error, PingTimeoutError)
        assert failures[0].was_open
        assert [f.reason and f.reason.code for f in failures] == [1011, 1000]


async def test_any_other_exception_ends_it_and_comes_out_unchanged() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    mine = KeyError("mine")
    codes: list[int | None] = []
    async with engine, client_of(engine) as client:
        with pytest.raises(KeyError) as caught:
            async for session in client.web_socket_reconnecting(URL):
                try:
                    async with session:
                        raise mine
                finally:
                    codes.append(session.close_reason.code)
        assert caught.value is mine
        assert codes == [1011]
        assert len(engine.handshakes) == 1


async def test_the_end_of_another_session_is_an_exception_like_others() -> None:
    engine = MockEngine()
    engine.on_web_socket("/other", says(code=1001))
    engine.on_web_socket("/feed", listens)
    async with engine, client_of(engine) as client:
        other = await client.web_socket_session("ws://test/other")
        with pytest.raises(ConnectionClosedError) as caught:
            async for session in client.web_socket_reconnecting(URL):
                async with session:
                    await other.receive_text()
        assert len(engine.handshakes) == 2
        assert caught.value.reason.code == 1001


async def test_the_end_of_the_session_in_several_tasks() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says(code=1001), times=1)
    engine.on_web_socket("/feed", listens, times=1)
    seen = 0
    async with engine, client_of(engine) as client:
        with pytest.raises(ExceptionGroup) as caught:
            async for session in client.web_socket_reconnecting(URL):
                seen += 1
                async with session:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(session.receive_text())
                        if seen == 2:
                            raise KeyError("mine")
        assert seen == 2
        assert isinstance(caught.value.exceptions[0], KeyError)


async def test_a_block_that_is_left_closes_its_session_and_the_loop_goes_on() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    reasons: list[CloseReason] = []
    policy = RetryPolicy(max_attempts=2, decide=lambda _: Stop())  # neither is asked: no failure
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(URL, policy=policy):
            async with session:
                assert session.is_open
            reasons.append(session.close_reason)
            if len(reasons) == 3:
                break
        assert [(reason.code, reason.initiator) for reason in reasons] == [(1000, "local")] * 3


async def test_sessions_that_we_end_are_no_attempts_that_failed() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", listens, times=5)
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", listens, times=1)
    policy, seen = RetryPolicy(STEADY.backoff, max_attempts=2), 0
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(URL, policy=policy):
            async with session:
                seen += 1
                if seen == 6:
                    break
        assert engine.clock.time() >= 1 + 2 + 4 + 8 + 8  # but that is no way to hammer at a server


@pytest.mark.parametrize("life", [7, 3600])
async def test_time_in_which_a_session_was_open_does_not_count_as_elapsed(life: float) -> None:
    async def quiet(session: MockPeerSession) -> None:
        await session.delay(life)
        await session.close(CloseReason(1012))

    engine, seen = MockEngine(), 0
    engine.on_web_socket("/feed", quiet)
    policy = RetryPolicy(STEADY.backoff, max_elapsed=6)
    async with engine, client_of(engine, ping_interval=None) as client:
        with pytest.raises(ReconnectStoppedError, match="3 attempts in 3 s: max_elapsed=6"):
            async for session in client.web_socket_reconnecting(URL, policy=policy):
                async with session:
                    seen += 1
                    await session.wait_closed()
    assert seen == 3


async def test_a_body_without_async_with() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=1012), times=1)
    engine.on_web_socket("/feed", listens, times=1)
    engine.on_web_socket("/feed", says(code=4000), times=1)
    reasons: list[int | None] = []
    async with engine, client_of(engine) as client:
        with pytest.raises(ReconnectStoppedError):
            async for session in client.web_socket_reconnecting(URL):
                if not reasons:  # what it catches itself counts the same
                    with pytest.raises(ConnectionClosedError):
                        while True:
                            await session.receive_text()
                if len(reasons) == 2:
                    await session.wait_closed()
                reasons.append(session.close_reason.code)  # the second is open when it is left
        assert reasons == [1012, None, 4000]


async def test_break_leaks_nothing() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    gc.disable()
    try:
        async with engine, client_of(engine) as client:
            statement = client.web_socket_reconnecting(URL)
            left: list[ReconnectingSession] = []
            async for session in statement:
                left.append(session)
                break
            assert left[0].is_open
            await asyncio.sleep(0)
            assert not left[0].is_open  # in the step after
            assert (await left[0].close_reason).code == 1000
            await left[0].wait_closed()
            assert not client._sessions
    finally:
        gc.enable()


async def test_return_and_an_exception_leak_nothing_either() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", listens)

    left: list[ReconnectingSession] = []

    async def first(client: HttpClient) -> None:
        async for session in client.web_socket_reconnecting(URL):
            left.append(session)
            return

    async with engine, client_of(engine) as client:
        await first(client)
        with pytest.raises(KeyError):
            async for session in client.web_socket_reconnecting(URL):
                left.append(session)
                raise KeyError("mine")
        await asyncio.sleep(0)
        assert [session.is_open for session in left] == [False, False]


async def test_aclose() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    async with engine, client_of(engine) as client:
        sessions = aiter(client.web_socket_reconnecting(URL))
        session = await anext(sessions)
        await sessions.aclose()
        assert session.close_reason.code == 1000
        with pytest.raises(StopAsyncIteration):
            await anext(sessions)
        await sessions.aclose()


async def test_a_statement_may_be_used_again() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=1000))
    async with engine, client_of(engine) as client:
        statement = client.web_socket_reconnecting(URL)
        for _ in range(2):
            async for session in statement:
                async with session:
                    assert [message async for message in session] == ["a"]
        assert len(engine.handshakes) == 2


# --- counting


async def test_opening_alone_is_no_success() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says(code=1001))
    times: list[float] = []
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(URL, policy=STEADY):
            times.append(engine.clock.time())
            async with session:
                async for _ in session:
                    pass
            if len(times) == 5:
                break
    waits = [round(b - a, 3) for a, b in itertools.pairwise(times)]
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize("texts", [(), ("a",)])
async def test_a_stable_session_begins_anew(texts: tuple[str, ...]) -> None:
    async def long(session: MockPeerSession) -> None:
        for text in texts:
            await session.send(text)
        await session.delay(11)
        await session.close(CloseReason(1001))

    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no"), times=3)
    engine.on_web_socket("/feed", long, times=1)
    engine.on_web_socket("/feed", respond(status=404), times=1)
    failures: list[Failure] = []

    def note(failure: Failure) -> None:
        failures.append(failure)

    policy = RetryPolicy(STEADY.backoff, decide=note)
    async with engine, client_of(engine, ping_interval=None) as client:
        with pytest.raises(ReconnectStoppedError):
            async for session in client.web_socket_reconnecting(URL, policy=policy):
                async with session:
                    await session.wait_closed()
    # Without a message it was no success, however long.
    expected = [1, 2, 3, 1, 2] if texts else [1, 2, 3, 4, 5]
    assert [failure.attempt for failure in failures] == expected
    assert [failure.was_open for failure in failures] == [False, False, False, True, False]


async def test_decide_has_the_word() -> None:
    async def decide(failure: Failure) -> Retry | Stop | None:
        await asyncio.sleep(0)
        if failure.reason is not None and failure.reason.code == 4001:
            return Retry(5)
        if failure.reason is not None and failure.reason.code == 1000:
            return Retry(0)
        return Stop("enough") if failure.attempt == 3 else None

    engine = MockEngine()
    engine.on_web_socket("/feed", says(code=4001), times=1)
    engine.on_web_socket("/feed", says(code=1000), times=1)
    engine.on_web_socket("/feed", says(code=1012), times=1)
    async with engine, client_of(engine) as client:
        with pytest.raises(ReconnectStoppedError, match=r"after 3 attempts in 5 s: enough; .*1012"):
            async for session in client.web_socket_reconnecting(
                URL, policy=RetryPolicy(decide=decide)
            ):
                async with session:
                    await session.receive_text()


async def test_what_decide_raises_ends_the_whole() -> None:
    def decide(failure: Failure) -> None:
        raise LookupError("in decide")

    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no"))
    async with engine, client_of(engine) as client:
        with pytest.raises(LookupError, match="in decide"):
            async for _ in client.web_socket_reconnecting(URL, policy=RetryPolicy(decide=decide)):
                pass


# --- what is asked anew


async def test_functions_are_asked_before_each_attempt() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says(code=1001), subprotocols=["v1", "v2", "v3"])
    asked: list[str] = []

    def url() -> str:
        asked.append("url")
        return f"{URL}?token={asked.count('url')}"

    async def headers() -> dict[str, str]:
        await asyncio.sleep(0)
        asked.append("headers")
        return {"X-Try": str(asked.count("headers"))}

    def block(request: HttpRequestBuilder) -> None:
        asked.append("block")
        request.headers.set("X-Block", str(asked.count("block")))

    def subprotocols() -> list[str]:
        asked.append("subprotocols")
        return [f"v{asked.count('subprotocols')}"]

    async def params() -> dict[str, object]:
        return {"n": len(asked)}

    chosen: list[str | None] = []
    async with engine, client_of(engine) as client:
        statement = client.web_socket_reconnecting(
            url, block, headers=headers, subprotocols=subprotocols, params=params
        )
        assert asked == []
        async for session in statement:
            chosen.append(session.subprotocol)
            async with session:
                pass
            if len(chosen) == 3:
                break
    assert chosen == ["v1", "v2", "v3"]
    assert [r.url.query.partition("&")[0] for r in engine.handshakes] == [
        "token=1",
        "token=2",
        "token=3",
    ]
    assert [r.headers["x-try"] for r in engine.handshakes] == ["1", "2", "3"]
    assert [r.headers["x-block"] for r in engine.handshakes] == ["1", "2", "3"]


async def test_a_request_block_in_place_of_the_url() -> None:
    def where(request: HttpRequestBuilder) -> None:
        request.url.host = "test"
        request.url.set_path("/feed")

    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=1000))
    async with engine, client_of(engine) as client:
        async for session in client.web_socket_reconnecting(where):
            async with session:
                assert [message async for message in session] == ["a"]


async def test_a_function_that_forgets_to_return_the_url() -> None:
    """Without a URL the request would go to localhost."""
    engine = MockEngine()
    async with engine, client_of(engine) as client:
        with pytest.raises(ReconnectStoppedError, match="url returned None, not a URL"):
            async for _ in client.web_socket_reconnecting([].clear):  # type: ignore[arg-type]
                pass
    assert not engine.handshakes


async def test_a_function_that_fails_is_a_failed_attempt() -> None:
    calls = 0

    async def url() -> str:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise (ConnectError, LookupError)[calls - 1]("no token today")
        raise TypeError("a bug")

    engine = MockEngine()
    async with engine, client_of(engine) as client:
        with pytest.raises(ReconnectStoppedError, match="a bug") as caught:
            async for _ in client.web_socket_reconnecting(url, policy=STEADY):
                pass
        assert calls == 3
        assert isinstance(caught.value.__cause__, TypeError)


async def test_several_urls() -> None:
    up: set[str] = set()

    async def one(session: MockPeerSession) -> None:
        await session.send("hi")
        await session.delay(25)
        await session.close(CloseReason(1001))

    engine = MockEngine()
    for host in ("a", "b", "c"):
        engine.on_handshake(
            lambda request, host=host: request.url.host == host,  # type: ignore[misc]
            lambda request: accept(one) if request.url.host in up else ConnectError("down"),
        )
    hosts: list[str] = []
    async with engine, client_of(engine, ping_interval=None) as client:
        up |= {"c"}
        urls: list[UrlAnew] = ["ws://a/", lambda: "ws://b/", "ws://c/"]
        async for session in client.web_socket_reconnecting(urls, policy=STEADY):
            hosts.append(session.call.request.url.host)
            up |= {"a", "b"}
            async with session:
                await session.wait_closed()
            if len(hosts) == 4:
                break
    # a and b are down; c goes after 25 s, when a has rested long enough.
    assert [r.url.host for r in engine.handshakes][:4] == ["a", "b", "c", "a"]
    assert hosts[:2] == ["c", "a"]


# --- mistakes


async def test_mistakes_raise_at_the_call() -> None:
    engine = MockEngine()
    async with engine, client_of(engine) as client:
        call = client.web_socket_reconnecting
        with pytest.raises(InvalidUrlError):
            call("ws://te st/")
        with pytest.raises(InvalidUrlError):
            call(["ws://test/", "ftp://test/"])
        with pytest.raises(ValueError, match="sequence is empty"):
            call([])
        with pytest.raises(TypeError, match="url is a URL"):
            call(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not bytes"):
            call(b"ws://test/")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="policy takes RetryPolicy"):
            call(URL, policy=5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="opens with GET"):
            call(URL, method="POST")
        with pytest.raises(TypeError, match="async for session in"):
            await call(URL)  # type: ignore[misc]
        with pytest.raises(TypeError, match="async for session in"):
            for _ in call(URL):  # type: ignore[attr-defined]
                pass
        with pytest.raises(TypeError, match="async for session in"):
            with call(URL):  # type: ignore[attr-defined]
                pass
        assert repr(call(URL)) == "<ReconnectingStatement>"
        await client.close()
        with pytest.raises(ClientClosedError):
            call(URL)


# --- the client's end


async def test_a_client_that_is_closed_while_it_waits() -> None:
    engine = MockEngine(real_time=True)
    engine.on_web_socket("/feed", ConnectError("no"))
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    async with engine, client_of(engine) as client:

        async def loop() -> None:
            async for _ in client.web_socket_reconnecting(URL, policy=policy):
                pass

        task = asyncio.create_task(loop())
        await steps()
        assert engine.handshakes
        await client.close()
        with pytest.raises(ClientClosedError):
            await task


async def test_a_client_that_is_closed_while_a_session_is_open() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=1001), times=1)
    engine.on_web_socket("/feed", listens, times=1)
    async with engine, client_of(engine) as client:
        with pytest.raises(ClientClosedError):
            async for session in client.web_socket_reconnecting(URL):
                async with session:
                    if len(engine.handshakes) == 2:
                        await client.close()
                    async for _ in session:
                        pass


async def test_cancelling_during_a_wait_is_immediate() -> None:
    engine = MockEngine(real_time=True)
    engine.on_web_socket("/feed", ConnectError("no"))
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    async with engine, client_of(engine) as client:

        async def loop() -> None:
            async for _ in client.web_socket_reconnecting(URL, policy=policy):
                pass

        task = asyncio.create_task(loop())
        await steps()
        assert engine.handshakes
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not client._on_closing


# --- with a function


async def test_execute() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=1001), times=1)
    engine.on_web_socket("/feed", says("b", code=1001), times=1)
    engine.on_web_socket("/feed", says("c"), times=1)

    async def until_c(session: object) -> str | None:
        text: str = await session.receive_text()  # type: ignore[attr-defined]
        return text if text == "c" else None

    async with engine, client_of(engine) as client:
        assert await client.web_socket_reconnecting(URL).execute(until_c) == "c"
        engine.on_web_socket("/done", says(code=1000))
        done = client.web_socket_reconnecting("ws://test/done")
        assert await done.execute(until_c) is None
        with pytest.raises(TypeError, match="takes a coroutine function, not int"):
            await done.execute(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="this function returned"):
            await done.execute(lambda _: 5)  # type: ignore[arg-type,return-value]


# --- the budget


async def test_a_budget_for_all_sessions_of_a_client() -> None:
    engine = MockEngine()
    times: list[float] = []
    order: list[str] = []

    def refuse(request: object) -> Exception:
        times.append(engine.clock.time())
        order.append(request.url.query)  # type: ignore[attr-defined]
        return ConnectError("down")

    engine.on_handshake("/feed", refuse)
    blocks = install(WebSocketReconnect, max_attempts_per_second=50)
    async with engine, HttpClient(engine, install(WebSockets), blocks) as client:

        async def one(number: int) -> None:
            async for _ in client.web_socket_reconnecting(f"{URL}?{number}"):
                pass

        tasks = [asyncio.create_task(one(number)) for number in range(300)]
        await engine.clock.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert order[:300] == [str(number) for number in range(300)]  # in order
    assert min(order.count(str(number)) for number in range(300)) >= 3  # and nobody starves
    for at, begin in enumerate(times):
        assert sum(begin <= other < begin + 1 for other in times[at : at + 100]) <= 50
    assert len(times) > 40 * 50  # all of it is used while there is demand
