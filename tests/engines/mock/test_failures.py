"""MockEngine: what a test is told when its script is not followed."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import ExpectationError, MockPeerSession, accept
from ktor_client.plugins import WebSockets
from tests.engines.mock.scripts import echo


def is_long(frame: Frame) -> bool:
    return len(frame.data) > 1000


def failing(
    script: Callable[[MockPeerSession], Any], use: Callable[[Any], Any], patience: float = 5.0
) -> Any:
    """Let a client `use` a session whose peer follows `script`; return what the engine says."""

    async def run() -> str:
        engine = MockEngine(patience=patience)
        engine.on_web_socket("/chat", script)
        client = HttpClient(engine, install(WebSockets))
        session = await client.web_socket_session("/chat")
        try:
            await use(session)
        except ConnectionClosedError:
            pass
        await session.close()
        with pytest.raises(ExpectationError) as failed:
            await client.close()
        await engine.close()
        return str(failed.value)

    return run()


async def hello(session: Any) -> None:
    await session.send("hello")
    await session.receive_text()


class TestFailures:
    async def test_another_message(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.send("hi")
            await peer.expect("hallo")

        async def use(session: Any) -> None:
            assert await session.receive_text() == "hi"
            await hello(session)

        assert await failing(script, use) == (
            "MockEngine, peer of ws://localhost/chat: expected Frame.Text('hallo'), "
            "but the client sent Frame.Text('hello')\n"
            "Conversation, as the peer saw it:\n"
            "    peer    Frame.Text('hi')\n"
            "    client  Frame.Text('hello')"
        )

    async def test_other_json(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(json={"type": "join", "room": 1})

        async def use(session: Any) -> None:
            await session.send('{"type": "join", "room": 2}')
            await session.receive_text()

        text = await failing(script, use)
        assert "expected json={'type': 'join', 'room': 1}, but the client sent" in text
        assert text.endswith(
            "Difference (- expected, + received):\n"
            "      {\n"
            '    -   "room": 1,\n'
            "    ?           ^\n"
            '    +   "room": 2,\n'
            "    ?           ^\n"
            '        "type": "join"\n'
            "      }"
        )

    async def test_a_long_text(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(Frame.Text("first line\nsecond line"))

        async def use(session: Any) -> None:
            await session.send("first line\nanother line")
            await session.receive_text()

        text = await failing(script, use)
        assert "    - second line\n    + another line" in text

    @pytest.mark.parametrize(
        ("expected", "words"),
        [
            (b"x", "Frame.Binary(b'x')"),
            (Frame.Binary, "a Binary frame"),
            (re.compile("x+"), "a text like 'x+'"),
            (is_long, "a message that is_long accepts"),
        ],
    )
    async def test_other_expectations(self, engine: MockEngine, expected: Any, words: str) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(expected)

        text = await failing(script, hello)
        assert f"expected {words}, but the client sent Frame.Text('hello')" in text

    async def test_the_client_closes_instead(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect("hello")
            await peer.expect("and more")

        async def use(session: Any) -> None:
            await session.send("hello")

        assert "but the client closed with 1000 NORMAL\n" in await failing(script, use)

    async def test_the_client_is_gone(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect("hello")

        async def use(session: Any) -> None:
            session.cancel()

        text = await failing(script, use)
        assert "expected Frame.Text('hello'), but the connection was lost" in text
        assert text.endswith("    (nothing was sent)")

    async def test_another_close(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect_close(4000, "done")

        async def use(session: Any) -> None:
            await session.close(CloseReason(4000, "finished"))

        text = await failing(script, use)
        assert (
            "expected a Close frame with 4000 and 'done', but the client closed with 4000: finished"
            in text
        )

    async def test_a_loss_instead_of_a_close(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect_close(4000)

        async def use(session: Any) -> None:
            session.cancel()

        text = await failing(script, use)
        assert "expected a Close frame with 4000, but the connection was lost" in text

    async def test_a_message_before_the_close(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect_close()

        async def use(session: Any) -> None:
            await asyncio.sleep(0)  # the peer waits already
            await session.send("one more thing")
            await session.close()

        text = await failing(script, use)
        wanted = "expected a Close frame, but the client sent Frame.Text('one more thing')"
        assert wanted in text

    async def test_a_message_instead_of_a_close(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect_close()

        text = await failing(script, hello)
        assert "expected a Close frame, but" in text

    async def test_no_ping(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(Frame.Ping)

        async def use(session: Any) -> None:
            await session.close()

        text = await failing(script, use)
        assert "expected a Ping frame, but the client closed with 1000 NORMAL" in text

    async def test_another_ping(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(Frame.Ping(b"a"))

        async def use(session: Any) -> None:
            await session.ping(b"b")

        text = await failing(script, use)
        assert "expected Frame.Ping(b'a'), but the client sent Frame.Ping(b'b')" in text

    async def test_nothing_comes(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect("hello")

        async def use(session: Any) -> None:
            await session.receive_text()

        text = await failing(script, use, patience=0.02)
        assert "but nothing came within 0.02 s (MockEngine's patience)" in text

    async def test_more_than_was_asked_for(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect("hello")

        async def use(session: Any) -> None:
            for text in ("hello", "1", "2", "3", "4"):
                await session.send(text)

        text = await failing(script, use)
        assert (
            "the script is over, but the client also sent Frame.Text('1'), Frame.Text('2'), "
            "Frame.Text('3') and 1 more" in text
        )

    async def test_a_script_with_a_bug(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            raise KeyError("room")

        text = await failing(script, hello)
        assert "the script failed: KeyError: 'room'" in text

    async def test_a_script_that_is_a_plain_function(self, engine: MockEngine) -> None:
        script: Any = lambda peer: None  # noqa: E731

        text = await failing(script, hello)
        assert "the script failed: TypeError: a peer is a coroutine function: async def" in text

    async def test_a_script_that_ends_as_tests_do(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            pytest.fail("not what I wanted")

        text = await failing(script, hello)
        assert "the script failed: Failed: not what I wanted" in text

    @pytest.mark.parametrize("end", [asyncio.CancelledError, GeneratorExit])
    async def test_a_script_that_cancels_itself(
        self, engine: MockEngine, end: type[BaseException]
    ) -> None:
        async def script(peer: MockPeerSession) -> None:
            raise end

        async with asyncio.timeout(20):
            text = await failing(script, hello)
        assert f"it raised {end.__name__}, but nobody had cancelled it" in text

    @pytest.mark.parametrize("error", ["gone", ValueError.mro])
    async def test_a_script_that_drops_with_no_exception(
        self, engine: MockEngine, error: Any
    ) -> None:
        async def script(peer: MockPeerSession) -> None:
            peer.drop(error)

        text = await failing(script, hello)
        assert "the script failed: TypeError: drop takes an exception that the client sees" in text

    async def test_an_expectation_that_is_a_coroutine_function(self, engine: MockEngine) -> None:
        """Its result would always be true."""

        async def is_short(frame: Frame) -> bool:
            raise AssertionError

        async def script(peer: MockPeerSession) -> None:
            wrong: Any = is_short
            await peer.expect(wrong)

        text = await failing(script, hello)
        assert "the script failed: TypeError: what expect asks about a message is a plain" in text

    async def test_a_script_that_lost_another_session(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            raise ConnectionClosedError("a session of the script's own")

        text = await failing(script, hello)
        assert "failed: ConnectionClosedError: a session of the script's own" in text

    async def test_a_client_that_never_gives_up(self, engine: MockEngine) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.stall()

        engine = MockEngine()
        engine.on_web_socket("/", peer)
        client = HttpClient(engine, install(WebSockets, ping_interval=None))
        session = await client.web_socket_session("/")
        with pytest.raises(ConnectionClosedError, match="stalled for a virtual day"):
            await session.receive_text()
        with pytest.raises(ExpectationError, match="stalled for a virtual day"):
            await client.close()

    async def test_the_client_sees_it_at_once(self, engine: MockEngine) -> None:
        """The failure is in what the session raises, with the script's own line as cause."""

        async def peer(session: MockPeerSession) -> None:
            await session.expect("hallo")

        engine = MockEngine()
        engine.on_web_socket("/", peer)
        client = HttpClient(engine, install(WebSockets))
        session = await client.web_socket_session("/")
        with pytest.raises(ConnectionClosedError, match=r"expected Frame.Text\('hallo'\)") as lost:
            await hello(session)
        assert isinstance(lost.value.__cause__, ExpectationError)
        assert lost.value.__cause__.conversation is engine.conversations[0]
        with pytest.raises(ExpectationError):
            engine.verify()
        engine.verify()  # told once
        await client.close()

    async def test_nobody_scripted_it(self) -> None:
        engine = MockEngine()
        client = HttpClient(engine, install(WebSockets))
        with pytest.raises(ExpectationError) as failed:
            await client.web_socket_session("/nope")
        assert str(failed.value) == (
            "MockEngine has no peer for GET ws://localhost/nope; on_web_socket has no routes yet. "
            'Add one: engine.on_web_socket("/nope", ...)'
        )
        with pytest.raises(ExpectationError):
            await client.close()

    async def test_several_at_once(self) -> None:
        engine = MockEngine()
        engine.on_request("/", "never fetched", times=1)
        engine.on_web_socket("/chat", echo, times=2)
        engine.enqueue("left over")
        with pytest.raises(ExpectationError) as failed:
            engine.verify()
        assert str(failed.value).split("\n\n") == [
            "MockEngine: / was to be called 1 times; it was called 0 times",
            "MockEngine: /chat was to be called 2 times; it was called 0 times",
            "MockEngine: 1 queued answers were not fetched",
        ]

    async def test_an_expectation_that_is_still_open(self) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.expect("hello")

        engine = MockEngine()
        engine.on_web_socket("/", peer)
        async with HttpClient(engine, install(WebSockets)) as client:
            session = await client.web_socket_session("/")
            await asyncio.sleep(0)
            with pytest.raises(ExpectationError, match="but the test ended before it came"):
                engine.verify()
            await session.send("hello")
            await session.wait_closed()

    async def test_an_expectation_that_the_script_has_given_up(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await session.expect("hello")
            await session.send("nothing came")

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "nothing came"

    def test_a_loop_that_is_closed_under_a_script_is_no_failure(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.incoming.receive()

        async def run(engine: MockEngine) -> None:
            client = HttpClient(engine, install(WebSockets))
            await client.web_socket_session("/")
            await asyncio.sleep(0)
            client._closing = True  # a client that is forgotten, not closed

        caplog.set_level(logging.CRITICAL, "asyncio")  # it says what was destroyed
        engine = MockEngine()
        engine.on_web_socket("/", peer)
        failures = engine._stage.failures
        loop = asyncio.new_event_loop()
        loop.run_until_complete(run(engine))
        loop.close()
        del engine
        gc.collect()
        assert failures == []

    def test_failures_that_nobody_asked_for(self) -> None:
        async def run() -> None:
            engine = MockEngine()
            client = HttpClient(engine, install(WebSockets))
            with pytest.raises(ExpectationError):
                await client.get("/nope")
            client._closing = True  # a client that is forgotten, not closed

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            asyncio.run(run())
            gc.collect()
        assert [str(w.message) for w in seen if "nobody asked this engine" in str(w.message)]


class TestMoreWords:
    """Rarer words of the same language."""

    @pytest.mark.parametrize(
        ("expected", "words"),
        [
            (Frame.Text("x"), "Frame.Text('x')"),
            (Frame.Close, "a Close frame"),
            (Frame.Close(CloseReason(4000, "x")), "a Close frame with 4000 and 'x'"),
            (Frame, "a message"),
        ],
    )
    async def test_what_was_expected(self, engine: MockEngine, expected: Any, words: str) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(expected)
            await peer.expect("never")

        async def use(session: Any) -> None:
            if expected is Frame:
                session.cancel()
            else:
                await hello(session)

        assert f"expected {words}, but the " in await failing(script, use)

    async def test_a_close_frame_that_is_none(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(Frame.Close(b"\x03"))

        engine = MockEngine()
        engine.on_handshake("/", accept(script, raw=True))
        client = HttpClient(engine, install(WebSockets))
        session = await client.web_socket_session("/")
        await session.send("hello")
        await session.wait_closed()
        with pytest.raises(ExpectationError, match=r"expected Frame.Close\(b'\\x03'\), but"):
            await client.close()
        await engine.close()

    async def test_json_that_is_none(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect(json=[1])

        async def use(session: Any) -> None:
            await session.send(b"[1]")
            await session.receive_text()

        text = await failing(script, use)
        assert "expected json=[1], but the client sent Frame.Binary(b'[1]')" in text
        assert "expected json=[1], but the client sent Frame.Text('hello')" in await failing(
            script, hello
        )

    async def test_broken_json_is_compared_as_text(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            await peer.expect("{a long text that is no JSON}")

        assert "    - {a long text that is no JSON}" in await failing(script, hello)

    async def test_what_cannot_be_expected(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            wrong: Any = 5
            await peer.expect(wrong)

        assert "TypeError: expect takes str, bytes, a Frame" in await failing(script, hello)

    async def test_a_long_conversation(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            for number in range(30):
                await peer.send(f"{number}")
            await peer.expect("never")

        async def use(session: Any) -> None:
            for _ in range(30):
                await session.receive_text()
            await hello(session)

        text = await failing(script, use)
        assert "    ... 11 frames before\n    peer    Frame.Text('11')\n" in text

    async def test_the_scripts_own_timeout_is_not_ours(self, engine: MockEngine) -> None:
        async def script(peer: MockPeerSession) -> None:
            async with asyncio.timeout(0):
                await peer.expect("never")

        async def use(session: Any) -> None:
            await session.receive_text()

        assert "the script failed: TimeoutError" in await failing(script, use)
