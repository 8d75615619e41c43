"""Checks of the opening handshake: what we send, and what we accept as its answer."""

from __future__ import annotations

import binascii
import json
from typing import Any

from ktor_client.config import install
from ktor_client.engine.capabilities import (
    ExtensionsCapability,
    HandshakeHeadersCapability,
    RefusedBodyCapability,
)
from ktor_client.errors import ConnectError, WebSocketHandshakeError
from ktor_client.http import header, parameter
from ktor_client.plugin import RequestCreated, RequestFailed, ResponseReceived
from ktor_client.plugins import DefaultRequest, WebSocketDeflate
from ktor_client.testing.conformance.check import REFUSALS, Lab, Query, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("handshake")
check = ROOM.check


async def _headers(lab: Lab) -> dict[str, list[str]]:
    async with lab.session("/headers") as session:
        table: dict[str, list[str]] = json.loads(await session.receive_text())
    return {name.lower(): values for name, values in table.items()}


@check("RFC 6455 4.1; Ktor: testWebSocketHeaders")
async def handshake_headers(lab: Lab) -> None:
    """The request has Upgrade, Connection, version 13 and a key of 16 bytes, each once."""
    found = await _headers(lab)
    equal([v.lower() for v in found.get("upgrade", ())], ["websocket"], "Upgrade")
    equal(found.get("sec-websocket-version"), ["13"], "Sec-WebSocket-Version")
    tokens = [t.strip().lower() for v in found.get("connection", ()) for t in v.split(",")]
    expect("upgrade" in tokens, f"Connection is {found.get('connection')}, without Upgrade")
    keys = found.get("sec-websocket-key", [])
    equal(len(keys), 1, "the number of Sec-WebSocket-Key headers")
    equal(len(binascii.a2b_base64(keys[0], strict_mode=True)), 16, "the length of the key")


@check("RFC 6455 4.1")
async def key_is_fresh(lab: Lab) -> None:
    """Each handshake has a key of its own."""
    keys = [(await _headers(lab))["sec-websocket-key"][0] for _ in range(2)]
    expect(keys[0] != keys[1], "two handshakes had the same Sec-WebSocket-Key")


@check("ktor-client: handshake; Ktor: DefaultRequest", HandshakeHeadersCapability)
async def own_headers_go_along(lab: Lab) -> None:
    """Headers of the call and of DefaultRequest are on the handshake, repeated ones too."""
    defaults = install(DefaultRequest, headers={"X-Default": "yes"})
    async with lab.client(defaults) as client:
        statement = client.web_socket(
            lab.url("/headers"), header("X-Id", "1"), header("X-Id", "2"), headers={"X-Own": "a b"}
        )
        async with statement as session:
            found = json.loads(await session.receive_text())
    table = {name.lower(): values for name, values in found.items()}
    equal(", ".join(table.get("x-id", ())), "1, 2", "X-Id")
    equal(table.get("x-own"), ["a b"], "X-Own")
    equal(table.get("x-default"), ["yes"], "X-Default")


@check("Ktor: WebSocketEngineSuite, KTOR-6366", HandshakeHeadersCapability)
async def content_type_does_no_harm(lab: Lab) -> None:
    """A Content-Type on the handshake does not break the upgrade."""
    async with lab.session("/echo", headers={"Content-Type": "application/json"}) as session:
        await session.send("still here")
        equal(await session.receive_text(), "still here", "the echo")


@check("Ktor: KTOR-4390")
async def query_goes_along(lab: Lab) -> None:
    """The query of the URL and the parameters of the call arrive."""
    async with lab.client() as client:
        async with client.web_socket(lab.url("/echo-query?param=a%20%26%C3%A9")) as session:
            equal(await session.receive_text(), "a &é", "the parameter in the URL")
        async with client.web_socket(lab.url("/echo-query"), params={"param": "b c"}) as session:
            equal(await session.receive_text(), "b c", "the parameter of the call")
        async with client.web_socket(lab.url("/echo-query"), parameter("param", "+")) as session:
            equal(await session.receive_text(), "+", "the parameter of a block")


