"""Peers that end a session in every way but the right one, and codes right and wrong."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectionClosedError,
    HttpClient,
    PingTimeoutError,
    bounded,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from tests.hostile.conversation import conversation, saying
from tests.support.raw_server import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Peer,
    close_frame,
    frame,
    raw_server,
)

SOON = 0.1
"""Seconds of a deadline that must pass in the test."""

CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3003, 3999, 4000, 4999]


# --- codes


@pytest.mark.parametrize("code", CODES)
async def test_each_legal_code_is_told_and_echoed(engine: EngineFactory, code: int) -> None:
    script, closes = saying(close_frame(code, "wörum"))
    async with conversation(engine, script) as session:
        reason = await session.close_reason
        assert reason == CloseReason(code, "wörum")
        assert (reason.initiator, reason.received) == ("peer", CloseReason(code, "wörum"))
        assert session.close_reason.is_normal is (code in (1000, 1001))
    assert closes == [(code, "wörum")]
    assert session.close_reason.clean


@pytest.mark.parametrize("code", CODES)
async def test_each_legal_code_can_be_sent(engine: EngineFactory, code: int) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.read_close() == (code, "mine")
        await peer.send(close_frame(1000, "theirs"))

    async with conversation(engine, script) as session:
        await session.close(CloseReason(code, "mine"))
        reason = session.close_reason
        assert reason == CloseReason(code, "mine")
        assert (reason.initiator, reason.clean) == ("local", True)
        assert reason.received == CloseReason(1000, "theirs")


async def test_the_longest_reason(engine: EngineFactory) -> None:
    text = "ä" * 61 + "x"
    script, closes = saying(close_frame(1000, text))
    async with conversation(engine, script) as session:
        assert (await session.close_reason).message == text
    assert closes == [(1000, text)]


async def test_no_code_is_1005_and_echoed_empty(engine: EngineFactory) -> None:
    script, closes = saying(frame(CLOSE))
    async with conversation(engine, script) as session:
        reason = await session.close_reason
        assert (reason.code, reason.initiator, reason.is_normal) == (1005, "peer", True)
    assert closes == [(None, "")]
    assert session.close_reason.clean


# --- more than one Close, more after it


async def test_of_two_closes_the_first_counts(engine: EngineFactory) -> None:
    script, closes = saying(close_frame(4001, "first"), close_frame(4002, "second"))
    async with conversation(engine, script) as session:
        assert await session.close_reason == CloseReason(4001, "first")
    assert closes == [(4001, "first")]
    assert session.close_reason == CloseReason(4001, "first")


async def test_only_one_close_is_sent(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(close_frame(4001))
        assert await peer.read_close() == (4001, "")
        assert await peer.read_eof() == b""

    async with conversation(engine, script) as session:
        await session.close_reason
        await session.close(CloseReason(4002))


@pytest.mark.parametrize(
    "after",
    [frame(TEXT, b"late"), frame(PING, b"late"), frame(3), frame(TEXT, b"\xff"), b"\x82\x7f" * 50],
    ids=["text", "ping", "violation", "not UTF-8", "garbage"],
)
async def test_what_follows_a_close_is_ignored(engine: EngineFactory, after: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"before"), close_frame(1000, "bye"), after)
        assert await peer.read_frame() == (0x88, b"\x03\xe8bye")

    async with conversation(engine, script) as session:
        assert [message async for message in session] == ["before"]
        assert await session.close_reason == CloseReason(1000, "bye")


async def test_both_close_at_the_same_time(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.read_frame() == (0x81, b"now")
        await peer.send(close_frame(4001, "theirs"))
        assert await peer.read_close() == (4000, "ours")
        assert await peer.read_eof() == b""

    async with conversation(engine, script) as session:
        await session.send("now")
        await session.close(CloseReason(4000, "ours"))
        reason = session.close_reason
        assert (reason.code, reason.initiator, reason.clean) == (4000, "local", True)
        assert reason.received == CloseReason(4001, "theirs")


async def test_messages_until_the_peers_close_are_received(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert (await peer.read_close())[0] == 1000
        for i in range(10):
            await peer.send(frame(TEXT, b"%d" % i))
        await peer.send(close_frame(1000))

    async with conversation(engine, script) as session:
        await session.close()
        assert [m async for m in session] == [str(i) for i in range(10)]


async def test_close_gets_past_a_full_channel(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        for i in range(500):
            await peer.send(frame(BINARY, b"%03d" % i + bytes(16_000)))
        assert (await peer.read_close())[0] == 1000
        await peer.send(close_frame(1000))

    channels = Channels(incoming=bounded(4))
    async with conversation(engine, script, channels=channels) as session:
        first = await session.receive_bytes()
        await session.close()
        assert session.close_reason.clean
        got = [first] + [message async for message in session if isinstance(message, bytes)]
        assert 4 <= len(got) < 500  # what the channel held; the rest was read and dropped
        assert [int(message[:3]) for message in got] == list(range(len(got)))


async def test_a_ping_after_our_close_is_not_answered(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert (await peer.read_close())[0] == 1000
        await peer.send(frame(PING, b"still there?"), close_frame(1000))
        assert await peer.read_eof() == b""

    async with conversation(engine, script) as session:
        await session.close()


# --- peers that hold on


async def test_a_peer_that_never_answers_close(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.read_close() == (1000, "")
        await peer.read_eof()

    async with conversation(engine, script, close_timeout=SOON) as session:
        pass
    reason = session.close_reason
    assert (reason.code, reason.clean, reason.received) == (1000, False, None)


async def test_a_peer_that_streams_for_ever(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        try:
            while True:
                await peer.send(frame(BINARY, bytes(60_000)))
        except OSError:
            pass  # the client has left

    async with conversation(engine, script, close_timeout=SOON) as session:
        await session.incoming.receive()
    assert not session.close_reason.clean


async def test_a_peer_that_pings_for_ever_after_close(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        try:
            while True:
                await peer.send(frame(PING, b"still there?"))
                await asyncio.sleep(0.01)
        except OSError:
            pass  # the client has left

    async with conversation(engine, script, close_timeout=SOON) as session:
        await session.close()
        assert not session.close_reason.clean


async def test_a_peer_that_closes_and_keeps_the_connection(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(close_frame(4001))
        assert await peer.read_close() == (4001, "")
        assert await peer.read_eof() == b""  # we end it, in the end

    async with conversation(engine, script, close_timeout=SOON) as session:
        assert (await session.close_reason).code == 4001
        await session.wait_closed()
        assert session.close_reason.clean


async def test_a_peer_that_reads_nothing_cannot_hold_close(engine: EngineFactory) -> None:
    leave = asyncio.Event()

    async def script(peer: Peer) -> None:
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await leave.wait()

    async with conversation(engine, script, close_timeout=SOON) as session:
        waiting = [asyncio.ensure_future(session.send(bytes(1 << 20))) for _ in range(100)]
        await asyncio.sleep(0)
        await session.close()
        assert not session.close_reason.clean
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(result, ConnectionClosedError) for result in results)
        leave.set()


async def test_a_peer_that_is_silent_times_out(engine: EngineFactory) -> None:
    closes: list[tuple[int | None, str]] = []

    async def script(peer: Peer) -> None:
        first, payload = await peer.read_frame()
        assert first == 0x89
        assert len(payload) == 8
        closes.append(await peer.read_close())

    options = {"ping_interval": 0.02, "timeout": 0.05}
    async with conversation(engine, script, **options) as session:
        with pytest.raises(PingTimeoutError) as caught:
            await session.incoming.receive()
        assert caught.value.reason == CloseReason(1011, "Ping timeout")
        said = "Ping timeout: no pong came within 0.05 s (timeout=0.05); no data"
        assert str(caught.value) == said
        with pytest.raises(PingTimeoutError):
            await session.send("x")
    assert closes == [(1011, "Ping timeout")]


async def test_a_peer_that_sends_but_answers_no_ping(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        ended = asyncio.create_task(peer.read_close())
        while not ended.done():
            await peer.send(frame(TEXT, b"event"))
            await asyncio.sleep(0.01)

    async with conversation(engine, script, ping_interval=0.05) as session:
        with pytest.raises(PingTimeoutError) as caught:
            while True:
                assert await session.receive_text() == "event"
        assert re.fullmatch(
            r"Ping timeout: no pong came within 0\.1 s \(twice ping_interval=0\.05\); "
            r"the last data \d+\.\d s before",
            str(caught.value),
        )


async def test_pongs_that_answer_nothing_do_not_count(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        try:
            while True:
                first, payload = await peer.read_frame()
                if first == 0x88:
                    break
                await peer.send(frame(PONG, payload[:-1]), frame(PONG, payload + b"x"), frame(PONG))
        except OSError:
            pass

    options = {"ping_interval": 0.02, "timeout": 0.05}
    async with conversation(engine, script, **options) as session:
        with pytest.raises(PingTimeoutError):
            await session.incoming.receive()


# --- lost connections


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize(
    "cut", [b"", frame(TEXT, b"half")[:3], b"\x81", b"\x82\x7e\x01", frame(TEXT, b"a", fin=False)]
)
async def test_a_lost_connection(engine: EngineFactory, how: str, cut: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(frame(TEXT, b"whole") + cut)
        assert await peer.read_frame() == (0x81, b"seen")
        if how == "reset":
            peer.reset()

    async with conversation(engine, script) as session:
        assert await session.receive_text() == "whole"
        await session.send("seen")
        with pytest.raises(ConnectionClosedError) as caught:
            await session.incoming.receive()
        reason = await session.close_reason
        assert (reason.code, reason.initiator, reason.clean) == (1006, "peer", False)
        assert (reason.sent, reason.received) == (None, None)
        if how == "reset":
            assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(ConnectionClosedError):
            await session.send("x")


async def test_a_reset_while_we_flood(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        for _ in range(3):
            await peer.read_frame()
        peer.reset()

    async with conversation(engine, script) as session:
        with pytest.raises(ConnectionClosedError) as caught:
            while True:
                await session.send(bytes(100_000))
        assert caught.value.reason.code == 1006


async def test_a_reset_while_we_close(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert (await peer.read_close())[0] == 1000
        peer.reset()

    async with conversation(engine, script) as session:
        await session.close()
        reason = session.close_reason
        assert (reason.code, reason.initiator, reason.clean) == (1000, "local", False)


async def test_a_reset_wakes_everybody(engine: EngineFactory) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await gone.wait()
        peer.reset()

    async with conversation(engine, script) as session:

        async def iterate() -> None:
            async for _ in session:
                pass

        async def final() -> CloseReason:
            return await session.close_reason

        waiting = [
            asyncio.ensure_future(work)
            for work in (
                session.incoming.receive(),
                iterate(),
                session.ping(),
                session.wait_closed(),
                final(),
                final(),
            )
        ]
        await asyncio.sleep(0)
        gone.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        kinds = [type(result).__name__ for result in results]
        assert kinds == ["ConnectionClosedError"] * 3 + ["NoneType"] + ["CloseReason"] * 2


async def test_half_closed_by_the_peer_is_the_end(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        peer.writer.write_eof()
        await peer.read_eof()

    async with conversation(engine, script) as session:
        assert (await session.close_reason).code == 1006


async def test_nobody_waits_for_a_server_that_leaves_tcp_to_us(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.read_close() == (1000, "")
        await peer.send(close_frame(1000))
        assert not gone.is_set()
        await left.wait()
        assert await peer.read_eof() == b""  # we end it, in the end

    left, gone = asyncio.Event(), asyncio.Event()
    async with conversation(engine, script) as session:
        await session.close()
        assert session.close_reason.clean
        left.set()
        await session.wait_closed()
        gone.set()


async def test_the_client_ends_what_a_server_leaves_to_us(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        assert (await peer.read_close())[0] in (1000, 1001)
        await peer.send(close_frame(1000))
        assert await peer.read_eof() == b""

    plugin = install(WebSockets, close_timeout=3600)
    shared = engine()
    async with raw_server(script) as server:
        for owner in (engine, shared):  # an engine of its own, and one that stays open
            client = HttpClient(owner, plugin)
            sessions = [await client.web_socket_session(server.url) for _ in range(3)]
            for session in sessions[1:]:
                async with session:
                    pass
            await client.close()
            for session in sessions:
                assert session.close_reason.clean
                assert session._core.closed.is_set
        await shared.close()


@pytest.mark.parametrize("then", ["an exception", "nothing"])
async def test_who_gave_up_waiting_for_close_does_not_wait_again(
    engine: EngineFactory, then: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        assert await peer.read_close() == (4000, "")
        assert await peer.read_eof() == b""

    async def use(session: DefaultClientWebSocketSession) -> None:
        async with session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SOON):
                    await session.close(CloseReason(4000))
            if then == "an exception":
                raise KeyError

    plugin = install(WebSockets, close_timeout=3600)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        session = await client.web_socket_session(server.url)
        async with asyncio.timeout(30):
            if then == "an exception":
                with pytest.raises(KeyError):
                    await use(session)
            else:
                await use(session)
            await session.wait_closed()
            await server.finished.wait()
        assert session.close_reason == CloseReason(4000)


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_a_message_that_was_cut_off_is_no_quiet_end(
    engine: EngineFactory, code: int | None
) -> None:
    close = frame(CLOSE) if code is None else close_frame(code)
    script, closes = saying(frame(TEXT, b"whole"), frame(TEXT, b"half", fin=False), close)
    async with conversation(engine, script) as session:
        got: list[str | bytes] = []
        with pytest.raises(ConnectionClosedError, match="in the midst of a message"):
            async for message in session:
                got.append(message)
        assert got == ["whole"]
    assert closes == [(code, "")]
    assert session.close_reason.clean


async def test_the_client_closes_its_sessions(engine: EngineFactory) -> None:
    closes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        code, _ = await peer.read_close()
        closes.append(code)
        if len(closes) < 3:  # the third is silent
            await peer.send(close_frame(1001))

    plugin = install(WebSockets, close_timeout=SOON)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        sessions = [await client.web_socket_session(server.url) for _ in range(3)]
        await client.close()
    assert closes == [1001] * 3
    assert [session.close_reason.code for session in sessions] == [1001] * 3
