"""Checks of what is refused at the call, before any I/O, and of the end of a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from ktor_client.channels import Channels, bounded
from ktor_client.client import HttpClient
from ktor_client.config import install
from ktor_client.engine.capabilities import (
    Capability,
    ExtensionsCapability,
    FragmentationCapability,
    HandshakeHeadersCapability,
    PingCapability,
    RawFramesCapability,
    ReceiveBackpressureCapability,
    WebSocketCapability,
)
from ktor_client.errors import (
    ClientClosedError,
    ConnectionClosedError,
    InvalidUrlError,
    PluginNotInstalledError,
    UnsafeHeaderError,
    UnsupportedCapabilityError,
    WebSocketHandshakeError,
)
from ktor_client.plugins import JsonConverter, WebSocketDeflate, WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from ktor_client.testing.conformance.check import (
    Lab,
    Room,
    SkippedCheck,
    equal,
    expect,
    raises,
)

__all__ = ["ROOM"]

ROOM = Room("calls")
check = ROOM.check


@check("Ktor: testExceptionIfWebsocketIsNotInstalled")
async def plugin_is_missing(lab: Lab) -> None:
    """Without the plugin every way to open a session says what to install."""
    async with HttpClient(lab.factory) as client:
        for call in (client.web_socket, client.web_socket_raw, client.ws, client.wss):
            with raises(PluginNotInstalledError) as caught:
                call(lab.url("/echo"))
            expect("install(WebSockets)" in str(caught.error), f"it says: {caught.error}")
        with raises(PluginNotInstalledError):
            await client.web_socket_session(lab.url("/echo"))


@check("ktor-client: opening")
async def only_get(lab: Lab) -> None:
    """A method other than GET is a ValueError."""
    async with lab.client() as client:
        with raises(ValueError):
            client.web_socket(lab.url("/echo"), method="POST")


@check("ktor-client: handshake")
async def headers_cannot_smuggle(lab: Lab) -> None:
    """Header names and values with CR, LF or NUL are refused before any I/O."""
    async with lab.client() as client:
        for name, value in (
            ("X-Id", "1\r\nX-Evil: 2"),
            ("X-Id", "1\n"),
            ("X-Id", "\0"),
            ("X\r\nY", "1"),
            ("", "1"),
        ):
            with raises(UnsafeHeaderError):
                client.web_socket(lab.url("/echo"), headers={name: value})


@check("ktor-client: handshake")
async def urls_cannot_smuggle(lab: Lab) -> None:
    """URLs with line breaks or NUL, in any part, are refused before any I/O."""
    async with lab.client() as client:
        base = lab.url("")
        for url in (f"{base}/a\r\nX-Evil: 1", f"{base}/a b\nc", f"{base}/?q=\0", "ws://a\r\nb/"):
            with raises(InvalidUrlError):
                client.web_socket(url)


@check("ktor-client: opening; Ktor: UnsafeHeaderException")
async def own_headers_of_the_handshake(lab: Lab) -> None:
    """Users do not set the handshake's own headers."""
    async with lab.client() as client:
        for name in (
            "Upgrade",
            "Connection",
            "Transfer-Encoding",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Protocol",
            "sec-websocket-extensions",
        ):
            with raises(UnsafeHeaderError):
                client.web_socket(lab.url("/echo"), headers={name: "x"})


@check("RFC 6455 4.1")
async def subprotocols_are_tokens(lab: Lab) -> None:
    """Subprotocols are tokens, each offered once."""
    async with lab.client() as client:
        for offer in (("a b",), ("",), ("a,b",), ("a", "a"), ("a\r\nb",)):
            with raises(ValueError):
                client.web_socket(lab.url("/echo"), subprotocols=offer)


@check("ktor-client: opening")
async def other_schemes_are_refused(lab: Lab) -> None:
    """Only ws, wss, http and https URLs open a session."""
    async with lab.client() as client:
        with raises(InvalidUrlError):
            client.web_socket("ftp://example.org/")


@check("ktor-client: handshake", HandshakeHeadersCapability)
async def credentials_stay_secret(lab: Lab) -> None:
    """A password in a URL is in no text that an error, a request or a client prints."""
    async with lab.client() as client:
        url = lab.url("/status/403").replace("://", "://user:s3cret@")
        with raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(url)
        error, response = caught.error, caught.error.response
        shown = (error, client, response, response.request, response.request.headers)
        for text in [str(error), *map(repr, shown)]:
            expect("s3cret" not in text, f"the password is in {text}")


_ABSENT: dict[Capability, Callable[[Lab], object]] = {
    WebSocketCapability: lambda lab: lab.client().web_socket(lab.url("/echo")),
    HandshakeHeadersCapability: lambda lab: lab.client().web_socket(
        lab.url("/echo"), headers={"X-Id": "1"}
    ),
    RawFramesCapability: lambda lab: lab.client().web_socket_raw(lab.url("/echo")),
    ExtensionsCapability: lambda lab: lab.client(extensions=[WebSocketDeflate()]).web_socket(
        lab.url("/echo")
    ),
    PingCapability: lambda lab: lab.client(ping_interval=20).web_socket(lab.url("/echo")),
    ReceiveBackpressureCapability: lambda lab: lab.client(
        channels=Channels(incoming=bounded(1))
    ).web_socket(lab.url("/echo")),
}


