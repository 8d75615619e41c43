"""Hosts and URLs as they leave: looked up, named in Host, shown to proxies, checked by TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import aiohttp
import anyio
import httpx
import pytest
from aiohttp.abc import AbstractResolver

from ktor_client import HttpClient, InvalidUrlError, UnsafeHeaderError, install
from ktor_client.engine import HttpClientEngine
from ktor_client.engine.registry import EngineFactory
from ktor_client.engine.resolver import Address, Resolver
from ktor_client.engines import AiohttpEngine, HttpxEngine
from ktor_client.plugins import DefaultRequest, WebSockets
from tests.support.certificates import client_context, server_context
from tests.support.proxy_server import http_proxy
from tests.support.raw_server import Peer, close_frame, raw_server

OTHERS = [
    ("faß.de", "xn--fa-hia.de"),
    ("ΒΌΛΟΣ.com", "xn--nxasmq6b.com"),
    ("ａ。example", "a.example"),
]


class Names:
    """The hosts that were looked up; each is 127.0.0.1."""

    def __init__(self) -> None:
        self.asked: list[str] = []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()

    async def addresses(_: Resolver, host: str, port: int) -> list[Address]:
        names.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", port))]

    monkeypatch.setattr(Resolver, "addresses", addresses)
    connect = anyio.connect_tcp  # for a client of the caller's

    async def connect_here(remote_host: str, *more: Any, **named: Any) -> Any:
        return await connect("127.0.0.1", *more, **named)

    monkeypatch.setattr(anyio, "connect_tcp", connect_here)
    return names


class Heard:
    """Request lines and hosts that a server has got."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.hosts: list[str] = []
        self.location = ""

    async def __call__(self, peer: Peer) -> None:
        """Answer one request, or open a WebSocket and close it."""
        try:
            await peer.read_request()
        except (asyncio.IncompleteReadError, OSError):
            return
        self.lines.append(peer.request.split(b"\r\n")[0].decode())
        self.hosts.append(peer.headers["host"])
        assert peer.request.lower().count(b"\r\nhost:") == 1
        if "upgrade" in peer.headers:
            await peer.send(peer.switch(trailing=close_frame(1000)))
            await peer.read_frame()  # and be the first to leave
        elif "/go" in self.lines[-1]:
            await peer.send(
                b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ",
                self.location.encode() + b"\r\n\r\n",
            )
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


async def ask(client: HttpClient, url: str) -> None:
    """Send a request or open a WebSocket, and come to its end."""
    if url.startswith("ws"):
        await (await client.web_socket_session(url)).wait_closed()
    else:
        assert (await client.get(url)).status == 200


# --- names


@pytest.mark.parametrize(("name", "expected"), OTHERS)
async def test_names_of_other_scripts(
    engine: EngineFactory, names: Names, name: str, expected: str
) -> None:
    heard = Heard()
    async with raw_server(heard) as server, HttpClient(engine, install(WebSockets)) as client:
        await ask(client, f"http://{name}:{server.port}/")
        await ask(client, f"ws://{name}:{server.port}/")
        async with client.web_socket(host=name, port=server.port):
            pass
        heard.location = f"http://{name}:{server.port}/"
        await ask(client, f"http://127.0.0.1:{server.port}/go")
        default = install(DefaultRequest, host=name, port=server.port)
        async with client.config(default) as other:
            assert (await other.get("/")).status == 200
    assert set(names.asked) == {expected, "127.0.0.1"}
    expected_hosts = [f"{expected}:{server.port}"] * 5
    assert [host for host in heard.hosts if not host.startswith("127")] == expected_hosts


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_the_name_of_a_proxy_and_through_one(
    engine: EngineFactory, names: Names, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "FAẞ.de., bücher.example")
    async with http_proxy(answer=b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as log:
        port = log.url.rpartition(":")[2]
        monkeypatch.setenv("HTTP_PROXY", f"http://prüfer.example:{port}")
        heard = Heard()
        async with (
            raw_server(heard) as server,
            HttpClient(partial(engine, trust_env=True), install(WebSockets)) as client,
        ):
            with pytest.raises((AssertionError, OSError)):
                await ask(client, f"{scheme}://faß.example/")
            for name in ("faß.de", "www.bücher.example", "faß.de."):
                await ask(client, f"{scheme}://{name}:{server.port}/")
    assert names.asked == [
        "xn--prfer-lva.example",
        "xn--fa-hia.de",
        "www.xn--bcher-kva.example",
        "xn--fa-hia.de.",
    ]
    head = log.heads[0]
    assert b"xn--fa-hia.example" in head.split(b"\r\n")[0]
    assert b"Host: xn--fa-hia.example" in head


ENCODED = [
    "trusted.org＠127.0.0.1",
    "127.0.0.1／x",
    "127.0.0.1？",
    "127.0.0.1＃",
    "127.0.0.1：1",
    "℀",
]


@pytest.fixture(params=["own", "adopted"])
async def made(
    request: pytest.FixtureRequest, engine: EngineFactory
) -> AsyncIterator[HttpClientEngine]:
    """An engine with a session of its own, or around the caller's."""
    async with AsyncExitStack() as stack:
        adopting: dict[Any, Any] = {}
        if request.param == "adopted" and engine is AiohttpEngine:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=client_context(), resolver=_Here())
            )
            adopting["session"] = await stack.enter_async_context(session)
        elif request.param == "adopted" and engine is HttpxEngine:
            client = httpx.AsyncClient(verify=client_context(), trust_env=False)
            adopting["client"] = await stack.enter_async_context(client)
        else:
            adopting["ssl_context"] = client_context()
        made = engine(**adopting)
        stack.push_async_callback(made.close)
        yield made


