"""The echo server's HTTP: its plain routes, and HTTP/1.1 as it reads it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ktor_client import ConnectError, HttpClient, HttpClientConfig, bearer_auth
from ktor_client.testing import EchoServer


def keep_redirects(config: HttpClientConfig) -> None:
    config.follow_redirects = False


async def text(client: HttpClient, url: str) -> str:
    return await (await client.get(url)).body_as_text()


async def test_bodies_come_back(client: HttpClient, server: EchoServer) -> None:
    async def upload() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 50_000

    url = f"{server.http_url}/echo-body"
    for body in (b"", b"hello", b"y" * 1_000_000):
        response = await client.post(url, body=body, headers={"Content-Type": "a/b"})
        assert await response.body_as_bytes() == body
        assert response.headers["content-type"] == "a/b"
    streamed = await client.put(url, body=upload())
    assert await streamed.body_as_bytes() == b"x" * 1_000_000


async def test_the_request_as_json(client: HttpClient, server: EchoServer) -> None:
    response = await client.patch(
        f"{server.http_url}/request?a=1&a=2&b=%20", headers={"X-Id": "7"}, body=b"body"
    )
    seen = await response.body(dict)
    assert (seen["method"], seen["target"], seen["body"]) == (
        "PATCH",
        "/request?a=1&a=2&b=%20",
        "body",
    )
    assert seen["parameters"] == [["a", "1"], ["a", "2"], ["b", " "]]
    assert ["X-Id", "7"] in seen["headers"]
    headers = await (await client.get(f"{server.http_url}/headers")).body(dict)
    assert headers["Host"] == [f"127.0.0.1:{server.port}"]


async def test_statuses(client: HttpClient, server: EchoServer) -> None:
    for code in (200, 201, 204, 304, 404, 418, 429, 500, 503, 599):
        response = await client.get(f"{server.http_url}/status/{code}?retry_after=3")
        assert response.status == code
        assert response.retry_after == 3
        body = await response.body_as_text()
        assert body == ("" if code in (204, 304) else f"status {code}")
    assert (await client.get(f"{server.http_url}/500")).status == 500
    for wrong in ("99", "600", "x", ""):
        assert (await client.get(f"{server.http_url}/status/{wrong}")).status == 400


async def test_head_has_no_body(client: HttpClient, server: EchoServer) -> None:
    response = await client.head(f"{server.http_url}/hello")
    assert (response.headers["content-length"], await response.body_as_bytes()) == ("26", b"")


async def test_redirects(client: HttpClient, server: EchoServer) -> None:
    assert await text(client, f"{server.http_url}/redirect/5") == "hello from the echo server"
    async with client.config(keep_redirects) as still:
        first = await still.get(f"{server.http_url}/redirect/2?status=307")
        assert (first.status, first.headers["location"]) == (307, "/redirect/1?status=307")
        last = await still.get(f"{server.http_url}/redirect?to=http://example.org/")
        assert (last.status, last.headers["location"]) == (302, "http://example.org/")


async def test_cookies(client: HttpClient, server: EchoServer) -> None:
    response = await client.get(f"{server.http_url}/cookies/set?a=1&b=2")
    assert response.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    response = await client.get(f"{server.http_url}/cookies", headers={"Cookie": "a=1"})
    assert await response.body_as_text() == "a=1"


async def test_bodies_of_many_kinds(client: HttpClient, server: EchoServer) -> None:
    assert await text(client, f"{server.http_url}/gzip?size=100000") == "x" * 100_000
    assert await text(client, f"{server.http_url}/chunks?n=30&size=20000") == "x" * 600_000
    async with client.prepare_get(f"{server.http_url}/chunks?n=0") as response:
        async for chunk in response.chunks():
            assert set(chunk) == {ord("x")}
            break


async def test_authorization(client: HttpClient, server: EchoServer) -> None:
    bearer, basic = f"{server.http_url}/auth/bearer", f"{server.http_url}/auth/basic"
    assert (await client.get(bearer)).headers["www-authenticate"] == 'Bearer realm="echo"'
    assert (await client.get(bearer, bearer_auth("invalid"))).status == 401
    assert (await client.get(bearer, bearer_auth("valid"))).status == 200
    assert (await client.get(basic)).headers["www-authenticate"] == 'Basic realm="echo"'
    assert await text(client, basic.replace("//", "//user1:Password1@")) == "Hello, user1"


async def test_what_nobody_knows_is_404(client: HttpClient, server: EchoServer) -> None:
    for path in ("/session", "/recorded", "/release", "/recorded?id=none"):
        assert (await client.get(server.http_url + path)).status == 404


async def test_counts(client: HttpClient, server: EchoServer) -> None:
    counts = await (await client.get(f"{server.http_url}/connections")).body(dict)
    assert counts == {"connections": 1, "sessions": 0}


@pytest.mark.parametrize("path", ["/drop", "/drop?how=reset", "/garbage", "/truncated"])
async def test_answers_that_are_none(client: HttpClient, server: EchoServer, path: str) -> None:
    with pytest.raises(ConnectError):
        await client.get(server.http_url + path)
    assert await text(client, f"{server.http_url}/hello") == "hello from the echo server"


async def test_silence(client: HttpClient, server: EchoServer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.get(f"{server.http_url}/silence")


# --- HTTP/1.1, byte by byte ---


@asynccontextmanager
async def connected(
    server: EchoServer,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def answers(server: EchoServer, request: bytes) -> str:
    """Send bytes; return all that comes until the server ends the connection."""
    async with connected(server) as (reader, writer):
        writer.write(request)
        return (await reader.read()).decode()


CLOSE = b"Host: x\r\nConnection: close\r\n"


async def test_pipelined_requests(server: EchoServer) -> None:
    request = b"GET /status/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /status/203 HTTP/1.1\r\n" + CLOSE + b"\r\n"
    seen = await answers(server, request % 201 + request % 202 + last)
    assert re.findall(r"HTTP/1.1 (\d+)", seen) == ["201", "202", "203"]


async def test_a_body_that_the_route_leaves_is_skipped(server: EchoServer) -> None:
    first = b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"
    last = b"GET /status/203 HTTP/1.1\r\n" + CLOSE + b"\r\n"
    seen = await answers(server, first + last)
    assert "hello from" in seen
    assert "status 203" in seen


async def test_http_1_0_ends_with_the_answer(server: EchoServer) -> None:
    seen = await answers(server, b"GET /hello HTTP/1.0\r\n\r\n")
    assert seen.startswith("HTTP/1.1 200 OK\r\n")
    assert "Connection: close" in seen


async def test_a_client_may_ask_before_it_sends(server: EchoServer) -> None:
    async with connected(server) as (reader, writer):
        expecting = b"POST /echo-body HTTP/1.1\r\n" + CLOSE + b"Expect: 100-continue\r\n"
        writer.write(expecting + b"Content-Length: 5\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await reader.read()).endswith(b"\r\n\r\nhello")


async def test_chunks_with_extensions_and_trailers(server: EchoServer) -> None:
    head = b"POST /echo-body HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    seen = await answers(server, head + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert seen.endswith("\r\n\r\nabcde")


@pytest.mark.parametrize(
    "request_",
    [
        b"not http\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"POST /echo-body HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo-body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /echo-body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    ],
    ids=repr,
)
async def test_what_is_not_http_is_400(server: EchoServer, request_: bytes) -> None:
    assert (await answers(server, request_)).startswith("HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /echo-body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST /echo-body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"GET / HTT",
        b"X: " + b"x" * 100_000,
    ],
    ids=["length", "chunk", "head", "endless head"],
)
async def test_a_request_without_its_end_has_no_answer(server: EchoServer, request_: bytes) -> None:
    async with connected(server) as (reader, writer):
        writer.write(request_)
        writer.write_eof()
        assert await reader.read() == b""


async def test_a_body_beyond_the_limit_is_413(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktor_client.testing.exchange.MAX_BODY", 1000)
    head = b"POST /echo-body HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"
    assert (await answers(server, head + b"x" * 2000)).startswith("HTTP/1.1 413 ")


async def test_an_idle_connection_is_ended(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktor_client.testing.server.IDLE_TIMEOUT", 0.01)
    assert await answers(server, b"") == ""


# --- handshakes that are none ---

HANDSHAKE = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("method", "changed", "status"),
    [
        ("GET", {"Upgrade": "h2c"}, 426),
        ("POST", {}, 405),
        ("GET", {"Connection": "keep-alive"}, 400),
        ("GET", {"Sec-WebSocket-Version": "8"}, 426),
        ("GET", {"Sec-WebSocket-Key": "short"}, 400),
        ("GET", {"Sec-WebSocket-Key": "AAAA"}, 400),
        ("GET", {"Sec-WebSocket-Extensions": "a=b=c"}, 400),
    ],
    ids=str,
)
async def test_a_handshake_that_is_none_is_refused(
    server: EchoServer, method: str, changed: dict[str, str], status: int
) -> None:
    lines = [f"{name}: {value}" for name, value in (HANDSHAKE | changed).items()]
    request = "\r\n".join([f"{method} /echo HTTP/1.1", *lines, "", ""])
    async with connected(server) as (reader, writer):
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_handshake_of_rfc_6455(server: EchoServer) -> None:
    lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    async with connected(server) as (reader, writer):
        writer.write("\r\n".join(["GET /echo HTTP/1.1", *lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        writer.write(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")  # 5.7: a masked "Hello"
        assert await reader.readexactly(7) == b"\x81\x05Hello"
        writer.write(b"\x88\x80\0\0\0\0")
        assert await reader.read() == b"\x88\x00"


async def test_the_first_extension_that_can_be_had_is_agreed(server: EchoServer) -> None:
    wide = "permessage-deflate; server_max_window_bits=99"
    offers = f"x-webkit-deflate-frame, {wide}, permessage-deflate; server_no_context_takeover"
    for offered, agreed in (
        (offers, [b"permessage-deflate; server_no_context_takeover"]),
        (wide, []),
    ):
        fields = HANDSHAKE | {"Sec-WebSocket-Extensions": offered}
        lines = [f"{name}: {value}" for name, value in fields.items()]
        async with connected(server) as (reader, writer):
            writer.write("\r\n".join(["GET /echo HTTP/1.1", *lines, "", ""]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert re.findall(rb"Sec-WebSocket-Extensions: (.*)\r", head) == agreed
            writer.write(b"\x88\x80\0\0\0\0")
            assert await reader.read() == b"\x88\x00"