def _absent(capability: Capability, call: Callable[[Lab], object]) -> None:
    async def run(lab: Lab) -> None:
        if capability in lab.capabilities:
            raise SkippedCheck(f"with {capability}")
        if capability is not WebSocketCapability and WebSocketCapability not in lab.capabilities:
            raise SkippedCheck("without WebSocketCapability")
        with raises(UnsupportedCapabilityError) as caught:
            call(lab)
        expect(capability.name in str(caught.error), f"it says: {caught.error}")

    ROOM.add_for_all(
        f"without_{capability.name}",
        f"What needs {capability.name} is refused at the call by engines without it.",
        "ktor-client: capabilities; Ktor: testMaxFrameSizeNotSupported, WebSocketBackpressureTest",
        run,
    )


for _capability, _call in _ABSENT.items():
    _absent(_capability, _call)


@check("ktor-client: opening")
async def session_refuses_what_is_absent(lab: Lab) -> None:
    """`ping` and `send_stream` are refused by engines that cannot do them; the session goes on."""
    if {PingCapability, FragmentationCapability} <= lab.capabilities:
        raise SkippedCheck("with PingCapability and FragmentationCapability")
    async with lab.session("/echo") as session:
        if PingCapability not in lab.capabilities:
            with raises(UnsupportedCapabilityError):
                await session.ping()
        if FragmentationCapability in lab.capabilities:
            await session.send_stream(_one())
            equal(await session.receive_text(), "one", "the echo of the stream")
        else:
            with raises(UnsupportedCapabilityError):
                await session.send_stream(_one())
        await session.send("on")
        equal(await session.receive_text(), "on", "the echo")


async def _one() -> AsyncIterator[str]:
    yield "one"


# --- statements and clients


@check("ktor-client: opening")
async def statement_runs_once(lab: Lab) -> None:
    """A statement is lazy and can be entered once."""
    async with lab.client() as client:
        statement = client.web_socket(lab.url("/echo"))
        async with statement:
            pass
        with raises(RuntimeError):
            await statement.__aenter__()


@check("ktor-client: opening")
async def execute_returns_the_result(lab: Lab) -> None:
    """`execute` runs a function with the session and returns what it returns."""

    async def chat(session: DefaultClientWebSocketSession) -> str:
        await session.send("question")
        return await session.receive_text()

    async with lab.client() as client:
        answer = await client.web_socket(lab.url("/echo")).execute(chat)
    equal(answer, "question", "the result")


@check("ktor-client: clients")
async def closed_client_refuses(lab: Lab) -> None:
    """Calls on a closed client raise ClientClosedError at once; closing twice is fine."""
    client = lab.client()
    statement = client.web_socket(lab.url("/echo"))
    await client.close()
    await client.close()
    with raises(ClientClosedError):
        client.web_socket(lab.url("/echo"))
    with raises(ClientClosedError):
        await client.web_socket_session(lab.url("/echo"))
    with raises(ClientClosedError):
        await statement.__aenter__()


@check("ktor-client: clients")
async def second_install_refines(lab: Lab) -> None:
    """A second `install` of the plugin changes what it names, and keeps the rest."""
    more = install(WebSockets, max_frame_size=50)
    async with lab.client(more, content_converter=JsonConverter(), max_frame_size=10) as client:
        async with client.web_socket(lab.url("/echo")) as session:
            equal(session.max_frame_size, 50, "max_frame_size")
            await session.send_serialized([1])
            equal(await session.receive_deserialized(list[int]), [1], "the object")


@check("ktor-client: clients; Ktor: testCancellingScope")
async def closing_the_client_closes_sessions(lab: Lab) -> None:
    """Closing a client closes its sessions with 1001, and a receiver hears of it."""
    client = lab.client()
    session = await client.web_socket_session(lab.url("/echo", id=lab.id))
    await session.send("x")
    await session.incoming.receive()
    receiving = asyncio.ensure_future(session.incoming.receive())
    await asyncio.sleep(0)
    await client.close()
    with raises(ConnectionClosedError):
        await receiving
    reason = await session.close_reason
    equal(reason.initiator, "local", "initiator")
    equal(reason.code, 1001, "close_reason.code")
    await lab.expect_code(1001)


@check("ktor-client: clients")
async def derived_clients_share_the_engine(lab: Lab) -> None:
    """A client made by `client.config(...)` goes on when the first one is closed."""
    first = lab.client()
    second = first.config(install(WebSockets, max_frame_size=100))
    await first.close()
    async with second, second.web_socket(lab.url("/echo")) as session:
        equal(session.max_frame_size, 100, "max_frame_size")
        await session.send("on")
        equal(await session.receive_text(), "on", "the echo")
