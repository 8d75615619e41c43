"""Redirects: what is followed, what travels along, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    ClientRequestError,
    HttpClient,
    HttpClientConfig,
    HttpRequest,
    RedirectError,
    ServerResponseError,
    UnsupportedCapabilityError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock.responses import MockResponse, respond
from ktor_client.plugins import HttpRedirect, WebSockets


def redirecting(status: int, location: str) -> MockEngine:
    def handle(request: HttpRequest) -> MockResponse | str:
        if request.url.path == "/start":
            return respond(b"moved", status=status, headers={"Location": location})
        return f"{request.method} {request.url} {request.headers!r} {request.body!r}"

    return MockEngine(handle)


async def body_of(engine: MockEngine, method: str = "GET", **options: object) -> str:
    async with HttpClient(engine) as client:
        url = options.pop("url", "http://h/start")
        response = await client.request(method, url, **options)  # type: ignore[arg-type]  # pyright: ignore
        return await response.body_as_text()


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "GET", "GET"),
        (302, "HEAD", "HEAD"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
        (301, "PUT", "GET"),
        (302, "DELETE", "GET"),
        (303, "HEAD", "HEAD"),
    ],
)
async def test_what_becomes_of_the_method(status: int, method: str, then: str) -> None:
    engine = redirecting(status, "/there")
    await body_of(engine, method, body=b"data")
    last = engine.request_history[-1]
    assert (last.method, str(last.url)) == (then, "http://h/there")
    assert last.body == (b"data" if then == method else None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_other_methods_are_not_followed_by_ktors_rule(status: int) -> None:
    redirect = install(HttpRedirect, check_http_method=True)
    async with HttpClient(redirecting(status, "/there"), redirect) as client:
        assert (await client.post("http://h/start", body="x")).status == status
        assert (await client.head("http://h/start")).status == 200


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("there?x=1", "http://h/there?x=1"),
        ("//other/x", "http://other/x"),
        ("https://h/x", "https://h/x"),
        ("http://h:8080/x", "http://h:8080/x"),
        ("/there?x=1#part", "http://h/there?x=1"),
    ],
)
async def test_relative_and_absolute_locations(location: str, sent: str) -> None:
    assert f" {sent} " in await body_of(redirecting(302, location))


async def test_headers_stay_with_their_origin() -> None:
    secret = {"Authorization": "Bearer x", "X-Api-Key": "k", "Cookie": "c=1", "Accept": "a/b"}
    here = redirecting(302, "/there")
    await body_of(here, headers=secret)
    assert set(here.request_history[-1].headers) >= set(secret)
    elsewhere = redirecting(302, "http://h:81/there")
    await body_of(elsewhere, headers=secret)
    assert list(elsewhere.request_history[-1].headers) == ["Accept"]


async def test_tls_is_not_given_up() -> None:
    async with HttpClient(redirecting(302, "http://h/there")) as client:
        assert (await client.get("https://h/start")).status == 302
    allowed = install(HttpRedirect, allow_https_downgrade=True)
    async with HttpClient(redirecting(302, "http://h/there"), allowed) as client:
        assert (await client.get("https://h/start")).status == 200


async def test_a_redirect_that_does_not_say_where() -> None:
    async with HttpClient(MockEngine(lambda request: respond(b"where?", status=302))) as client:
        response = await client.get("http://h/start")
        assert (response.status, await response.body_as_text()) == (302, "where?")


async def test_too_many_redirects() -> None:
    engine = MockEngine(lambda request: respond(b"", status=302, headers={"Location": "/start"}))
    async with HttpClient(engine, install(HttpRedirect, max_redirects=3)) as client:
        with pytest.raises(RedirectError, match="more than 3 redirects"):
            await client.get("http://h/start")
    assert len(engine.request_history) == 4


async def test_a_location_that_is_no_url() -> None:
    async with HttpClient(redirecting(302, "gopher://h/")) as client:
        with pytest.raises(RedirectError, match="gopher"):
            await client.get("http://h/start")


async def test_redirects_can_be_left_to_the_caller() -> None:
    def plain(config: HttpClientConfig) -> None:
        config.follow_redirects = False

    async with HttpClient(redirecting(302, "/there"), plain) as client:
        response = await client.get("http://h/start")
        assert (response.status, response.headers["location"]) == (302, "/there")


@pytest.mark.parametrize(
    ("status", "error"),
    [(304, RedirectError), (404, ClientRequestError), (503, ServerResponseError)],
)
async def test_expect_success(status: int, error: type[Exception]) -> None:
    def strict(config: HttpClientConfig) -> None:
        config.expect_success = True

    def answer(request: HttpRequest) -> MockResponse:
        return (
            respond(b"fine") if request.url.path == "/fine" else respond(b"why not", status=status)
        )

    async with HttpClient(MockEngine(answer), strict) as client:
        assert (await client.get("http://h/fine")).status == 200
        why = "" if status == 304 else "why not"  # a 304 has no body (RFC 9110 15.4.5)
        with pytest.raises(error, match=rf"GET http://h/\?\.\.\. gave {status}. {why}") as caught:
            await client.get("http://h/?token=s3cret")
        assert caught.value.response.status == status  # type: ignore[attr-defined]


def test_a_negative_number_of_redirects() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        HttpRedirect(max_redirects=-1)


async def test_a_streamed_body_cannot_be_sent_twice() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data"

    async with HttpClient(redirecting(307, "/there")) as client:
        with pytest.raises(RedirectError, match=r"async_generator.*only once") as caught:
            await client.post("http://h/start", body=chunks())
        assert caught.value.response.status == 307


async def test_a_streamed_body_that_is_not_needed_again() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data"

    engine = redirecting(303, "/there")
    async with HttpClient(engine) as client:
        assert (await client.post("http://h/start", body=chunks())).status == 200
    assert [request.method for request in engine.request_history] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("http://h/there", "ws://h/there"),
        ("https://h/there", "wss://h/there"),
        ("wss://h/there", "wss://h/there"),
    ],
)
async def test_a_handshake_that_is_sent_elsewhere_stays_a_handshake(
    location: str, asked: str
) -> None:
    engine = MockEngine()
    engine.on_web_socket("ws://h/start", respond(status=302, headers={"Location": location}))
    engine.on_web_socket(asked, respond(status=403))
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError) as caught:
            await client.web_socket_session("ws://h/start")
    assert str(caught.value.response.request.url) == asked


async def test_a_body_of_a_get_cannot_be_sent_twice_either() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data"

    async with HttpClient(redirecting(302, "/there")) as client:
        with pytest.raises(RedirectError, match="only once"):
            await client.request("GET", "http://h/start", body=chunks())
        assert (await client.request("GET", "http://h/start", body=b"x")).status == 200


@pytest.mark.parametrize("option", ["max_redirects", "allow_https_downgrade", "check_http_method"])
def test_an_engine_that_follows_by_itself_refuses_the_options(option: str) -> None:
    options: Any = {option: 1}
    redirect = install(HttpRedirect, **options)
    with pytest.raises(UnsupportedCapabilityError, match=rf"{option} needs seeing redirects"):
        HttpClient(MockEngine(capabilities=frozenset()), redirect)
    HttpClient(MockEngine(capabilities=frozenset()), install(HttpRedirect))
