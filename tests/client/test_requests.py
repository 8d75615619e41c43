"""From the arguments of a call to the request: methods, bodies, hosts, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    HttpClient,
    HttpMethod,
    HttpRequest,
    HttpRequestBuilder,
    HttpResponse,
    InvalidUrlError,
    UnsafeHeaderError,
    WebSocketHandshakeError,
    header,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.engines._mock.responses import respond
from ktor_client.plugins import HttpCallValidator, WebSockets
from ktor_client.testing import Exchange, Response, echo_server


def shown(request: HttpRequest) -> str:
    kind = request.headers.get("content-type", "-")
    return f"{request.method} {request.url} {kind} {request.body!r}"


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(MockEngine(shown), install(WebSockets)) as client:
        yield client


async def text_of(response: HttpResponse) -> str:
    return await response.body_as_text()


async def test_each_verb_is_its_method(client: HttpClient) -> None:
    url = "http://h/x"
    verbs = {
        "GET": client.get,
        "OPTIONS": client.options,
        "DELETE": client.delete,
        "POST": client.post,
        "PUT": client.put,
        "PATCH": client.patch,
    }
    for method, verb in verbs.items():
        response = await verb(url, header("X-Id", "1"), params={"q": "1"}, headers={"X-Two": "2"})
        assert await text_of(response) == f"{method} http://h/x?q=1 - None"
        assert response.request.headers.fields() == [("X-Two", "2"), ("X-Id", "1")]
    assert (await client.head(url)).request.method == HttpMethod.Head
    async with client.prepare_post(url, body=b"data") as response:
        assert await text_of(response) == "POST http://h/x - b'data'"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"body": "é"}, r"text/plain; charset=UTF-8 b'\xc3\xa9'"),
        ({"body": "<x/>", "headers": {"Content-Type": "text/xml"}}, "text/xml b'<x/>'"),
        ({"body": b"raw"}, "- b'raw'"),
        ({"json": {"a": 1}}, """application/json b'{"a":1}'"""),
        ({"json": 1, "headers": {"content-type": "a/b+json"}}, "a/b+json b'1'"),
    ],
)
async def test_bodies_and_their_types(client: HttpClient, given: dict[str, Any], sent: str) -> None:
    for verb in (client.delete, client.post, client.put, client.patch):
        assert (await text_of(await verb("http://h/", **given))).endswith(f" http://h/ {sent}")


async def test_what_is_no_body(client: HttpClient) -> None:
    wrong: Any = {"a": 1}
    with pytest.raises(TypeError, match="or a Body, not dict; json= takes objects"):
        await client.post("http://h/", body=wrong)
    with pytest.raises(TypeError, match="either body= or json=, not both"):
        await client.post("http://h/", body="x", json=None)


async def test_a_block_may_stand_in_the_urls_place(client: HttpClient) -> None:
    def there(request: HttpRequestBuilder) -> None:
        request.url.host = "there"

    response = await client.get(there, header("X-Id", "1"))
    assert str(response.request.url) == "http://there/"
    assert response.request.headers["x-id"] == "1"


async def test_a_web_socket_opens_with_get_whoever_says_otherwise(client: HttpClient) -> None:
    def post(request: HttpRequestBuilder) -> None:
        request.method = HttpMethod.Post

    with pytest.raises(ValueError, match="a WebSocket opens with GET, not POST"):
        client.web_socket("ws://h/", post)
    with pytest.raises(ValueError, match="a WebSocket opens with GET, not POST"):
        client.web_socket("ws://h/", method=HttpMethod.Post)


async def test_a_block_may_not_choose_another_scheme(client: HttpClient) -> None:
    def ftp(request: HttpRequestBuilder) -> None:
        request.url.scheme = "ftp"

    with pytest.raises(InvalidUrlError, match="scheme 'ftp' is not supported; use ws or wss"):
        await client.web_socket_session("ws://h/", ftp)


async def test_an_engine_may_know_where_it_is() -> None:
    """As a page does: URLs without a host go to where it came from."""

    class AtHome(MockEngine):
        default_url = "https://home.example:8443"

    engine = AtHome(shown)
    engine.on_web_socket("wss://home.example:8443/chat", respond(status=403))
    async with HttpClient(engine, install(WebSockets)) as client:
        assert str((await client.get("/x")).request.url) == "https://home.example:8443/x"
        assert str((await client.get("/x", port)).request.url) == "https://home.example:81/x"
        with pytest.raises(WebSocketHandshakeError, match="403"):
            await client.web_socket_session("/chat")


def port(request: HttpRequestBuilder) -> None:
    request.url.port = 81


async def test_wss_is_forced_and_an_explicit_port_stays() -> None:
    engine = MockEngine()
    engine.on_web_socket(lambda request: True, respond(status=403))
    async with HttpClient(engine, install(WebSockets)) as client:
        for url in ("ws://h:81/", "http://h:81/", "wss://h:81/"):
            with pytest.raises(WebSocketHandshakeError) as caught:
                async with client.wss(url):
                    pytest.fail("the session opened")
            assert str(caught.value.response.request.url) == "wss://h:81/"
        with pytest.raises(WebSocketHandshakeError) as caught:
            async with client.wss(host="h", path="/x"):
                pytest.fail("the session opened")
        assert str(caught.value.response.request.url) == "wss://h/x"


async def test_a_wrong_content_length_does_no_harm(engine: EngineFactory) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"ab"

    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        url = f"{server.http_url}/echo-body"
        for length in ("5", "7"):
            async with asyncio.timeout(30):
                with pytest.raises(UnsafeHeaderError, match=f"says {length} bytes, but"):
                    await client.post(url, headers={"Content-Length": length}, body=chunks())
            with pytest.raises(UnsafeHeaderError, match="but the body has 0"):
                client.web_socket(f"{server.url}/echo", headers={"Content-Length": length})
        right = await client.post(url, headers={"Content-Length": "6"}, body=chunks())
        assert await right.body_as_bytes() == b"ababab"


# --- what `prepare_get` gives is a stream, however its bytes came


async def check_that_it_streams(client: HttpClient, url: str) -> None:
    async with client.prepare_get(url) as response:
        pass
    with pytest.raises(RuntimeError, match="the response is closed"):
        await response.body_as_text()
    async with client.prepare_get(url) as response:
        assert b"".join([chunk async for chunk in response.chunks()]) == b"hello"
        with pytest.raises(RuntimeError, match="already been streamed"):
            await response.body_as_bytes()
    async with client.prepare_get(url) as response:
        assert await response.body_as_text() == "hello"
    assert await response.body_as_text() == "hello"  # what was read stays


async def test_a_body_that_comes_with_its_head_is_a_stream(engine: EngineFactory) -> None:
    async def hello(exchange: Exchange) -> Response:
        return Response(200, "hello")

    async with echo_server() as server, HttpClient(engine) as client:
        server.routes["/greeting"] = hello
        await check_that_it_streams(client, f"{server.http_url}/greeting")


async def test_a_body_in_memory_is_a_stream() -> None:
    async with HttpClient(MockEngine(lambda _: "hello")) as client:
        await check_that_it_streams(client, "/")


async def test_a_validator_may_read_a_stream() -> None:
    read: list[str] = []

    async def validate(response: HttpResponse) -> None:
        read.append(await response.body_as_text())

    rules = install(HttpCallValidator, validate=validate)
    async with HttpClient(MockEngine(lambda _: "hello"), rules) as client:
        async with client.prepare_get("/") as response:
            assert [chunk async for chunk in response.chunks()] == [b"hello"]
    assert read == ["hello"]
