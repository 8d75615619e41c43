"""What the error of a refused handshake tells, and what it keeps to itself."""

from __future__ import annotations

import traceback

import pytest

from ktor_client import HttpClient, HttpClientConfig, WebSocketHandshakeError, header, install
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import MockPeerSession, MockResponse, respond

WHERE = "asked ws://example.org/room"


async def refused(answer: MockResponse, query: str = "", **headers: str) -> WebSocketHandshakeError:
    engine = MockEngine()
    engine.on_web_socket("/room", answer)
    url = f"ws://user:passw0rd@example.org/room{query}"
    blocks = [header(name, value) for name, value in headers.items()]
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session(url, *blocks)
    return caught.value


def note(error: WebSocketHandshakeError) -> str:
    (only,) = error.__notes__
    return only


async def test_a_traceback_tells_who_was_asked_and_what_was_answered() -> None:
    error = await refused(respond("no such\nroom", 404))
    assert str(error) == "Handshake exception, expected status code 101 but was 404"
    last = "".join(traceback.format_exception_only(error)).splitlines()
    assert last[0].endswith(str(error))
    assert last[1:] == [f"{WHERE}; the answer begins 'no such room'"]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/away?token=secret", "http://example.org/away?..."),
        ("wss://other.example/", "wss://other.example/"),
        ("mailto:me@example.org", None),
        ("", None),
    ],
)
async def test_a_redirect_that_was_not_followed_is_named(location: str, shown: str | None) -> None:
    def keep(config: HttpClientConfig) -> None:
        config.follow_redirects = False

    engine = MockEngine()
    engine.on_web_socket("/room", respond("", 302, headers={"Location": location}))
    async with HttpClient(engine, install(WebSockets), keep) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session("ws://example.org/room")
    also = "" if shown is None else f"; the redirect to {shown} was not followed"
    assert note(caught.value) == WHERE + also


async def test_a_redirect_that_gives_up_tls_is_named() -> None:
    engine = MockEngine()
    engine.on_web_socket("/room", respond("", 302, headers={"Location": "ws://example.org/"}))
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session("wss://example.org/room")
    assert note(caught.value).endswith(
        "; the redirect to ws://example.org/ was not followed, since it gives up TLS"
    )


async def test_a_wrong_101_tells_who_was_asked() -> None:
    async def peer(session: MockPeerSession) -> None:
        raise AssertionError("never run")

    engine = MockEngine()
    engine.on_web_socket("/room", peer, headers={"Sec-WebSocket-Accept": "wrong"})
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError, match="does not answer our key") as caught:
            await client.web_socket_session("ws://example.org/room")
    assert note(caught.value) == WHERE


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (respond("x" * 1000, 500), "x" * 200),
        (respond(json={"why": "full"}, status=503), '{"why":"full"}'),
        (respond(b"bare", 403), "bare"),
        (respond("\x1b[2J", 403), r"\x1b[2J"),  # which would steer a terminal
    ],
    ids=["long", "json", "untyped", "controls"],
)
async def test_the_beginning_of_a_text_is_shown(answer: MockResponse, shown: str) -> None:
    assert note(await refused(answer)) == f"{WHERE}; the answer begins '{shown}'"


@pytest.mark.parametrize(
    "answer",
    [
        respond(status=403),
        respond(" \n", 403),
        respond("<html>", 404, {"Content-Type": "text/html"}),
        respond("GIF89a", 404, {"Content-Type": "image/gif"}),
        respond(b"\xff\xfe", 404),
    ],
    ids=["none", "blank", "html", "image", "not UTF-8"],
)
async def test_what_is_no_text_is_not_shown(answer: MockResponse) -> None:
    assert note(await refused(answer)) == WHERE


@pytest.mark.parametrize("text", ["no right for t0p s3cret", "GET /room?key=t0p%20s3cret"])
async def test_no_secret_of_the_query_is_shown(text: str) -> None:
    error = await refused(respond(text, 403), "?key=t0p%20s3cret&empty=")
    assert note(error) == f"{WHERE}?..."
    error = await refused(respond("bad key", 403), "?key=t0p%20s3cret&empty=")
    assert note(error) == f"{WHERE}?...; the answer begins 'bad key'"


async def test_no_credentials_are_shown() -> None:
    token = {"Authorization": "Bearer t0ps3cret"}
    assert note(await refused(respond("t0ps3cret is over", 401), **token)) == WHERE
    error = await refused(respond("Bearer token is over", 401), **token)
    assert note(error) == f"{WHERE}; the answer begins 'Bearer token is over'"
