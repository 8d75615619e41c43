"""Checks of pings and pongs: those of the peer, our own, and keepalive."""

from __future__ import annotations

import asyncio
from typing import Any

from ktor_client.engine.capabilities import PingCapability
from ktor_client.errors import ConnectionClosedError, PingTimeoutError
from ktor_client.frames import CloseReason, Frame
from ktor_client.testing.conformance.check import QUICK, Lab, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("keepalive")
check = ROOM.check


# --- the peer's pings


@check("Ktor: testCountPong")
async def ping_is_answered_once(lab: Lab) -> None:
    """A ping of the peer is answered by one pong."""
    async with lab.session("/count-pong") as session:
        counts = [""]
        while counts[-1] in ("", "0"):  # a browser's pong may be on its way yet
            await session.send("count pong")
            counts.append(await session.receive_text())
        await session.send("count pong")
        equal((counts[-1], await session.receive_text()), ("1", "1"), "the count of pongs")


@check("ktor-client: keepalive; Ktor: DefaultWebSocketTest.pingPong")
async def pings_are_answered_unasked(lab: Lab) -> None:
    """Pings are answered with their payloads while nobody receives."""
    async with lab.session("/ping", query={"n": 20}) as session:
        equal(await session.receive_text(), "pong: are you there", "the server's word")


@check("RFC 6455 5.5.2", PingCapability)
async def pongs_have_the_payload(lab: Lab) -> None:
    """Pongs carry the payloads of their pings, in order, up to 125 bytes."""
    payloads = [b"", b"a", b"\x00\xff", b"x" * 125]
    data = "".join(f"89{len(p):02x}{p.hex()}" for p in payloads)
    async with lab.wire(data + "810161") as session:
        equal(await session.receive_text(), "a", "the message behind the pings")
    frames = (await lab.recorded()).frames
    equal(frames[:4], [("PONG", True, p) for p in payloads], "the frames that the server saw")


# --- our own pings


@check("ktor-client: the session", PingCapability)
async def ping_measures_the_round_trip(lab: Lab) -> None:
    """`ping` returns seconds, `latency` has the last ones, several may be under way."""
    async with lab.session("/echo") as session:
        equal(session.latency, None, "latency before the first ping")
        expect(await session.ping() > 0, "the round trip took no time")
        expect(await session.ping(b"x" * 125) > 0, "the round trip took no time")
        times = await asyncio.gather(*(session.ping(b"%d" % i) for i in range(10)))
        expect(all(t > 0 for t in times), f"the round trips are {times}")
        expect(session.latency is not None and session.latency > 0, f"{session.latency=}")


@check("RFC 6455 5.5", PingCapability)
async def ping_payload_is_limited(lab: Lab) -> None:
    """A ping of over 125 bytes is a ValueError."""
    async with lab.session("/echo") as session:
        with raises(ValueError):
            await session.ping(b"x" * 126)


@check("ktor-client: keepalive", PingCapability)
async def only_an_exact_pong_counts(lab: Lab) -> None:
    """Pongs with other payloads do not answer a ping."""
    async with lab.session("/wrong-pong", ping_interval=None, close_timeout=QUICK) as session:
        pinging = asyncio.ensure_future(session.ping(b"mine"))
        equal(await session.receive_text(), "answered wrongly", "the server's word")
        expect(not pinging.done(), "a wrong pong was taken for an answer")
        session.cancel()
        with raises(ConnectionClosedError):
            await pinging


@check("ktor-client: keepalive", PingCapability)
async def ping_ends_with_the_session(lab: Lab) -> None:
    """A ping that waits for its pong raises when the session ends."""
    async with lab.session("/silent", close_timeout=QUICK) as session:
        pinging = asyncio.ensure_future(session.ping())
        await asyncio.sleep(0)
        await session.close()
        with raises(ConnectionClosedError):
            await pinging
        with raises(ConnectionClosedError):
            await session.ping()


# --- keepalive


