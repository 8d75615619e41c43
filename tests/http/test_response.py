"""Responses: bodies that are read once, streamed, decoded, or cut; and `Retry-After`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.utils import formatdate

import pytest

from ktor_client.errors import ConnectError, DeserializationError, RequestTimeoutError
from ktor_client.http import (
    BytesBody,
    Headers,
    HttpMethod,
    HttpRequest,
    HttpResponse,
    ResponseBody,
    Url,
)

REQUEST = HttpRequest(HttpMethod.Get, Url.parse("http://me:secret@h/a"))


class Streamed(ResponseBody):
    """A body in chunks that keeps book of what was done with it."""

    def __init__(self, *parts: bytes | BaseException) -> None:
        self.parts = parts
        self.given = 0
        self.closed = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, BaseException):
                raise part
            self.given += 1
            yield part

    async def close(self) -> None:
        self.closed += 1


def response(body: ResponseBody | bytes = b"", **headers: str) -> HttpResponse:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(REQUEST, 200, Headers(fields), body)


def test_what_a_response_says() -> None:
    made = HttpResponse(REQUEST, 404, Headers({"A": "1"}), reason="Not Found", http_version="2")
    assert (made.status, made.reason, made.http_version) == (404, "Not Found", "2")
    assert made.request is REQUEST
    assert repr(made) == "HttpResponse(404 GET Url('http://***@h/a'))"
    assert response().http_version == "1.1"


# --- reading ---


async def test_a_body_is_read_once_and_kept() -> None:
    body = Streamed(b"ab", b"", b"cd")
    made = response(body)
    for _ in range(2):
        assert await made.body_as_bytes() == b"abcd"
        assert await made.body_as_text() == "abcd"
        assert [chunk async for chunk in made.chunks()] == [b"abcd"]
    assert body.given == 3
    assert body.closed


async def test_a_body_that_is_here_already() -> None:
    made = response(b"xy")
    assert await made.body_as_bytes() == b"xy"
    assert [chunk async for chunk in made.chunks()] == [b"xy"]
    empty = response()
    assert await empty.body_as_bytes() == b""
    assert [chunk async for chunk in empty.chunks()] == []
    await empty.close()


async def test_bodies_of_bytes() -> None:
    assert [chunk async for chunk in BytesBody(b"ab").chunks()] == [b"ab"]
    assert [chunk async for chunk in BytesBody().chunks()] == []
    await BytesBody().close()


@pytest.mark.parametrize(
    ("content_type", "data", "text"),
    [
        ("", "é".encode(), "é"),
        ("text/plain", b"\xff", "\ufffd"),
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ('text/plain;CHARSET = "ISO-8859-1"', b"\xe9", "é"),
        ("text/plain; charset=utf-16", "é".encode("utf-16"), "é"),
        ("text/plain; charset=nonsense", "é".encode(), "é"),
        ("text/plain; charset=base64", b"YWI=", "YWI="),
        ("text/plain; charset=idna", b"\xff", "\ufffd"),
        ("text/plain; charset=undefined", b"a", "a"),
        ("text/plain; charset=", b"a", "a"),
    ],
)
async def test_text_is_decoded_by_its_charset(content_type: str, data: bytes, text: str) -> None:
    assert await response(data, Content_Type=content_type).body_as_text() == text


@dataclass
class Point:
    x: int


async def test_typed_bodies() -> None:
    made = response(Streamed(b'{"x"', b":1}"))
    assert await made.body(Point) == Point(1)
    assert await made.body(bytes) == b'{"x":1}'
    assert await made.body(str) == '{"x":1}'
    assert await made.body(dict[str, int]) == {"x": 1}
    with pytest.raises(DeserializationError, match="expected list"):
        await made.body(list[int])
    with pytest.raises(DeserializationError, match="not JSON"):
        await response(b"x").body(Point)


# --- streaming ---


async def test_a_streamed_body_is_gone() -> None:
    body = Streamed(b"ab", b"cd")
    made = response(body)
    assert [chunk async for chunk in made.chunks()] == [b"ab", b"cd"]
    assert body.closed == 1
    for _ in range(2):
        with pytest.raises(RuntimeError, match="already been streamed"):
            await made.body_as_bytes()


async def test_a_closed_response_is_not_read() -> None:
    body = Streamed(b"ab")
    made = response(body)
    await made.close()
    with pytest.raises(RuntimeError, match="inside the `async with` or `execute`"):
        await made.body_as_bytes()
    assert body.given == 0


async def test_a_stream_that_is_left_is_closed() -> None:
    body = Streamed(b"ab", b"cd")
    chunks = response(body).chunks()
    assert await anext(chunks) == b"ab"
    await chunks.aclose()
    assert (body.given, body.closed) == (1, 1)


async def test_a_stream_that_breaks_is_closed() -> None:
    body = Streamed(b"ab", ConnectError("broken"))
    made = response(body)
    with pytest.raises(ConnectError, match="broken"):
        await made.body_as_bytes()
    assert body.closed
    with pytest.raises(RuntimeError, match="already been streamed"):
        await made.body_as_text()


@pytest.mark.parametrize(
    ("limit", "kept", "given"),
    [(100, b"abcdef", 3), (6, b"abcdef", 3), (5, b"abcde", 3), (4, b"abcd", 2), (3, b"abc", 2)],
)
async def test_keeping_the_beginning(limit: int, kept: bytes, given: int) -> None:
    body = Streamed(b"ab", b"cd", b"ef")
    made = response(body)
    await made.read_up_to(limit)
    assert await made.body_as_bytes() == kept
    assert body.given == given
    assert body.closed
    await made.read_up_to(1)
    assert await made.body_as_bytes() == kept


async def test_keeping_the_beginning_of_a_stream_that_breaks() -> None:
    broken = ConnectError("broken")
    body = Streamed(b"ab", broken)
    made = response(body)
    await made.read_up_to(10)
    assert body.closed
    assert await made.body_as_bytes() == b"ab"
    assert made.body_error is broken


async def test_keeping_the_beginning_of_a_stream_that_fails_otherwise() -> None:
    body = Streamed(b"ab", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await response(body).read_up_to(10)
    assert body.closed


async def test_keeping_what_came_in_time() -> None:
    class Late(Streamed):
        async def chunks(self) -> AsyncIterator[bytes]:
            yield b"ab"
            await asyncio.get_running_loop().create_future()

    body = Late()
    made = response(body)
    await made.read_up_to(10, asyncio.timeout(0.01))
    assert body.closed
    assert await made.body_as_bytes() == b"ab"
    assert isinstance(made.body_error, RequestTimeoutError)
    assert str(made.body_error) == "the body of the 200 did not end in time"


# --- Retry-After ---


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Mon, 01 Jan 2001 00:00:00 -0000", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert response(Retry_After=value).retry_after == seconds


def test_retry_after_a_date() -> None:
    later = formatdate(time.time() + 3600, usegmt=True)
    found = response(Retry_After=later).retry_after
    assert found is not None
    assert 0 < found <= 3600
    assert response().retry_after is None


@pytest.fixture(params=["America/New_York", "Asia/Tokyo", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    "form",
    [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %d %H:%M:%S %Y",
        "%a, %d %b %Y %H:%M:%S -0000",
    ],
)
def test_each_form_of_a_date_is_in_gmt(form: str, zone: str) -> None:
    """RFC 9110 5.6.7, wherever this machine is."""
    later = time.strftime(form, time.gmtime(time.time() + 3600))
    seconds = response(Retry_After=later).retry_after
    assert seconds is not None
    assert 3000 < seconds <= 3600


# --- wrapping and discarding


async def test_a_copy_differs_in_what_is_given() -> None:
    made = response(b"text", X="y")
    twin = made.copy(status=404, reason="Gone fishing")
    assert (twin.status, twin.reason, twin.headers["x"]) == (404, "Gone fishing", "y")
    assert twin.is_made_of(made)
    assert not made.is_made_of(twin)
    assert await twin.body_as_bytes() == b"text"
    assert await made.copy(body=b"other").body_as_bytes() == b"other"


async def test_a_wrapped_body_streams_and_closes_what_it_wraps() -> None:
    class Upper(ResponseBody):
        def __init__(self, inner: ResponseBody) -> None:
            self._inner = inner

        async def chunks(self) -> AsyncIterator[bytes]:
            async for chunk in self._inner.chunks():
                yield chunk.upper()

        async def close(self) -> None:
            await self._inner.close()

    body = Streamed(b"a", b"b")
    made = response(body)
    twin = made.copy(body=Upper)
    assert await twin.body_as_bytes() == b"AB"
    assert body.closed
    with pytest.raises(RuntimeError):
        await made.body_as_bytes()
    streamed = response(Streamed(b"a", b"b"))
    assert [chunk async for chunk in streamed.chunks()] == [b"a", b"b"]
    with pytest.raises(RuntimeError, match="wrap it before"):
        streamed.copy(body=Upper)
    kept = response(Streamed(b"a", b"b"))  # as an engine keeps the body of a refused handshake
    await kept.read_up_to(100)
    assert await kept.copy(body=Upper).body_as_bytes() == b"AB"
    with pytest.raises(RuntimeError, match="wrap it before"):
        kept.copy(wire=Upper)


@pytest.mark.parametrize(
    ("parts", "headers", "read"),
    [
        ([b"a" * 1000] * 3, {}, 3),
        ([b"a" * 1000] * 100, {}, 66),
        ([b"a" * 1000] * 100, {"Content_Length": "100000"}, 0),
        ([], {}, 0),
    ],
)
async def test_a_short_rest_is_read_a_long_one_dropped(
    parts: list[bytes], headers: dict[str, str], read: int
) -> None:
    body = Streamed(*parts)
    await response(body, **headers).discard()
    assert body.given == read
    assert body.closed


async def test_who_is_cancelled_while_discarding_has_closed_it() -> None:
    body = Streamed(b"a", asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await response(body).discard()
    assert body.closed


async def test_what_breaks_while_it_is_discarded_raises_nothing() -> None:
    body = Streamed(b"a", ConnectError("broken"))
    made = response(body)
    await made.discard()
    await made.discard()
    assert body.closed
