"""Requests: builders, blocks, and which headers are the client's own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client.errors import InvalidUrlError, UnsafeHeaderError
from ktor_client.http import (
    AttributeKey,
    Attributes,
    Headers,
    HttpMethod,
    HttpRequest,
    HttpRequestBuilder,
    Url,
    bearer_auth,
    header,
    parameter,
)
from ktor_client.http.body import Body
from ktor_client.http.request import apply_blocks

NUMBER: AttributeKey[int] = AttributeKey("number")
TEXT: AttributeKey[str] = AttributeKey("text")


# --- attributes ---


def test_attributes() -> None:
    attributes = Attributes()
    assert NUMBER not in attributes
    assert attributes.get(NUMBER) is None
    assert attributes.get(NUMBER, 5) == 5
    with pytest.raises(KeyError):
        attributes[NUMBER]
    attributes[NUMBER] = 1
    attributes[TEXT] = "a"
    assert attributes[NUMBER] == attributes.get(NUMBER) == 1
    assert repr(attributes) == "Attributes(number, text)"
    copied = Attributes(attributes)
    del attributes[NUMBER]
    assert NUMBER not in attributes
    assert copied[NUMBER] == 1


def test_keys_are_themselves_whatever_their_names() -> None:
    twin: AttributeKey[int] = AttributeKey("number")
    attributes = Attributes()
    attributes[NUMBER] = 1
    assert twin not in attributes
    assert repr(twin) == "AttributeKey('number')"


# --- requests ---


def test_a_request_has_defaults() -> None:
    request = HttpRequest(HttpMethod.Get, Url.parse("http://h/"))
    assert request.headers == Headers()
    assert request.body is None
    assert TEXT not in request.attributes
    assert repr(request) == "HttpRequest(GET Url('http://h/'))"


def test_copies_differ_in_what_is_given() -> None:
    request = HttpRequest(HttpMethod.Post, Url.parse("http://h/"), Headers({"A": "1"}), b"body")
    request.attributes[NUMBER] = 1
    same = request.copy()
    assert (same.method, same.url, same.headers, same.body) == (
        "POST",
        request.url,
        request.headers,
        b"body",
    )
    assert same.attributes is request.attributes
    other = request.copy(
        method=HttpMethod.Get,
        url=Url.parse("http://g/"),
        headers=Headers({"B": "2"}),
        drop_body=True,
    )
    assert (other.method, str(other.url), other.body) == ("GET", "http://g/", None)
    assert dict(other.headers) == {"B": "2"}
    assert request.with_header("a", "2").headers.fields() == [("a", "2")]
    assert request.headers.fields() == [("A", "1")]
    with pytest.raises(UnsafeHeaderError):
        request.with_header("A", "\n")


# --- building ---


def test_building() -> None:
    builder = HttpRequestBuilder()
    builder.method = HttpMethod.Put
    builder.url.take_from("http://h/a")
    builder.headers.add("A", "1")
    builder.body = b"x"
    builder.attributes[NUMBER] = 1
    request = builder.build()
    assert (request.method, str(request.url), request.body) == ("PUT", "http://h/a", b"x")
    assert dict(request.headers) == {"A": "1"}
    assert request.attributes[NUMBER] == 1
    builder.attributes[NUMBER] = 2
    builder.headers.add("B", "2")
    assert request.attributes[NUMBER] == 1
    assert "B" not in request.headers
    assert builder.subprotocols == []


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("http://me:pw@h/", "me:pw"),
        ("http://me@h/", "me:"),
        ("http://m%C3%A9:p%3Aw@h/", "mé:p:w"),
    ],
)
def test_credentials_of_the_url_become_a_header(url: str, credentials: str) -> None:
    builder = HttpRequestBuilder()
    builder.url.take_from(url)
    kind, _, token = builder.build().headers["Authorization"].partition(" ")
    assert kind == "Basic"
    assert base64.b64decode(token).decode() == credentials
    bearer_auth("t")(builder)
    assert builder.build().headers["authorization"] == "Bearer t"


@pytest.mark.parametrize("web_socket", [False, True])
@pytest.mark.parametrize(
    "name",
    ["Upgrade", "TRANSFER-ENCODING", "Sec-WebSocket-Key", "sec-websocket-extensions", "Connection"],
)
def test_headers_that_are_the_clients_own(name: str, web_socket: bool) -> None:
    builder = HttpRequestBuilder(is_handshake=web_socket)
    builder.headers.add(name, "x")
    if name == "Connection" and not web_socket:
        assert builder.build().headers[name] == "x"
        return
    with pytest.raises(UnsafeHeaderError, match=f"header '{name}' is set by the client itself$"):
        builder.build()


@pytest.mark.parametrize(("body", "length"), [(None, "0"), (b"ab", "2"), (b"ab", "02")])
def test_a_length_that_is_the_bodys(body: bytes | None, length: str) -> None:
    builder = HttpRequestBuilder()
    builder.headers.add("content-length", length)
    builder.body = body
    assert builder.build().body == body


@pytest.mark.parametrize(
    ("body", "length", "message"),
    [
        (None, "5", "says 5 bytes, but the body has 0; leave the header out"),
        (b"ab", "5", "says 5 bytes, but the body has 2; leave the header out"),
        (b"ab", "0", "says 0 bytes, but the body has 2; leave the header out"),
        (b"ab", "two", "is a number of bytes, not 'two'"),
        (b"ab", "-2", "is a number of bytes, not '-2'"),
        (b"ab", "²", "is a number of bytes, not '²'"),
        (b"ab", "2, 2", "is a number of bytes, not '2, 2'"),
    ],
)
def test_a_length_that_is_not_the_bodys(body: bytes | None, length: str, message: str) -> None:
    builder = HttpRequestBuilder()
    builder.headers.add("Content-Length", length)
    builder.body = body
    with pytest.raises(UnsafeHeaderError, match=f"header 'Content-Length' {message}"):
        builder.build()


async def chunks() -> AsyncIterator[bytes]:
    yield b"ab"
    yield b"cd"


async def streamed(length: str) -> list[bytes]:
    builder = HttpRequestBuilder()
    builder.headers.add("Content-Length", length)
    builder.body = chunks()
    body = builder.build().body
    assert isinstance(body, Body)
    return [chunk async for chunk in body]


async def test_the_length_of_a_stream() -> None:
    assert await streamed("4") == [b"ab", b"cd"]
    with pytest.raises(UnsafeHeaderError, match="says 5 bytes, but the body has 4;"):
        await streamed("5")
    with pytest.raises(UnsafeHeaderError, match="says 3 bytes, but the body has 4 or more;"):
        await streamed("3")


def test_the_header_for_subprotocols_has_its_own_way() -> None:
    builder = HttpRequestBuilder()
    builder.headers.add("Sec-WebSocket-Protocol", "chat")
    with pytest.raises(UnsafeHeaderError, match=r"offer subprotocols with subprotocols=\(\.\.\.\)"):
        builder.build()


def test_a_bad_url_is_told_when_building() -> None:
    builder = HttpRequestBuilder()
    builder.url.scheme = "ftp"
    with pytest.raises(InvalidUrlError, match="scheme 'ftp'"):
        builder.build()


# --- blocks ---


@pytest.mark.parametrize("token", [None, 5, b"bytes"])
def test_a_token_is_text(token: Any) -> None:
    with pytest.raises(TypeError, match="bearer_auth takes the token as str"):
        bearer_auth(token)


def test_headers_of_blocks_are_checked_on_their_line() -> None:
    with pytest.raises(UnsafeHeaderError, match="'Authorization' has a control"):
        bearer_auth("a\nb")
    with pytest.raises(UnsafeHeaderError, match="'X-Id' has a control"):
        header("X-Id", "a\nb")
    number: Any = 5
    with pytest.raises(TypeError, match="header names and values are str"):
        header("X-Id", number)


def test_blocks_run_in_order() -> None:
    builder = HttpRequestBuilder()
    apply_blocks(
        builder,
        (
            header("A", "1"),
            header("A", "2"),
            parameter("q", True),
            parameter("q", "x y"),
            bearer_auth("one"),
            bearer_auth("two"),
        ),
    )
    request = builder.build()
    assert request.headers.fields() == [("A", "1"), ("A", "2"), ("Authorization", "Bearer two")]
    assert request.url.query == "q=true&q=x+y"


def test_bad_blocks_are_told_on_the_spot() -> None:
    with pytest.raises(UnsafeHeaderError):
        apply_blocks(HttpRequestBuilder(), (header("A", "\r\n"),))
    with pytest.raises(UnsafeHeaderError):
        apply_blocks(HttpRequestBuilder(), (bearer_auth("a\nb"),))


@pytest.mark.parametrize("wrong", ["/path", ("A", "1"), None, 5])
def test_blocks_are_functions(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a request block is a function of the HttpRequestBuilder"):
        apply_blocks(HttpRequestBuilder(), (wrong,))


def test_blocks_are_no_coroutine_functions() -> None:
    async def block(request: HttpRequestBuilder) -> None:
        request.headers.add("A", "1")

    class Awaitable:
        def __await__(self) -> Any:
            yield

    blocks: list[Any] = [block, lambda request: Awaitable()]
    for wrong in blocks:
        with pytest.raises(TypeError, match="not a coroutine function"):
            apply_blocks(HttpRequestBuilder(), (wrong,))


def test_what_a_block_returns_does_not_matter() -> None:
    ignored: Any = lambda request: 5  # noqa: E731
    apply_blocks(HttpRequestBuilder(), (ignored,))
