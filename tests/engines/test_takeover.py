"""The hand-over after the 101: every condition under which a link gets the transport."""

from __future__ import annotations

import asyncio
import ssl
import weakref

import pytest

from ktor_client.engine import WebSocketOptions
from ktor_client.engine.capabilities import ALL_CAPABILITIES
from ktor_client.engine.open_links import LostTransport, OpenLinks
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines._aiohttp.take_over import _Leading
from ktor_client.errors import ClientClosedError, ConnectError
from ktor_client.frames import BinaryFrame, TextFrame
from tests.support.cancellation import cancelled_at
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import BINARY, CLOSE, TEXT, Peer, frame, raw_server
from tests.support.receiver import get, handshake, open_link, start


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> ssl.SSLContext | None:
    """The server's context, or None."""
    return server_context() if request.param == "tls" else None


async def echo(peer: Peer) -> None:
    """Answer each frame with its payload until the client ends."""
    await peer.upgrade()
    while True:
        try:
            first, payload = await peer.read_frame()
        except (asyncio.IncompleteReadError, OSError):
            return
        await peer.send(frame(first & 0x0F, payload))


@pytest.mark.parametrize("size", [0, 1, 7, 14_000, 300_000])
async def test_bytes_behind_the_101_come_first(
    engine: EngineFactory, tls: ssl.SSLContext | None, size: int
) -> None:
    early = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(BINARY, early))
        assert await peer.read_frame() == (0x81, b"go")
        await peer.send(frame(TEXT, b"on"))
        assert await peer.read_eof() == b""

    client = engine(ssl_context=client_context())
    async with raw_server(script, tls=tls) as server:
        upgrade = await open_link(client, server.url)
        assert upgrade.response.status == 101
        assert upgrade.response.headers["upgrade"] == "websocket"
        receiver = start(upgrade.link)
        assert await receiver.next() == BinaryFrame(early)
        assert upgrade.link is not None
        upgrade.link.send_text("go")
        assert await receiver.next() == TextFrame("on")
        assert upgrade.link.peer_address == f"127.0.0.1:{server.port}"
        upgrade.link.close()
        await receiver.end
        await server.finished.wait()
        await client.close()


def test_everything_is_possible(engine: EngineFactory) -> None:
    assert engine().capabilities == frozenset(ALL_CAPABILITIES)


async def test_an_end_that_tls_had_promised_to_aiohttp() -> None:
    """The loop tells a TLS connection's end to the protocol of that moment: it reaches the link."""
    links = OpenLinks()
    leading = _Leading(links)
    leading.feed_eof()
    link = links.make(LostTransport())
    leading.link = weakref.ref(link)
    receiver = start(link)
    leading.feed_eof()
    leading.feed_eof()
    assert await receiver.end is None
    assert len(links) == 0


async def test_part_of_a_frame_behind_the_101(engine: EngineFactory) -> None:
    whole = frame(TEXT, b"x" * 1000)

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=whole[:500])
        await peer.read_frame()
        await peer.send(whole[500:])
        await peer.read_eof()

    client = engine()
    async with raw_server(script) as server:
        upgrade = await open_link(client, server.url)
        receiver = start(upgrade.link)
        assert upgrade.link is not None
        upgrade.link.send_text("more")
        assert await receiver.next() == TextFrame("x" * 1000)
        await client.close()


async def test_big_messages_both_ways(engine: EngineFactory, tls: ssl.SSLContext | None) -> None:
    payload = bytes(range(256)) * 2048
    client = engine(ssl_context=client_context())
    async with raw_server(echo, tls=tls) as server:
        upgrade = await open_link(client, server.url)
        receiver = start(upgrade.link)
        assert upgrade.link is not None
        upgrade.link.send_binary(payload)
        assert await receiver.next() == BinaryFrame(payload)
        await client.close()