@check("Ktor: testWebsocketWithDefaultRequest")
async def default_request_gives_the_address(lab: Lab) -> None:
    """With DefaultRequest a path is enough."""
    async with lab.client(install(DefaultRequest, url=lab.url("/"))) as client:
        async with client.web_socket("echo") as session:
            await session.send("default")
            equal(await session.receive_text(), "default", "the echo")


@check("Ktor: BuildersTest")
async def http_url_becomes_ws(lab: Lab) -> None:
    """An http URL opens a WebSocket."""
    async with lab.client() as client, client.web_socket(lab.http_url("/echo")) as session:
        await session.send("x")
        equal(await session.receive_text(), "x", "the echo")


@check("Ktor: HttpClientCall")
async def call_is_the_exchange(lab: Lab) -> None:
    """`session.call` has the request's URL and the 101."""
    async with lab.session("/echo") as session:
        equal(session.call.response.status, 101, "call.response.status")
        equal(str(session.call.request.url), lab.url("/echo"), "call.request.url")


@check("Ktor: HttpRequestCreated, HttpResponseReceived")
async def handshake_is_observable(lab: Lab) -> None:
    """Handshakes show in the client's events: the request, and the 101 or the failure."""
    seen: list[object] = []
    async with lab.client() as client:
        client.events.subscribe(RequestCreated, lambda request: seen.append(request.url.path))
        client.events.subscribe(ResponseReceived, lambda response: seen.append(response.status))
        client.events.subscribe(RequestFailed, lambda failure: seen.append(failure.error))
        async with client.web_socket(lab.url("/echo")):
            equal(seen, ["/echo", 101], "the events")
        with raises(ConnectError):
            await client.web_socket_session(lab.url("/hang-up"))
        equal(len(seen), 4, "the number of events after a failure")
        expect(seen[2] == "/hang-up" and seen[3] is not None, f"the events are {seen}")


# --- subprotocols


@check("Ktor: testWebsocketRequiringSubProtocolWithSubProtocol")
async def subprotocol_is_offered(lab: Lab) -> None:
    """A server that requires a subprotocol accepts one that is offered."""
    async with lab.session("/sub-protocol", subprotocols=("other", "test-protocol")) as session:
        await session.send("spoken")
        equal(await session.receive_text(), "spoken", "the echo")
        equal(session.subprotocol, "test-protocol", "subprotocol")


@check("Ktor: testWebsocketRequiringSubProtocolWithoutSubProtocol")
async def subprotocol_is_missing(lab: Lab) -> None:
    """A server that requires a subprotocol refuses where none is offered."""
    with raises(*REFUSALS):
        await lab.visit("/sub-protocol")


@check("Ktor: testResponseContainsSecWebsocketProtocolHeader")
async def subprotocol_is_in_the_response(lab: Lab) -> None:
    """The response's headers show the subprotocol that the server chose."""
    async with lab.session("/sub-protocol", subprotocols=("test-protocol",)) as session:
        chosen = session.call.response.headers.get("Sec-WebSocket-Protocol")
        equal(chosen, "test-protocol", "Sec-WebSocket-Protocol")


@check("RFC 6455 1.9")
async def no_subprotocol_is_none(lab: Lab) -> None:
    """Without a choice of the server `subprotocol` is None."""
    async with lab.session("/echo") as session:
        equal(session.subprotocol, None, "subprotocol")


# --- wrong answers


