"""What a browser cannot do is refused by name before any I/O; what is unset adapts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    Channels,
    Frame,
    HttpClient,
    SocketTimeoutCapability,
    UnsupportedCapabilityError,
    WebSocketCapability,
    bearer_auth,
    bounded,
    install,
    unlimited,
)
from ktor_client.engines import BrowserEngine
from ktor_client.plugins import UserAgent, WebSocketDeflate, WebSockets

from .conftest import Site


def test_the_default_engine_is_the_browsers() -> None:
    client = HttpClient()
    assert isinstance(client.engine, BrowserEngine)
    assert client.engine.capabilities == {WebSocketCapability, SocketTimeoutCapability}


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("ping_interval", 20, "PingCapability (ping_interval"),
        ("max_fragments", 10, "FragmentationCapability (max_fragments"),
        ("timeout", 5, "PingCapability (timeout"),
        ("extensions", [WebSocketDeflate()], "ExtensionsCapability"),
        ("channels", Channels(incoming=bounded(5)), "ReceiveBackpressureCapability"),
    ],
)
async def test_options(site: Site, option: str, value: Any, named: str) -> None:
    async with HttpClient(None, install(WebSockets, **{option: value})) as client:
        with pytest.raises(UnsupportedCapabilityError) as caught:
            client.web_socket(site.ws("/ws/echo"))
    assert named in str(caught.value)
    assert "BrowserEngine" in str(caught.value)


async def test_headers_on_a_socket(client: HttpClient, site: Site) -> None:
    with pytest.raises(UnsupportedCapabilityError, match="header X-Id"):
        client.web_socket(site.ws("/ws/echo"), headers={"X-Id": "1"})
    with pytest.raises(UnsupportedCapabilityError, match="header Authorization"):
        client.web_socket(site.ws("/ws/echo"), bearer_auth("secret"))


async def test_raw_sessions(client: HttpClient, site: Site) -> None:
    with pytest.raises(UnsupportedCapabilityError, match="RawFramesCapability"):
        client.web_socket_raw(site.ws("/ws/echo"))


async def test_follow_redirects_cannot_be_turned_off(site: Site) -> None:
    async with HttpClient() as client:
        strict = client.config(lambda config: setattr(config, "follow_redirects", False))
        with pytest.raises(UnsupportedCapabilityError, match="ManualRedirectsCapability"):
            await strict.get(site.http("/http/mirror"))
        await strict.close()


async def test_a_streamed_upload(client: HttpClient, site: Site) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(UnsupportedCapabilityError, match="StreamingUploadCapability"):
        await client.post(site.http("/http/mirror"), body=body())


async def test_frames_that_a_browser_does_not_send(client: HttpClient, site: Site) -> None:
    async with client.web_socket(site.ws("/ws/echo")) as session:
        with pytest.raises(UnsupportedCapabilityError, match="PingCapability"):
            await session.ping()
        with pytest.raises(UnsupportedCapabilityError, match="PingCapability"):
            session.ping_interval = 5
        for frame in (Frame.Ping(b""), Frame.Pong(b"")):
            with pytest.raises(UnsupportedCapabilityError, match="PingCapability"):
                await session.send(frame)
        with pytest.raises(UnsupportedCapabilityError, match="FragmentationCapability"):
            await session.send(Frame.Binary(b"a", rsv1=True))
        with pytest.raises(ValueError, match="unfinished message"):
            await session.send(Frame.Text("a", fin=False))
        await session.send("whole")
        assert await session.receive_text() == "whole"


async def test_options_that_nothing_stands_against(site: Site) -> None:
    for channels in (Channels(outgoing=bounded(3)), Channels(incoming=unlimited())):
        plugin = install(WebSockets, ping_interval=None, channels=channels)
        async with HttpClient(None, plugin, install(UserAgent, agent="demo/1")) as client:
            async with client.web_socket(site.ws("/ws/echo")) as session:
                assert session.ping_interval is None
                await session.send("a")
                assert await session.receive_text() == "a"


async def test_credentials_are_one_of_three() -> None:
    with pytest.raises(ValueError, match="'omit', 'same-origin' or 'include'"):
        BrowserEngine(credentials="all")  # type: ignore[arg-type]  # the point
    assert BrowserEngine(credentials="omit").capabilities
