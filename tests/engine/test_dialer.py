"""What of the dialer no server can bring about."""

from __future__ import annotations

import asyncio
import copy
import ssl

import pytest

from ktor_client.engine.dialer import Dialer
from ktor_client.engine.error_table import ErrorTable
from ktor_client.engine.open_links import OpenLinks
from ktor_client.engine.received import ReceivedHeaders
from ktor_client.engine.settle import settle
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.errors import ConnectTimeoutError
from ktor_client.http import Headers
from tests.engine.test_happy_eyeballs import silent
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import Peer, raw_server


def test_a_timeout_of_the_system_is_one_of_connecting() -> None:
    dialer = Dialer(SocketOptions(), ErrorTable("SomeEngine", ()))
    with pytest.raises(ConnectTimeoutError, match="SomeEngine could not connect to host:1"):
        with dialer._mapped("host:1"):
            raise TimeoutError(110, "Connection timed out")


async def test_somebody_elses_timeout_passes() -> None:
    dialer = Dialer(SocketOptions(), ErrorTable("SomeEngine", ()))
    with pytest.raises(TimeoutError, match="theirs") as caught:
        async with dialer.limited("host:1", dialer.deadline()):
            raise TimeoutError("theirs")
    assert not isinstance(caught.value, ConnectTimeoutError)


async def test_a_timeout_that_our_limit_has_become_on_its_way_is_ours() -> None:
    dialer = Dialer(SocketOptions(connect_timeout=0.001), ErrorTable("SomeEngine", ()))
    with pytest.raises(ConnectTimeoutError, match="SomeEngine could not connect to host:1"):
        async with dialer.limited("host:1", dialer.deadline()):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise TimeoutError("an attempt took too long") from None


async def test_an_address_that_is_silent_is_forgotten() -> None:
    with silent() as port:
        dialer = Dialer(SocketOptions(connect_timeout=0.01), ErrorTable("SomeEngine", ()))
        with pytest.raises(ConnectTimeoutError):
            await dialer.open("localhost", port)
        assert not dialer._resolver._known


class Cancelling(asyncio.Protocol):
    """Cancels who opens its connection in the moment in which that is done."""

    transport: asyncio.BaseTransport | None = None
    opener: asyncio.Task[Cancelling] | None = None

    def __init__(self) -> None:
        self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.opener is not None:
            self.opener.cancel()

    def data_received(self, data: bytes) -> None:
        self.received.set_result(data)


async def test_a_cancellation_as_the_tls_handshake_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket's number is the next one's, whose bytes the loop must not miss."""

    async def serve(peer: Peer) -> None:
        await peer.send(b"hello")
        await peer.read_eof()

    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose handshake the client ends
    dialer = Dialer(SocketOptions(ssl_context=client_context()), ErrorTable("SomeEngine", ()))
    async with raw_server(serve, tls=context) as server:

        def connect() -> asyncio.Task[Cancelling]:
            return asyncio.create_task(
                dialer.connect(Cancelling, "127.0.0.1", server.port, secure=True)
            )

        monkeypatch.setattr(Cancelling, "opener", opener := connect())
        with pytest.raises(asyncio.CancelledError):
            await opener
        monkeypatch.undo()
        protocol = await connect()
        async with asyncio.timeout(10):
            assert await protocol.received == b"hello"
        assert isinstance(protocol.transport, asyncio.Transport)
        protocol.transport.abort()


def test_headers_that_are_not_utf8() -> None:
    headers = ReceivedHeaders([(b"X-A", "ä".encode()), (b"X-B", b"\xe4")])
    assert headers["x-a"] == headers["x-b"] == "ä"
    assert copy.copy(headers) == headers == Headers({"X-A": "ä", "X-B": "ä"})


async def test_a_clean_up_is_finished_before_the_cancellation_passes() -> None:
    begun, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def cleanup() -> None:
        begun.set()
        await go_on.wait()
        finished.set()

    task = asyncio.ensure_future(settle(cleanup()))
    await begun.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finished.is_set()


async def test_a_clean_up_that_fails() -> None:
    async def cleanup() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await settle(cleanup())


async def test_no_links_nothing_to_wait_for() -> None:
    links = OpenLinks()
    await links.abort()
    assert len(links) == 0