def _answer(
    name: str,
    statement: str,
    source: str,
    rewrite: Query,
    *,
    subprotocols: tuple[str, ...] = (),
    deflate: bool = False,
) -> None:
    """Add a check that an answer with these headers is refused."""

    async def run(lab: Lab) -> None:
        extensions = [WebSocketDeflate()] if deflate else []
        options: dict[str, Any] = {"extensions": extensions} if deflate else {}
        with raises(*REFUSALS) as caught:
            await lab.visit("/handshake", query=rewrite, subprotocols=subprotocols, **options)
        if RefusedBodyCapability in lab.capabilities:
            expect(
                isinstance(caught.error, WebSocketHandshakeError),
                f"it raised {caught.error!r}, not WebSocketHandshakeError",
            )

    ROOM.add(name, statement, source, run, *((ExtensionsCapability,) if deflate else ()))


_DEFLATE = "permessage-deflate"
_ACCEPT = "Sec-WebSocket-Accept"
_answer(
    "wrong_accept",
    "A wrong Sec-WebSocket-Accept is refused.",
    "RFC 6455 4.1",
    {_ACCEPT: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
)
_answer("no_accept", "A missing Sec-WebSocket-Accept is refused.", "RFC 6455 4.1", {_ACCEPT: ""})
_answer("no_upgrade", "A missing Upgrade is refused.", "RFC 6455 4.1", {"Upgrade": ""})
_answer(
    "wrong_upgrade", "An Upgrade to something else is refused.", "RFC 6455 4.1", {"Upgrade": "h2c"}
)
_answer("no_connection", "A missing Connection is refused.", "RFC 6455 4.1", {"Connection": ""})
_answer(
    "wrong_connection",
    "A Connection without Upgrade is refused.",
    "RFC 6455 4.1",
    {"Connection": "keep-alive"},
)
_answer(
    "unasked_subprotocol",
    "A subprotocol where none was offered is refused.",
    "ktor-client: handshake",
    {"Sec-WebSocket-Protocol": "surprise"},
)
_answer(
    "other_subprotocol",
    "A subprotocol other than those offered is refused.",
    "RFC 6455 4.1",
    {"Sec-WebSocket-Protocol": "surprise"},
    subprotocols=("chat",),
)
_answer(
    "unasked_extension",
    "An extension that was not offered is refused.",
    "RFC 6455 4.1",
    {"Sec-WebSocket-Extensions": "x-surprise"},
)
_answer(
    "unknown_parameter",
    "An unknown parameter of an extension is refused.",
    "RFC 7692 7.1",
    {"Sec-WebSocket-Extensions": f"{_DEFLATE}; surprise=1"},
    deflate=True,
)
_answer(
    "illegal_window",
    "Window bits outside of 8 to 15 are refused.",
    "RFC 7692 7.1.2.1",
    {"Sec-WebSocket-Extensions": f"{_DEFLATE}; server_max_window_bits=16"},
    deflate=True,
)
_answer(
    "repeated_parameter",
    "A repeated parameter of an extension is refused.",
    "RFC 7692 7.1",
    {
        "Sec-WebSocket-Extensions": f"{_DEFLATE}; server_no_context_takeover; "
        "server_no_context_takeover"
    },
    deflate=True,
)
_answer(
    "repeated_extension",
    "The same extension agreed twice is refused.",
    "RFC 6455 9.1",
    {"Sec-WebSocket-Extensions": f"{_DEFLATE}, {_DEFLATE}"},
    deflate=True,
)


def _legal(name: str, statement: str, rewrite: Query) -> None:
    async def run(lab: Lab) -> None:
        async with lab.session("/handshake", query=rewrite) as session:
            await session.send("legal")
            equal(await session.receive_text(), "legal", "the echo")

    ROOM.add(name, statement, "RFC 6455 4.1", run)


_legal(
    "connection_is_a_list",
    "Connection: keep-alive, Upgrade is legal.",
    {"Connection": "keep-alive, Upgrade"},
)
_legal(
    "answer_in_any_case",
    "Upgrade and Connection are compared without case.",
    {"Upgrade": "WebSocket", "Connection": "UPGRADE"},
)
_legal(
    "other_headers_are_fine",
    "Other headers of the answer are ignored.",
    {"Server": "conformance", "Content-Type": "text/plain"},
)