class _Here(AbstractResolver):
    """Knows each host of a caller's session: it is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[Any]:
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("host", ENCODED)
async def test_a_host_that_would_become_two(made: HttpClientEngine, host: str) -> None:
    heard = Heard()
    async with raw_server(heard) as server, HttpClient(made, install(WebSockets)) as client:
        with pytest.raises(InvalidUrlError):
            client.web_socket(host=host, port=server.port, path="/secret")
        with pytest.raises(InvalidUrlError):
            await client.get(f"http://{host}:{server.port}/secret")
        default = install(DefaultRequest, host=host, port=server.port)
        async with client.config(default) as other:
            with pytest.raises(InvalidUrlError):
                await other.get("/secret")
    assert not heard.lines


# --- what is the machine's own: zones; what is the resolver's: the last dot


@pytest.mark.parametrize("zone", ["%1", "%251"])
@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_zone_stays_here(made: HttpClientEngine, scheme: str, zone: str) -> None:
    """RFC 6874 4: it says by which interface, and to nobody else."""
    heard = Heard()
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(heard(Peer(reader, writer)))
        served.add(task)
        await task
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpClient(made, install(WebSockets)) as client:
        await ask(client, f"{scheme}://[::1{zone}]:{port}/")
        await ask(client, f"{scheme}://[::1]:{port}/")
        if scheme == "http":
            heard.location = f"http://[::1{zone}]:{port}/"
            await ask(client, f"http://[::1]:{port}/go")
    await asyncio.wait(served)
    assert set(heard.hosts) == {f"[::1]:{port}"}


@pytest.mark.parametrize("scheme", ["http", "ws", "https"])
async def test_a_zone_and_a_proxy(engine: EngineFactory, scheme: str) -> None:
    async with http_proxy(answer=b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as log:
        through = partial(engine, proxy=log.url)
        async with HttpClient(through, install(WebSockets)) as client:
            with pytest.raises((AssertionError, OSError)):
                await ask(client, f"{scheme}://[fe80::1%25eth0]:81/a")
    [head] = log.heads
    target = "http://[fe80::1]:81/a" if scheme == "http" else "[fe80::1]:81"
    assert head.split()[1].decode() == target
    assert b"Host: [fe80::1]:81\r\n" in head
    assert b"eth0" not in head


@pytest.mark.parametrize("scheme", ["http", "ws", "https", "wss"])
async def test_a_name_from_the_root(made: HttpClientEngine, names: Names, scheme: str) -> None:
    """Host is as in the URL (RFC 9110 7.2); certificates are issued without the dot."""
    heard = Heard()
    tls = server_context("example.org") if scheme in ("https", "wss") else None
    async with (
        raw_server(heard, tls=tls) as server,
        HttpClient(made, install(WebSockets)) as client,
    ):
        await ask(client, f"{scheme}://example.org.:{server.port}/")
    assert heard.hosts == [f"example.org.:{server.port}"]


async def test_a_host_of_the_callers_own_choice(made: HttpClientEngine, names: Names) -> None:
    heard = Heard()
    async with raw_server(heard) as server, HttpClient(made, install(WebSockets)) as client:
        url = f"http://example.org.:{server.port}/"
        assert (await client.get(url, headers={"host": "mine"})).status == 200
    assert heard.hosts == ["mine"]


# --- the target


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("target", ["/x?", "/?", "/x??", "/x?a=", "/x"])
async def test_an_empty_query_is_sent(made: HttpClientEngine, scheme: str, target: str) -> None:
    heard = Heard()
    async with raw_server(heard) as server, HttpClient(made, install(WebSockets)) as client:
        await ask(client, f"{scheme}://127.0.0.1:{server.port}{target}")
    assert heard.lines == [f"GET {target} HTTP/1.1"]


async def test_an_empty_query_after_a_redirect(made: HttpClientEngine) -> None:
    heard = Heard()
    async with raw_server(heard) as server, HttpClient(made) as client:
        heard.location = "/x?"
        response = await client.get(f"http://127.0.0.1:{server.port}/go")
    assert heard.lines[-1] == "GET /x? HTTP/1.1"
    assert response.request.url.target == "/x?"


async def test_an_empty_query_through_a_proxy(engine: EngineFactory) -> None:
    async with http_proxy(answer=b"HTTP/1.1 204 Ok\r\n\r\n") as log:
        async with HttpClient(partial(engine, proxy=log.url)) as client:
            await client.get("http://example.org:81/x?")
    assert log.heads[0].split()[1] == b"http://example.org:81/x?"


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_lone_surrogates_are_refused_before_any_byte(
    made: HttpClientEngine, scheme: str
) -> None:
    wrong = "\ud800"
    heard = Heard()
    async with raw_server(heard) as server, HttpClient(made, install(WebSockets)) as client:
        url = f"{scheme}://127.0.0.1:{server.port}/"
        for text in (url + wrong, f"{url}?a={wrong}", f"{scheme}://{wrong}/", f"{url}#{wrong}"):
            with pytest.raises(InvalidUrlError):
                await ask(client, text)
        call = client.web_socket_session if scheme == "ws" else client.get
        with pytest.raises(InvalidUrlError):
            await call(url, params={"a": wrong})
        with pytest.raises(InvalidUrlError):
            await call(url, params={wrong: "a"})
        with pytest.raises(InvalidUrlError):
            await call(url, lambda request: setattr(request.url, "path", f"/{wrong}"))
        with pytest.raises(InvalidUrlError):
            await call(url, lambda request: setattr(request.url, "user", wrong))
        for field in ({"X-Id": wrong}, {wrong: "1"}):
            with pytest.raises(UnsafeHeaderError):
                await call(url, headers=field)
    assert not heard.lines
