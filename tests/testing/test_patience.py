"""The echo routes: everything that came before a Close is echoed, then the Close is answered."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    install,
    unlimited,
)
from ktor_client.engine.registry import engine_class
from ktor_client.plugins import WebSockets
from ktor_client.session import DefaultWebSocketSession
from ktor_client.testing import EchoServer
from ktor_client.testing.patience import PatientCore
from ktor_client.testing.web_socket_routes import _echo
from tests.support.fake_link import FakeLink, steps

BYE = CloseReason(4001, "bye")


@pytest.mark.parametrize("reason", [CloseReason(CloseReason.Codes.NORMAL), BYE], ids=str)
@pytest.mark.parametrize("route", ["/echo", "/echo?deflate=off", "/send?n=0", "/fragments?n=0"])
async def test_nothing_that_was_said_is_dropped(
    server: EchoServer, route: str, reason: CloseReason
) -> None:
    """Also what the server cannot send at once, since nobody reads it yet."""
    channels = Channels(incoming=unlimited())
    plugin = install(WebSockets, channels=channels)
    said = [f"{number} ".ljust(50_000, "x") for number in range(300)]
    async with HttpClient(engine_class("aiohttp"), plugin) as client:
        async with client.web_socket(server.url + route) as session:
            for text in said:
                await session.send(text)
            await session.close(reason)
            numbers = [message.split()[0] async for message in session]
            assert numbers == [str(number) for number in range(300)]
            assert session.close_reason.received == reason


class TestOnALink:
    """Step by step."""

    def setup_method(self) -> None:
        self.link = FakeLink()

    def echoing(self) -> asyncio.Task[None]:
        self.core = PatientCore(
            self.link, channels=Channels(), max_frame_size=100, close_timeout=5, client=False
        )
        return asyncio.create_task(_echo(DefaultWebSocketSession(self.core)))

    async def test_in_one_read(self) -> None:
        echo = self.echoing()
        await steps()
        self.link.deliver(Frame.Text("one"), Frame.Text("two"), Frame.Close())
        await echo
        assert self.link.sent == [Frame.Text("one"), Frame.Text("two"), Frame.Close()]
        assert self.core.ending.reason().clean
        assert self.core.ending.reason().initiator == "peer"

    async def test_a_close_before_the_route_listens(self) -> None:
        echo = self.echoing()
        self.link.deliver(Frame.Text("one"), Frame.Close(BYE))
        assert self.link.sent == [Frame.Close(BYE)]
        with pytest.raises(ConnectionClosedError):
            await echo
        assert self.link.sent == [Frame.Close(BYE)]

    async def test_while_the_link_is_busy(self) -> None:
        self.link.choke_after = 1
        echo = self.echoing()
        await steps()
        self.link.deliver(Frame.Text("one"), Frame.Text("two"), Frame.Close(BYE))
        await steps()
        assert self.link.sent == [Frame.Text("one")]
        self.link.choke_after = None
        self.link.relieve()
        with pytest.raises(ConnectionClosedError):  # an end that is not normal
            await echo
        assert self.link.sent[1:] == [Frame.Text("two"), Frame.Close(BYE)]

    async def test_a_peer_that_reads_nothing_is_dropped(self) -> None:
        self.link.choke_after = 1
        echo = self.echoing()
        await steps()
        self.link.deliver(Frame.Text("one"), Frame.Text("two"), Frame.Close(BYE))
        await self.link.time.sleep(4.9)
        assert "abort" not in self.link.calls
        await self.link.time.sleep(0.2)
        assert "abort" in self.link.calls
        with pytest.raises(ConnectionClosedError):
            await echo
        assert self.link.sent == [Frame.Text("one")]
        assert self.core.ending.reason().received == BYE

    async def test_a_route_that_is_cancelled_answers_at_once(self) -> None:
        self.link.choke_after = 1
        echo = self.echoing()
        await steps()
        self.link.deliver(Frame.Text("one"), Frame.Text("two"), Frame.Close(BYE))
        await steps()
        echo.cancel()
        with pytest.raises(asyncio.CancelledError):
            await echo
        assert self.link.sent == [Frame.Text("one"), Frame.Close(BYE)]

    async def test_a_close_of_ours_comes_first(self) -> None:
        echo = self.echoing()
        await steps()
        self.core.start_close(BYE)
        self.link.deliver(Frame.Text("late"), Frame.Close(BYE))
        with pytest.raises(ConnectionClosedError):
            await echo
        assert self.link.sent == [Frame.Close(BYE)]
        assert self.core.ending.reason().initiator == "local"
