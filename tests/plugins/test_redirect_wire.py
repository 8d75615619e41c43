"""Redirects on real connections: what is asked, how many connections they cost, what layers see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from ktor_client import (
    HttpClient,
    HttpRequest,
    HttpResponse,
    RedirectError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.config import Block
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import HttpRedirect, PluginScope, Send, WebSockets, client_plugin
from tests.support.raw_server import Peer, close_frame, raw_server

DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Site:
    """Redirects what begins with /r, accepts handshakes, answers the rest."""

    def __init__(self, location: str, status: int = 302, body: bytes = b"moved here") -> None:
        length = f"Content-Length: {len(body)}\r\n"
        self.moved = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n{length}\r\n".encode()
        self.body = body
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.url = ""

    @property
    def targets(self) -> list[str]:
        return [head.split(b" ")[1].decode() for head in self.heads]

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        try:
            while True:
                await peer.read_request()
                self.heads.append(peer.request)
                length = int(peer.headers.get("content-length", "0"))
                if peer.headers.pop("expect", ""):
                    await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.bodies.append(await peer.reader.readexactly(length))
                peer.headers.pop("content-length", None)
                if self.targets[-1].startswith("/r"):
                    await peer.send(self.moved, self.body)
                elif "upgrade" in peer.headers:
                    await peer.send(peer.switch())
                    await peer.read_close()
                    await peer.send(close_frame(1000))
                    return
                else:
                    await peer.send(DONE)
        except (asyncio.IncompleteReadError, OSError):
            return


@asynccontextmanager
async def client_of(
    engine: EngineFactory, site: Site, *blocks: Block
) -> AsyncGenerator[HttpClient]:
    async with asyncio.timeout(20), raw_server(site) as server:
        site.url = server.url.replace("ws", "http", 1)
        async with HttpClient(engine, *blocks, install(WebSockets)) as client:
            yield client


@pytest.mark.parametrize(
    ("location", "asked"),
    [("/a b", "/a%20b"), ("/a?b=c d e", "/a?b=c%20d%20e"), (" /a ", "/a"), ("a b/c", "/a%20b/c")],
)
async def test_a_blank_is_followed(engine: EngineFactory, location: str, asked: str) -> None:
    async with client_of(engine, site := Site(location)) as client:
        await client.get(f"{site.url}r")
        async with client.web_socket(f"{site.url}r"):
            pass
    assert site.targets == ["/r", asked] * 2


async def test_several_locations(engine: EngineFactory) -> None:
    """Equal ones are one; of others nobody can say which was meant."""
    async with client_of(engine, site := Site("/a\r\nLocation: /a")) as client:
        await client.get(f"{site.url}r")
        async with client.web_socket(f"{site.url}r"):
            pass
    assert site.targets == ["/r", "/a"] * 2
    async with client_of(engine, site := Site("/a\r\nLocation: /b")) as client:
        for _ in range(2):
            with pytest.raises(RedirectError, match="several Location fields that differ"):
                await client.get(f"{site.url}r")
            with pytest.raises(RedirectError, match="several Location fields that differ"):
                await client.web_socket_session(f"{site.url}r")
    assert site.targets == ["/r"] * 4


async def test_what_is_said_of_a_body_goes_with_it(engine: EngineFactory) -> None:
    said = {"Content-Type": "a/b", "Content-MD5": "c", "Digest": "d", "Expect": "100-continue"}
    for status, is_kept in ((302, False), (303, False), (307, True), (308, True)):
        async with client_of(engine, site := Site("/done", status)) as client:
            await client.post(f"{site.url}r", body=b"hello", headers={"X-Id": "1", **said})
        first, last = (head.lower() for head in site.heads)
        for name in ("content-length", *said):
            assert f"\r\n{name.lower()}: ".encode() in first
            assert (f"\r\n{name.lower()}: ".encode() in last) is is_kept, name
        assert b"\r\nx-id: 1\r\n" in last


@pytest.mark.parametrize("location", ["ftp://x/", "/r", "/a\r\nLocation: /b"])
async def test_an_error_has_the_body_of_the_redirect(engine: EngineFactory, location: str) -> None:
    none = install(HttpRedirect, max_redirects=0)
    async with client_of(engine, site := Site(location), none) as client:
        for _ in range(2):
            with pytest.raises(RedirectError) as caught:
                await client.get(f"{site.url}r")
            assert await caught.value.response.body_as_text() == "moved here"
    assert site.connections == 1


async def test_an_error_does_not_wait_for_the_body_of_the_redirect(engine: EngineFactory) -> None:
    async with client_of(engine, site := Site("ftp://x/")) as client:
        site.moved = site.moved.replace(b"Content-Length: 10", b"Content-Length: 11")
        with pytest.raises(RedirectError) as caught:
            await client.get(f"{site.url}r")
        assert await caught.value.response.body_as_text() == "moved here"
        assert "did not end in time" in str(caught.value.response.body_error)


async def test_a_request_does_not_become_a_web_socket(engine: EngineFactory) -> None:
    for location in ("ws://127.0.0.1:9/x", "wss://127.0.0.1:9/x"):
        async with client_of(engine, site := Site(location)) as client:
            with pytest.raises(RedirectError, match="does not become a WebSocket") as caught:
                await client.get(f"{site.url}r?token=s3cret")
            assert caught.value.response.status == 302
            assert "s3cret" not in str(caught.value)
        assert site.targets == ["/r?token=s3cret"]


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_handshake_stays_one(engine: EngineFactory, scheme: str) -> None:
    site = Site("")
    async with client_of(engine, site) as client:
        location = f"{site.url.replace('http', scheme, 1)}there"
        site.moved = Site(location).moved
        async with client.web_socket(f"{site.url}r") as session:
            assert session.call.request.url.path == "/there"
    assert site.targets == ["/r", "/there"]


@pytest.mark.parametrize("body", [b"", b"moved here" * 100, b"x" * 60_000])
async def test_redirects_on_one_origin_use_one_connection(
    engine: EngineFactory, body: bytes
) -> None:
    async with client_of(engine, site := Site("/done", body=body)) as client:
        for _ in range(10):
            assert (await client.get(f"{site.url}r")).status == 200
    assert (site.connections, len(site.heads)) == (1, 20)


async def test_a_long_body_of_a_redirect_is_not_read(engine: EngineFactory) -> None:
    async with client_of(engine, site := Site("/done", body=b"x" * 3_000_000)) as client:
        assert (await client.get(f"{site.url}r")).status == 200
    assert site.connections == 2


@client_plugin
def Seeing(scope: PluginScope, *, seen: list[int]) -> None:
    async def layer(request: HttpRequest, send: Send) -> HttpResponse:
        response = await send(request)
        seen.append(response.status)
        return response

    scope.on_send(layer)


ORDERS: list[Callable[[list[int]], list[Block]]] = [
    lambda seen: [install(Seeing, seen=seen)],
    lambda seen: [install(HttpRedirect, max_redirects=5), install(Seeing, seen=seen)],
    lambda seen: [install(Seeing, seen=seen), install(HttpRedirect, max_redirects=5)],
]


@pytest.mark.parametrize("order", ORDERS)
async def test_a_layer_sees_each_hop_wherever_redirects_are_installed(
    engine: EngineFactory, order: Callable[[list[int]], list[Block]]
) -> None:
    seen: list[int] = []
    async with client_of(engine, site := Site("/done"), *order(seen)) as client:
        await client.get(f"{site.url}r")
        async with client.web_socket(f"{site.url}r"):
            pass
    assert seen == [302, 200, 302, 101]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
async def test_what_is_sent_again(engine: EngineFactory, status: int, method: str) -> None:
    body = None if method == "HEAD" else b"data"
    site = Site("/done", status, body=b"")
    async with client_of(engine, site) as client:
        await client.request(method, f"{site.url}r", body=body)
    is_kept = status in (307, 308) or method == "HEAD"
    last = site.heads[-1].split(b" ")[0].decode()
    assert (last, site.bodies[-1]) == (
        method if is_kept else "GET",
        body or b"" if is_kept else b"",
    )
    assert (b"content-type" in site.heads[-1].lower()) == (b"content-type" in site.heads[0].lower())


async def test_one_host_is_on_the_wire(engine: EngineFactory) -> None:
    async with client_of(engine, site := Site("/done")) as client:
        headers = [("Host", "a.example"), ("host", "b.example")]
        await client.get(site.url, headers=headers)
        async with client.web_socket(site.url, headers=headers):
            pass
        await client.get(f"{site.url}r", headers=headers)
    for head in site.heads:
        lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"host:")]
        assert [line.partition(b":")[2].strip() for line in lines] == [b"b.example"]


async def test_too_many_hops_of_a_handshake(engine: EngineFactory) -> None:
    async with client_of(engine, site := Site("/r")) as client:
        with pytest.raises(RedirectError, match="more than 20 redirects"):
            await client.web_socket_session(f"{site.url}r")
    async with client_of(engine, site := Site("/r")) as client:
        still = HttpClient(client.engine, install(WebSockets), follow_redirects=False)
        with pytest.raises(WebSocketHandshakeError, match="was 302"):
            await still.web_socket_session(f"{site.url}r")
        await still.close()
    assert len(site.heads) == 1
