"""Checks of handshakes that do not open at once: refusals, redirects, no answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from ktor_client.engine.capabilities import HandshakeHeadersCapability, RefusedBodyCapability
from ktor_client.errors import (
    ConnectError,
    OpenTimeoutError,
    RedirectError,
    WebSocketHandshakeError,
)
from ktor_client.http import bearer_auth
from ktor_client.testing.conformance.check import (
    QUICK,
    REFUSALS,
    Lab,
    Query,
    Room,
    end_of_tasks,
    equal,
    raises,
)

__all__ = ["ROOM"]

ROOM = Room("refusals")
check = ROOM.check


def _refusal(status: int, source: str, statement: str, name: str) -> None:
    async def run(lab: Lab) -> None:
        with raises(WebSocketHandshakeError) as caught:
            await lab.visit(f"/status/{status}", query={"body": "why not"})
        response = caught.error.response
        equal(response.status, status, "response.status")
        equal(
            str(caught.error),
            f"Handshake exception, expected status code 101 but was {status}",
            "the message",
        )
        equal(await response.body_as_text(), "why not", "the body")

    ROOM.add(name, statement, source, run, RefusedBodyCapability)


_refusal(200, "RFC 6455 4.1", "A 200 is a refusal.", "status_200")
_refusal(401, "Ktor: testAuthenticationWithInvalidToken", "A 401 is a refusal.", "status_401")
_refusal(404, "Ktor: testNotFound", "A 404 is a refusal.", "status_404")
_refusal(
    500,
    "Ktor: testErrorMessageWhenServerDontRespondWithUpgrade",
    "A 500 is a refusal, with Ktor's message.",
    "status_500",
)


@check("ktor-client: handshake", RefusedBodyCapability)
async def refusal_keeps_the_response(lab: Lab) -> None:
    """The error has status, headers and body of a refusal, and Retry-After in seconds."""
    query: Query = {"body": "busy", "retry_after": 7}
    with raises(WebSocketHandshakeError) as caught:
        await lab.visit("/status/503", query=query)
    error = caught.error
    equal(error.response.status, 503, "response.status")
    equal(error.response.headers.get("retry-after"), "7", "Retry-After")
    equal(error.retry_after, 7.0, "retry_after")
    equal(await error.response.body_as_bytes(), b"busy", "the body")


@check("ktor-client: opening; Ktor: testNotFound", RefusedBodyCapability)
async def expect_success_changes_nothing(lab: Lab) -> None:
    """With `expect_success` a refused handshake is still a WebSocketHandshakeError."""
    async with lab.client(lambda config: setattr(config, "expect_success", True)) as client:
        with raises(WebSocketHandshakeError):
            await client.web_socket_session(lab.url("/status/404"))


@check("Ktor: testAuthenticationWithValidInitialToken", HandshakeHeadersCapability)
async def token_opens(lab: Lab) -> None:
    """A valid bearer token opens the session."""
    async with lab.client() as client:
        async with client.web_socket(lab.url("/auth/websocket"), bearer_auth("valid")) as session:
            equal(await session.receive_text(), "Hello from server", "the greeting")


@check(
    "Ktor: testAuthenticationWithInvalidToken", HandshakeHeadersCapability, RefusedBodyCapability
)
async def invalid_token_is_refused(lab: Lab) -> None:
    """An invalid bearer token is a WebSocketHandshakeError with status 401."""
    async with lab.client() as client:
        with raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(lab.url("/auth/websocket"), bearer_auth("wrong"))
        equal(caught.error.response.status, 401, "response.status")


@check("Ktor: CIOWebSocketTestJvm, failed handshakes")
async def refusals_leave_nothing(lab: Lab) -> None:
    """100 refused handshakes leave no task."""
    async with lab.client() as client:
        before = asyncio.all_tasks()
        for _ in range(100):
            with raises(*REFUSALS):
                await client.web_socket_session(lab.url("/status/403"))
    await end_of_tasks(before)


# --- redirects


def _redirect(name: str, statement: str, target: Callable[[Lab], str], status: int) -> None:
    async def run(lab: Lab) -> None:
        query: Query = {"to": target(lab), "status": status}
        async with lab.session("/redirect", query=query) as session:
            await session.send("moved")
            equal(await session.receive_text(), "moved", "the echo")
            equal(session.call.request.url.path, "/echo", "the final path")

    ROOM.add(name, statement, "Ktor: HttpRedirect", run, RefusedBodyCapability)


for _status in (301, 302, 303, 307, 308):
    _redirect(
        f"redirect_{_status}", f"A {_status} with a path is followed.", lambda lab: "/echo", _status
    )
_redirect("redirect_to_ws", "A ws:// Location is followed.", lambda lab: lab.url("/echo"), 302)
_redirect(
    "redirect_to_http",
    "An http:// Location is followed as ws.",
    lambda lab: lab.http_url("/echo"),
    302,
)


@check("ktor-client: handshake", RefusedBodyCapability, HandshakeHeadersCapability)
async def redirect_in_the_origin_keeps_headers(lab: Lab) -> None:
    """Within an origin, headers and subprotocols follow a redirect."""
    found = await _headers_after(lab, lab.url("/headers"))
    equal(found.get("authorization"), ["Bearer valid"], "Authorization")
    equal(found.get("x-secret"), ["1"], "X-Secret")
    equal(found.get("sec-websocket-protocol"), ["chat"], "Sec-WebSocket-Protocol")


@check("ktor-client: handshake", RefusedBodyCapability, HandshakeHeadersCapability)
async def redirect_elsewhere_drops_secrets(lab: Lab) -> None:
    """To another origin, credentials and custom headers do not follow a redirect."""
    found = await _headers_after(lab, lab.other_url + "/headers")
    equal(found.get("authorization"), None, "Authorization")
    equal(found.get("cookie"), None, "Cookie")
    equal(found.get("x-secret"), None, "X-Secret")


@check("Ktor: HttpRedirect", RefusedBodyCapability)
async def redirects_are_limited(lab: Lab) -> None:
    """More redirects than the limit are a RedirectError."""
    async with lab.client() as client:
        with raises(RedirectError):
            await client.web_socket_session(lab.url("/redirect/30"))
        async with client.web_socket(lab.url("/redirect/5")) as session:
            await session.send("x")
            equal(await session.receive_text(), "x", "the echo")


async def _headers_after(lab: Lab, target: str) -> dict[str, list[str]]:
    async with lab.client() as client:
        url = lab.url("/redirect", to=target)
        secrets = {"X-Secret": "1", "Cookie": "id=1"}
        async with client.web_socket(
            url, bearer_auth("valid"), headers=secrets, subprotocols=("chat",)
        ) as session:
            found: dict[str, list[str]] = json.loads(await session.receive_text())
    return {name.lower(): values for name, values in found.items()}


# --- no answer


@check("ktor-client: handshake")
async def open_timeout_is_kept(lab: Lab) -> None:
    """A server that never answers is given up after `open_timeout`."""
    with raises(OpenTimeoutError):
        await lab.visit("/silence", open_timeout=QUICK)


@check("Ktor: testWebsocketSessionWithError")
async def unknown_host_is_a_connect_error(lab: Lab) -> None:
    """A host name that does not resolve is a ConnectError."""
    async with lab.client() as client:
        with raises(ConnectError):
            await client.web_socket_session("wss://no-such-host.invalid/ws")


def _broken(name: str, statement: str, path: str, query: Query) -> None:
    async def run(lab: Lab) -> None:
        with raises(*REFUSALS):
            await lab.visit(path, query=query)

    ROOM.add(name, statement, "ktor-client: errors", run)


_broken(
    "dropped_request", "A connection that ends without an answer is a ConnectError.", "/hang-up", {}
)
_broken("garbage_answer", "An answer that is not HTTP is a ConnectError.", "/garbage", {})
_broken(
    "half_answer",
    "An answer that breaks off is a ConnectError.",
    "/garbage",
    {"hex": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso".hex()},
)
