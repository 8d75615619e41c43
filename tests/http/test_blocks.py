"""Blocks of requests: what each does, and what it refuses when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from ktor_client import (
    ClientRequestError,
    HttpClient,
    HttpRequest,
    HttpRequestBuilder,
    RequestBlock,
    UnsafeHeaderError,
    accept,
    basic_auth,
    content_type,
    cookie,
    expect_success,
    timeout,
)
from ktor_client.engines import MockEngine
from ktor_client.testing import respond


def fields_of(*blocks: RequestBlock) -> list[tuple[str, str]]:
    builder = HttpRequestBuilder()
    builder.url.take_from("http://h/")
    for block in blocks:
        block(builder)
    return builder.build().headers.fields()


def test_basic_auth_is_sent_as_utf_8() -> None:
    assert fields_of(basic_auth("Aladdin", "open sesame")) == [
        ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    ]
    assert fields_of(basic_auth("test", "123\u00a3")) == [
        ("Authorization", "Basic dGVzdDoxMjPCow==")
    ]
    with pytest.raises(ValueError, match="no colon"):
        basic_auth("a:b", "c")
    with pytest.raises(UnsafeHeaderError) as caught:
        basic_auth("user", "secret\ud800")
    assert "secret" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_cookies_stand_in_one_field() -> None:
    assert fields_of(cookie("a", "1"), cookie("b", "2")) == [("Cookie", "a=1; b=2")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b", "1"),
        ("", "1"),
        ("a", "1;2"),
        ("a", "1 2"),
        ("a", "\u00e9"),
        ("a", "1\r\n2"),
        ("a", '"'),
    ],
)
def test_what_is_no_cookie(name: str, value: str) -> None:
    with pytest.raises(UnsafeHeaderError):
        cookie(name, value)


def test_media_types() -> None:
    assert fields_of(accept("a/b"), accept("c/d"), content_type("e/f"), content_type("g/h")) == [
        ("Accept", "a/b"),
        ("Accept", "c/d"),
        ("Content-Type", "g/h"),
    ]
    with pytest.raises(UnsafeHeaderError):
        accept("a\nb")


async def test_expect_success_of_one_request() -> None:
    def refuse(request: HttpRequest) -> Any:
        return respond(status=404)

    async with HttpClient(MockEngine(refuse)) as client:
        assert (await client.get("http://h/")).status == 404
        with pytest.raises(ClientRequestError):
            await client.get("http://h/", expect_success())
    async with HttpClient(MockEngine(refuse), expect_success=True) as client:
        assert (await client.get("http://h/", expect_success(False))).status == 404
        with pytest.raises(ClientRequestError):
            await client.get("http://h/")
    wrong: Any = "yes"
    with pytest.raises(TypeError, match="True or False"):
        expect_success(wrong)


def test_limits_are_checked_when_the_block_is_made() -> None:
    with pytest.raises(ValueError, match="connect must be a positive"):
        timeout(connect=0)
    with pytest.raises(TypeError, match="socket takes seconds"):
        timeout(socket="3")  # type: ignore[arg-type]  # pyright: ignore  # the mistake


async def test_the_last_of_several_hosts_is_sent() -> None:
    engine = MockEngine(lambda request: b"")
    async with HttpClient(engine) as client:
        response = await client.get("http://h/", headers=[("Host", "a"), ("X", "y"), ("host", "b")])
        again = response.request.copy(headers=response.request.headers)
    assert response.request.headers.get_all("host") == ["b"]
    assert again.headers.get_all("host") == ["b"]
