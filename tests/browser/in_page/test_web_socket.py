"""The session API over the browser's own WebSockets: messages, closing, cancelling, limits."""

import asyncio
from dataclasses import dataclass

import pytest

from ktor_client import (
    ChannelOverflow,
    ChannelOverflowError,
    Channels,
    CloseReason,
    ConnectError,
    ConnectionClosedError,
    Frame,
    FrameTooBigError,
    HttpClient,
    OpenTimeoutError,
    bounded,
    install,
)
from ktor_client.plugins import JsonConverter, WebSockets

from .conftest import Site

# --- messages


async def test_text_and_binary(client: HttpClient, site: Site, name: str) -> None:
    async with client.web_socket(site.ws(f"/ws/echo?id={name}")) as session:
        await session.send("grüß dich")
        assert await session.incoming.receive() == Frame.Text("grüß dich")
        await session.send(b"\x00\xff")
        assert await session.incoming.receive() == Frame.Binary(b"\x00\xff")
    seen = await site.seen(name)
    assert (seen["code"], seen["messages"]) == (1000, 2)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 3_000_000])
async def test_sizes(client: HttpClient, site: Site, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with client.web_socket(site.ws("/ws/echo")) as session:
        for message in (data, bytearray(data), memoryview(data)):
            await session.send(message)
            assert await session.receive_bytes() == data
        await session.send("é" * size)
        assert await session.receive_text() == "é" * size


async def test_a_buffer_may_be_reused_after_send(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        for size in (10, 100_000):
            buffer = bytearray(b"a" * size)
            await session.send(buffer)
            buffer[:] = b"b" * size
            assert await session.receive_bytes() == b"a" * size


async def test_part_of_a_strided_buffer(client: HttpClient, site: Site) -> None:
    data = bytes(range(256)) * 512
    async with client.web_socket(site.ws("/ws/echo")) as session:
        for view in (memoryview(data)[3:9], memoryview(data)[::2], memoryview(data)[1:-1]):
            await session.send(view)
            assert await session.receive_bytes() == bytes(view)


async def test_emoji_and_other_planes(client: HttpClient, site: Site) -> None:
    text = "🐍🌍\N{LATIN SMALL LETTER E WITH ACUTE}\x00\uffff" * 50_000
    async with client.web_socket(site.ws("/ws/echo")) as session:
        await session.send(text)
        assert await session.receive_text() == text


async def test_a_lone_surrogate_is_refused(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        with pytest.raises(UnicodeEncodeError):
            await session.send("broken \ud83d")
        await session.send("whole")
        assert await session.receive_text() == "whole"


async def test_async_for_and_typed_messages(site: Site) -> None:
    @dataclass
    class Point:
        x: int
        y: int

    converter = JsonConverter()
    async with HttpClient(None, install(WebSockets, content_converter=converter)) as client:
        async with client.web_socket(site.ws("/ws/echo")) as session:
            await session.send_serialized(Point(1, 2))
            assert await session.receive_deserialized(Point) == Point(1, 2)
            await session.send("a")
            await session.send(b"b")
            got = []
            async for message in session:
                got.append(message)
                if len(got) == 2:
                    break
            assert got == ["a", b"b"]


async def test_several_sessions_at_once(client: HttpClient, site: Site) -> None:
    async def talk(number: int) -> list[str]:
        async with client.web_socket(site.ws("/ws/echo")) as session:
            for at in range(5):
                await session.send(f"{number}.{at}")
            return [await session.receive_text() for _ in range(5)]

    for number, got in enumerate(await asyncio.gather(*map(talk, range(10)))):
        assert got == [f"{number}.{at}" for at in range(5)]


async def test_a_burst_larger_than_any_queue(client: HttpClient, site: Site, name: str) -> None:
    async with client.web_socket(site.ws(f"/ws/burst?n=10000&size=32&id={name}")) as session:
        for at in range(10_000):
            assert await session.receive_text() == f"{at:032}"
    assert (await site.seen(name))["code"] == 1000


async def test_a_burst_of_bytes_and_an_answer_behind_it(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/burst?n=2000&size=32&binary")) as session:
        for at in range(2000):
            assert await session.receive_bytes() == b"%032d" % at
    async with client.web_socket(site.ws("/ws/echo")) as session:
        for count in (500, 1, 500):
            for at in range(count):
                await session.send(f"{at}" if at % 2 else b"%d" % at)
            for at in range(count):
                frame = await session.incoming.receive()
                assert frame == (Frame.Text(f"{at}") if at % 2 else Frame.Binary(b"%d" % at))


async def test_pings_are_answered_by_the_browser(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/ping")) as session:
        assert await session.receive_text() == "PONG anybody?"


async def test_statistics_count_payloads(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        await session.send("é")
        await session.send(b"123")
        await session.incoming.receive()
        await session.incoming.receive()
        assert session.statistics[:4] == (2, 2, 5, 5)


# --- what was negotiated


async def test_subprotocol(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo"), subprotocols=("x", "superchat")) as session:
        assert session.subprotocol == "superchat"
        assert session.call.response.headers["sec-websocket-protocol"] == "superchat"
    async with client.web_socket(site.ws("/ws/echo")) as session:
        assert session.subprotocol is None


async def test_extensions_show_what_the_browser_negotiated(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        assert [e.partition(";")[0] for e in session.extensions] == ["permessage-deflate"]


# --- a handshake that fails


@pytest.mark.parametrize("path", ["/ws/refuse", "/nowhere", "/http/redirect"])
async def test_a_refused_handshake(client: HttpClient, site: Site, path: str) -> None:
    with pytest.raises(ConnectError, match="Browsers hide the reason"):
        await client.web_socket_session(site.ws(path))


async def test_nobody_listens(client: HttpClient) -> None:
    with pytest.raises(ConnectError, match=r"could not open 'ws://127\.0\.0\.1:9/'"):
        await client.web_socket_session("ws://127.0.0.1:9/")


async def test_no_common_subprotocol(client: HttpClient, site: Site) -> None:
    with pytest.raises(ConnectError):
        await client.web_socket_session(site.ws("/ws/echo"), subprotocols=("other",))


async def test_open_timeout(site: Site, name: str) -> None:
    async with HttpClient(None, install(WebSockets, open_timeout=0.1)) as client:
        with pytest.raises(OpenTimeoutError):
            await client.web_socket_session(site.ws(f"/http/hang?id={name}"))
    assert (await site.seen(name))["aborted"]


async def test_cancelling_the_handshake(client: HttpClient, site: Site, name: str) -> None:
    opening = asyncio.create_task(client.web_socket_session(site.ws(f"/http/hang?id={name}")))
    await site.passed(f"{name}-arrived")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert (await site.seen(name))["aborted"]


# --- closing by us


@pytest.mark.parametrize(
    ("code", "left"),
    [(1000, 1000), (1001, 1000), (1002, 4002), (1011, 4011), (3000, 3000), (4999, 4999)],
)
async def test_close_codes(client: HttpClient, site: Site, name: str, code: int, left: int) -> None:
    session = await client.web_socket_session(site.ws(f"/ws/echo?id={name}"))
    await session.close(CloseReason(code, "tschüß"))
    seen = await site.seen(name)
    assert (seen["code"], seen["reason"]) == (left, "tschüß")
    reason = session.close_reason
    assert reason == CloseReason(code, "tschüß")
    assert (reason.sent, reason.initiator, reason.clean) == (
        CloseReason(left, "tschüß"),
        "local",
        True,
    )


async def test_the_longest_reason(client: HttpClient, site: Site, name: str) -> None:
    session = await client.web_socket_session(site.ws(f"/ws/echo?id={name}"))
    with pytest.raises(ValueError, match="at most 123"):
        await session.close(CloseReason(1000, "é" * 62))
    await session.close(CloseReason(1000, "é" * 61 + "!"))
    assert (await site.seen(name))["reason"] == "é" * 61 + "!"


async def test_a_code_that_nobody_may_send(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        with pytest.raises(ValueError, match="1006"):
            await session.close(CloseReason(1006))
        await session.send("still open")
        assert await session.receive_text() == "still open"


async def test_an_empty_close(client: HttpClient, site: Site, name: str) -> None:
    session = await client.web_socket_session(site.ws(f"/ws/echo?id={name}"))
    await session.send(Frame.Close())
    await session.wait_closed()
    assert (await site.seen(name))["code"] == 0


async def test_leaving_the_body_by_an_exception(client: HttpClient, site: Site, name: str) -> None:
    with pytest.raises(KeyError):
        async with client.web_socket(site.ws(f"/ws/echo?id={name}")):
            raise KeyError
    assert (await site.seen(name))["code"] == 4011


async def test_leaving_the_body_by_cancellation(client: HttpClient, site: Site, name: str) -> None:
    inside = asyncio.Event()

    async def body() -> None:
        async with client.web_socket(site.ws(f"/ws/echo?id={name}")) as session:
            inside.set()
            await session.incoming.receive()

    task = asyncio.create_task(body())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await site.seen(name))["code"] == 1000


async def test_what_was_sent_before_close_arrives(
    client: HttpClient, site: Site, name: str
) -> None:
    session = await client.web_socket_session(site.ws(f"/ws/echo?id={name}"))
    for _ in range(20):
        await session.send(bytes(100_000))
    await session.close()
    assert (await site.seen(name))["messages"] == 20


async def test_send_after_close_is_refused(client: HttpClient, site: Site) -> None:
    session = await client.web_socket_session(site.ws("/ws/echo"))
    await session.close()
    with pytest.raises(ConnectionClosedError):
        await session.send("a browser drops this without a word")
    with pytest.raises(ConnectionClosedError):
        session.outgoing.send_nowait(Frame.Text("this too"))
    await session.close()


async def test_a_peer_that_never_answers_close(site: Site, name: str) -> None:
    async with HttpClient(None, install(WebSockets, close_timeout=0.1)) as client:
        session = await client.web_socket_session(site.ws(f"/ws/silent?id={name}"))
        await session.close()
        reason = session.close_reason
        assert (reason.code, reason.clean, reason.received) == (1000, False, None)
        await site.go(name)


async def test_cancel_wakes_a_receiver(client: HttpClient, site: Site) -> None:
    session = await client.web_socket_session(site.ws("/ws/echo"))
    receiving = asyncio.create_task(session.incoming.receive())
    await asyncio.sleep(0)
    session.cancel()
    with pytest.raises(ConnectionClosedError):
        await receiving
    await session.wait_closed()
    assert (session.close_reason.code, session.close_reason.initiator) == (1006, "local")


async def test_closing_the_client_closes_its_sessions(site: Site, name: str) -> None:
    async with HttpClient(None, install(WebSockets)) as client:
        session = await client.web_socket_session(site.ws(f"/ws/echo?id={name}"))
    assert not session.is_open
    assert session.close_reason == CloseReason(1001)
    assert session.close_reason.sent == CloseReason(1000)
    assert (await site.seen(name))["code"] == 1000


async def test_closing_the_engine_ends_its_sockets(client: HttpClient, site: Site) -> None:
    session = await client.web_socket_session(site.ws("/ws/echo"))
    await client.engine.close()
    await session.wait_closed()
    assert (await session.close_reason).code == 1006


# --- closing by the peer


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4321])
async def test_the_peer_closes(client: HttpClient, site: Site, code: int) -> None:
    url = site.ws(f"/ws/close?code={code}&reason=tsch%C3%BC%C3%9F&first=2")
    session = await client.web_socket_session(url)
    assert [await session.receive_text() for _ in range(2)] == ["0", "1"]
    with pytest.raises(ConnectionClosedError) as caught:
        await session.incoming.receive()
    assert caught.value.reason == CloseReason(code, "tschüß")
    reason = await session.close_reason
    assert (reason.initiator, reason.clean) == ("peer", True)
    await session.wait_closed()


async def test_iteration_ends_quietly_after_a_normal_close(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/close?code=1001&first=3")) as session:
        assert [message async for message in session] == ["0", "1", "2"]


async def test_the_connection_is_lost(client: HttpClient, site: Site) -> None:
    session = await client.web_socket_session(site.ws("/ws/abort"))
    await session.send("now")
    with pytest.raises(ConnectionClosedError) as caught:
        await session.incoming.receive()
    assert (caught.value.reason.code, caught.value.initiator) == (1006, "peer")
    assert isinstance(caught.value.__cause__, ConnectionError)


# --- cancelling and timeouts


async def test_a_timeout_on_receive_loses_nothing(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.incoming.receive()
        await session.send("later")
        assert await session.receive_text() == "later"


# --- limits


async def test_a_message_over_the_limit(site: Site, name: str) -> None:
    async with HttpClient(None, install(WebSockets, max_frame_size=10)) as client:
        session = await client.web_socket_session(site.ws(f"/ws/echo?id={name}"))
        await session.send("é" * 5)
        assert await session.receive_text() == "é" * 5
        await session.send("é" * 5 + "!")
        with pytest.raises(FrameTooBigError) as caught:
            await session.incoming.receive()
        assert caught.value.reason.code == 1009
        await session.wait_closed()
        assert session.close_reason.sent == CloseReason(4009, caught.value.reason.message)
    assert (await site.seen(name))["code"] == 4009


async def test_an_inbox_that_overflows(site: Site, name: str) -> None:
    channels = Channels(incoming=bounded(5, on_overflow=ChannelOverflow.CLOSE))
    async with HttpClient(None, install(WebSockets, channels=channels)) as client:
        session = await client.web_socket_session(site.ws(f"/ws/burst?n=6&size=1&id={name}"))
        await session.wait_closed()
        assert [await session.receive_text() for _ in range(5)] == list("01234")
        with pytest.raises(ChannelOverflowError):
            await session.incoming.receive()
        assert session.close_reason.code == 1008
    assert (await site.seen(name))["code"] == 4008


async def test_senders_wait_for_a_slow_peer(client: HttpClient, site: Site, name: str) -> None:
    session = await client.web_socket_session(site.ws(f"/ws/stuck?id={name}"))
    data, sent = bytes(1_000_000), 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                await session.send(data)
                sent += 1
    assert 2 <= sent <= 100  # what buffers hold; without waiting it is several hundreds
    await site.go(name)
    await session.flush()
    await session.close()
    assert (await site.seen(name))["messages"] in (sent, sent + 1)