@check("Ktor: testPingPongTimeout", PingCapability)
async def silent_peer_times_out(lab: Lab) -> None:
    """Without a pong in time: Close 1011 "Ping timeout", and both channels end with that cause."""
    options: dict[str, Any] = {"ping_interval": 0.02, "timeout": 0.05}
    async with lab.session("/silent", query={"id": lab.id}, **options) as session:
        with raises(PingTimeoutError) as caught:
            await session.incoming.receive()
        expected = CloseReason(1011, "Ping timeout")
        equal(caught.error.reason, expected, "the reason of the error")
        with raises(PingTimeoutError):
            await session.send("x")
        equal(await session.close_reason, expected, "close_reason")
        equal(session.close_reason.initiator, "local", "initiator")
    record = await lab.recorded()
    equal((record.code, record.reason), (1011, "Ping timeout"), "the Close that the server saw")
    pings = [payload for kind, _, payload in record.frames if kind == "PING"]
    expect(pings and len(pings[0]) >= 8, f"the pings were {pings}")


@check("ktor-client: keepalive", PingCapability)
async def wrong_pongs_time_out(lab: Lab) -> None:
    """A peer whose pongs have other payloads times out like a silent one."""
    options: dict[str, Any] = {"ping_interval": 0.02, "timeout": 0.05}
    async with lab.session("/wrong-pong", **options) as session:
        with raises(PingTimeoutError):
            async for _ in session:
                pass


@check("Ktor: WebSocketEngineSuite, ping and pong", PingCapability)
async def keepalive_goes_on(lab: Lab) -> None:
    """With a peer that answers, pings go on, each with a payload of its own."""
    async with lab.session("/count-ping", ping_interval=0.01, timeout=10) as session:
        seen = [await session.receive_text() for _ in range(5)]
        equal(len(set(seen)), 5, "the number of different payloads")
        expect(session.is_open and session.latency is not None, f"{session!r}")


@check("ktor-client: keepalive; Ktor: pingIntervalMillis", PingCapability)
async def keepalive_settings_are_live(lab: Lab) -> None:
    """Setting `ping_interval` and `timeout` on an open session takes effect."""
    async with lab.session("/silent", ping_interval=None, close_timeout=QUICK) as session:
        equal((session.ping_interval, session.timeout), (None, None), "the settings")
        session.ping_interval = 30
        equal(session.timeout, 60.0, "twice the interval")
        session.timeout = QUICK
        session.ping_interval = 0.01
        with raises(PingTimeoutError):
            await session.incoming.receive()


@check("ktor-client: keepalive; Ktor: pingIntervalMillis", PingCapability)
async def keepalive_can_be_stopped(lab: Lab) -> None:
    """Setting `ping_interval` to None stops keepalive, also with a pong outstanding."""
    options: dict[str, Any] = {"ping_interval": 0.01, "timeout": 0.5, "close_timeout": QUICK}
    async with lab.session("/wrong-pong", **options) as session:
        equal(await session.receive_text(), "answered wrongly", "the server's word")
        session.ping_interval = None
        await asyncio.sleep(0.7)  # longer than the timeout
        expect(session.is_open, f"the session ended: {session.close_reason!r}")


@check("ktor-client: options", PingCapability)
async def keepalive_defaults(lab: Lab) -> None:
    """Unset, keepalive pings every 20 s and waits 40 s; raw sessions have none."""
    async with lab.session("/echo") as session:
        equal((session.ping_interval, session.timeout), (20.0, 40.0), "interval and timeout")


@check("Ktor: DefaultWebSocketSession", PingCapability)
async def own_ping_frames_pass(lab: Lab) -> None:
    """A Ping frame that the user sends goes out, and its pong is not delivered."""
    async with lab.session("/echo") as session:
        await session.send(Frame.Ping(b"by hand"))
        await session.send("x")
        equal(await session.incoming.receive(), Frame.Text("x"), "the frame")