async def test_an_open_web_socket_takes_no_slot(
    engine: EngineFactory, tls: ssl.SSLContext | None
) -> None:
    """With a limit of one connection, the third socket and a GET go like the first."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        if "upgrade" in peer.headers:
            await peer.send(peer.switch())
            await peer.read_eof()
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    client = engine(limit=1, ssl_context=client_context())
    async with raw_server(script, tls=tls) as server, asyncio.timeout(20):
        receivers = [start((await open_link(client, server.url)).link) for _ in range(3)]
        response = await client.execute(get(server.url.replace("ws", "http", 1)))
        assert await response.body_as_bytes() == b"ok"
        assert not any(receiver.end.done() for receiver in receivers)
        await client.close()
        assert all(receiver.end.done() for receiver in receivers)


async def test_close_aborts_links_started_or_not(
    engine: EngineFactory, tls: ssl.SSLContext | None
) -> None:
    client = engine(ssl_context=client_context())
    async with raw_server(echo, tls=tls) as server, asyncio.timeout(20):
        started = start((await open_link(client, server.url)).link)
        await open_link(client, server.url)
        await client.close()
        await client.close()
        assert started.end.done()
        with pytest.raises(ClientClosedError, match="closed"):
            await open_link(client, server.url)
        with pytest.raises(ClientClosedError, match="closed"):
            await client.execute(get("http://127.0.0.1/"))


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_the_server_ends_at_once(
    engine: EngineFactory, tls: ssl.SSLContext | None, how: str
) -> None:
    """101, frames and the end may all be there before the link is: nothing is lost."""

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"last") + frame(CLOSE, b"\x03\xe8"))
        if how == "reset":
            await peer.reader.readexactly(6)
            peer.reset()

    client = engine(ssl_context=client_context())
    async with raw_server(script, tls=tls) as server, asyncio.timeout(20):
        upgrade = await open_link(client, server.url)
        await asyncio.sleep(0)
        receiver = start(upgrade.link)
        assert await receiver.next() == TextFrame("last")
        assert [control.data for control in receiver.controls] == [b"\x03\xe8"]
        if how == "reset":
            assert upgrade.link is not None
            upgrade.link.send_binary(b"")
        await receiver.end
        await client.close()


async def test_a_link_that_ended_before_it_was_started(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        upgrade = await open_link(client, server.url)
        await server.finished.wait()
        receiver = start(upgrade.link)
        await receiver.end
        await client.close()


async def test_a_101_that_upgrades_nothing(engine: EngineFactory) -> None:
    """The answer is for the caller to refuse; the connection must not go back to a pool."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 101 Odd\r\nX-Odd: yes\r\n\r\n")
        await peer.read_eof()

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        upgrade = await open_link(client, server.url)
        assert upgrade.response.headers["x-odd"] == "yes"
        assert upgrade.link is not None
        upgrade.link.abort()
        await server.finished.wait()
        await client.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nnope", b"nope"),
        (b"HTTP/1.1 503 Later\r\nRetry-After: 7\r\nConnection: close\r\n\r\nlater", b"later"),
        (b"HTTP/1.1 401 Who\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", b""),
        (
            b"HTTP/1.1 500 Chunks\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n",
            b"abc",
        ),
        (b"HTTP/1.1 302 Away\r\nRetry-After: 7\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    ],
)
async def test_a_refusal_keeps_status_headers_and_body(
    engine: EngineFactory, answer: bytes, body: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(answer)

    client = engine()
    async with raw_server(script) as server:
        upgrade = await open_link(client, server.url)
        assert upgrade.link is None
        assert upgrade.response.status == int(answer[9:12])
        assert upgrade.response.reason == answer[13:].split(b"\r")[0].decode()
        assert upgrade.response.retry_after == 7
        assert await upgrade.response.body_as_bytes() == body
        await client.close()


async def test_of_a_refusal_one_mebibyte_is_kept(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 100000000\r\n\r\n")
        try:
            while True:
                await peer.send(b"x" * 65536)
        except OSError:
            return

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        upgrade = await open_link(client, server.url)
        assert len(await upgrade.response.body_as_bytes()) == 1 << 20
        await server.finished.wait()
        await client.close()


async def test_the_handshake_is_sent_as_it_is(engine: EngineFactory) -> None:
    request = handshake("ws://127.0.0.1:1/a%20b/%7Ec?q=1&q=%C3%A4", ("X-Id", "ä"), ("X-Id", "2"))
    seen = b""

    async def script(peer: Peer) -> None:
        nonlocal seen
        await peer.upgrade()
        seen = peer.request
        await peer.read_eof()

    client = engine()
    async with raw_server(script) as server:
        url = request.url
        request = request.copy(url=type(url)("ws", "127.0.0.1", server.port, url.path, url.query))
        await client.open_web_socket(request, WebSocketOptions())
        await client.close()
    first, *lines = seen.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert first == "GET /a%20b/%7Ec?q=1&q=%C3%A4 HTTP/1.1"
    assert sorted(lines, key=str.lower) == sorted(
        [f"Host: 127.0.0.1:{server.port}", *(f"{n}: {v}" for n, v in request.headers.fields())],
        key=str.lower,
    )


async def test_a_handshake_is_sent_once(engine: EngineFactory) -> None:
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.read_request()

    client = engine()
    async with raw_server(script) as server:
        with pytest.raises(
            ConnectError, match=f"{type(client).__name__} .*127.0.0.1:{server.port}"
        ):
            await open_link(client, server.url)
        await client.close()
    assert connections == 1


async def test_a_pooled_connection_may_be_upgraded(engine: EngineFactory) -> None:
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.upgrade(trailing=frame(TEXT, b"hi"))
        await peer.read_eof()

    client = engine()
    async with raw_server(script) as server:
        response = await client.execute(get(server.url.replace("ws", "http", 1)))
        assert await response.body_as_bytes() == b"ok"
        receiver = start((await open_link(client, server.url)).link)
        assert await receiver.next() == TextFrame("hi")
        await client.close()
    assert connections == 1


async def test_cancelled_at_every_await(engine: EngineFactory, tls: ssl.SSLContext | None) -> None:
    """Wherever opening is cancelled, no socket is left and the engine works on."""
    opened = closed = 0

    async def script(peer: Peer) -> None:
        nonlocal opened, closed
        opened += 1
        try:
            await echo(peer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        closed += 1
        if closed == opened:
            even.set()

    even = asyncio.Event()
    client = engine(limit=1, ssl_context=client_context())
    async with raw_server(script, tls=tls) as server, asyncio.timeout(50):
        upgrade, at = None, 0
        while upgrade is None:
            at += 1
            opening = client.open_web_socket(handshake(server.url), WebSocketOptions())
            upgrade = await cancelled_at(opening, at)
        receiver = start(upgrade.link)
        assert upgrade.link is not None
        upgrade.link.send_text("still works")
        assert await receiver.next() == TextFrame("still works")
        await client.close()
        if closed < opened:
            even.clear()
            await even.wait()
    assert at > 2  # connecting, and the answer
