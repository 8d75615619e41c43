"""Proxies: tunnels for every WebSocket and https, absolute form for plain HTTP; never in clear."""

from __future__ import annotations

import asyncio
import functools
import ssl
import traceback
from collections.abc import AsyncIterator

import pytest

from ktor_client import Body, HttpClient
from ktor_client.engine.registry import EngineFactory
from ktor_client.engine.resolver import Address, Resolver
from ktor_client.errors import ConnectTimeoutError, ProxyError, TlsError
from ktor_client.frames import TextFrame
from ktor_client.testing import echo_server
from tests.support.certificates import client_context, server_context
from tests.support.proxy_server import http_proxy, socks_proxy
from tests.support.raw_server import TEXT, Peer, frame, raw_server
from tests.support.receiver import get, open_link, start

TLS_RECORD = b"\x16\x03"
"""How a TLS handshake begins on the wire."""


async def serve(peer: Peer) -> None:
    """Answer a handshake with a 101 and a message, a request with its own head."""
    await peer.read_request()
    if "upgrade" in peer.headers:
        await peer.send(peer.switch(trailing=frame(TEXT, b"hi")))
        await peer.read_eof()
    else:
        size = str(len(peer.request)).encode()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: " + size + b"\r\n\r\n", peer.request)


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("credentials", [None, "us er:p@ss"])
async def test_a_web_socket_through_an_http_proxy(
    engine: EngineFactory, tls: bool, credentials: str | None
) -> None:
    context = server_context() if tls else None
    async with raw_server(serve, tls=context) as server, http_proxy(credentials=credentials) as log:
        url = log.url.replace("us er:p@ss", "us%20er:p%40ss")
        client = engine(proxy=url, ssl_context=client_context(), limit=1)
        for _ in range(2):
            receiver = start((await open_link(client, server.url)).link)
            assert await receiver.next() == TextFrame("hi")
        await client.close()
    target = f"127.0.0.1:{server.port}"
    assert len(log.heads) == len(log.tunnelled) == 2
    for head in log.heads:
        assert head.startswith(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode())
        assert (b"Proxy-Authorization" in head) == (credentials is not None)
    for seen in log.tunnelled:
        if tls:
            assert seen.startswith(TLS_RECORD)
            assert b"GET" not in seen
        else:
            assert seen.startswith(b"GET / HTTP/1.1\r\n")
            assert b"roxy" not in seen


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("credentials", [None, "user:pass"])
async def test_a_web_socket_through_a_socks_proxy(
    engine: EngineFactory, tls: bool, credentials: str | None
) -> None:
    context = server_context() if tls else None
    async with (
        raw_server(serve, tls=context) as server,
        socks_proxy(credentials=credentials) as log,
    ):
        client = engine(proxy=log.url, ssl_context=client_context())
        receiver = start((await open_link(client, server.url)).link)
        assert await receiver.next() == TextFrame("hi")
        await client.close()
    assert log.heads == [b"\x01\x7f\x00\x00\x01"]
    assert log.tunnelled[0].startswith(TLS_RECORD if tls else b"GET / HTTP/1.1\r\n")


async def test_a_socks_proxy_resolves_the_name(engine: EngineFactory) -> None:
    async with raw_server(serve) as server, socks_proxy() as log:
        client = engine(proxy=log.url.replace("socks5", "socks5h"))
        receiver = start((await open_link(client, f"ws://no.such.name:{server.port}/")).link)
        assert await receiver.next() == TextFrame("hi")
        await client.close()
    assert log.heads == [b"\x03no.such.name"]


async def test_plain_http_goes_in_absolute_form(engine: EngineFactory) -> None:
    async with raw_server(serve) as server, http_proxy(credentials="user:pass") as log:
        client = engine(proxy=log.url)
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        seen = await response.body_as_bytes()
        await client.close()
    assert log.heads[0].startswith(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n".encode())
    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in seen
    assert log.tunnelled == [bytearray()]


@pytest.mark.parametrize("login", ["", "user:pass@"])
async def test_uploads_in_absolute_form(engine: EngineFactory, login: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    credentials = login.removesuffix("@") or None
    async with echo_server() as server, http_proxy(credentials=credentials) as log:
        async with HttpClient(functools.partial(engine, proxy=log.url)) as client:
            for body in (b"one two", b"x" * 100_000, pieces(), Body(pieces, 7)):
                content = body if isinstance(body, bytes) else b"one two"
                response = await client.post(f"{server.http_url}/echo-body", body=body)
                assert (response.status, await response.body_as_bytes()) == (200, content)
    assert all(head.startswith(b"POST http://") for head in log.heads)


@pytest.mark.parametrize("kind", ["http", "socks"])
async def test_https_goes_through_a_tunnel(engine: EngineFactory, kind: str) -> None:
    proxy = http_proxy() if kind == "http" else socks_proxy()
    async with raw_server(serve, tls=server_context()) as server, proxy as log:
        client = engine(proxy=log.url, ssl_context=client_context())
        response = await client.execute(get(f"https://127.0.0.1:{server.port}/"))
        assert (await response.body_as_bytes()).startswith(b"GET / HTTP/1.1\r\n")
        await client.close()
    assert log.tunnelled[0].startswith(TLS_RECORD)


async def test_plain_http_through_a_socks_proxy(engine: EngineFactory) -> None:
    async with raw_server(serve) as server, socks_proxy() as log:
        client = engine(proxy=log.url)
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert (await response.body_as_bytes()).startswith(b"GET / HTTP/1.1\r\n")
        await client.close()
    assert log.tunnelled[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
async def test_a_proxy_behind_tls(engine: EngineFactory, scheme: str) -> None:
    """TLS to the proxy, and for wss and https TLS inside of it."""
    inner = server_context() if scheme in ("wss", "https") else None
    async with raw_server(serve, tls=inner) as server, http_proxy(tls=server_context()) as log:
        client = engine(proxy=log.url, ssl_context=client_context())
        url = f"{scheme}://127.0.0.1:{server.port}/"
        if scheme in ("ws", "wss"):
            receiver = start((await open_link(client, url)).link)
            assert await receiver.next() == TextFrame("hi")
        else:
            response = await client.execute(get(url))
            assert b"Host: 127.0.0.1" in await response.body_as_bytes()
        await client.close()
    assert log.heads[0].startswith(b"GET http://" if scheme == "http" else b"CONNECT 127.0.0.1")
    if inner is not None:
        assert log.tunnelled[0].startswith(TLS_RECORD)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 403 Not you\r\n\r\n", "403 Not you"),
        (b"HTTP/1.1 407 Who\r\n\r\n", "407 Who; it wants a user and a password"),
        (
            b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest realm=x, nonce=y\r\n\r\n",
            "407 Who; it wants a login by Digest, and only Basic is known here",
        ),
        (b"HTTP/1.1 502\r\nX: y\r\n\r\n", "with 502"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200", "closed the connection"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n", "its head has more than 64 KiB"),
    ],
)
async def test_no_tunnel(engine: EngineFactory, scheme: str, answer: bytes, text: str) -> None:
    async with http_proxy(answer=answer) as log:
        client = engine(proxy=log.url)
        with pytest.raises(ProxyError, match=text) as caught:
            await open_link(client, f"{scheme}://example.org/?token=s3cret")
        await client.close()
    message = str(caught.value)
    assert message.startswith(type(client).__name__)
    assert log.url in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("reply", "answer", "text"),
    [
        (2, None, "not allowed by ruleset"),
        (5, None, "connection refused"),
        (99, None, "SOCKS5 reply 99"),
        (0, b"\x04\x00", "does not speak SOCKS5"),
        (0, b"\x05\x01", "another login"),
        (0, b"\x05\x02", "wants a user and a password"),
        (0, b"\x05", "closed the connection"),
    ],
)
async def test_no_socks(engine: EngineFactory, reply: int, answer: bytes | None, text: str) -> None:
    async with socks_proxy(reply=reply, answer=answer) as log:
        client = engine(proxy=log.url)
        with pytest.raises(ProxyError, match=text):
            await open_link(client, "ws://example.org/")
        with pytest.raises(ProxyError, match=text):
            await client.execute(get("http://example.org/"))
        await client.close()


async def test_wrong_credentials(engine: EngineFactory) -> None:
    async with (
        http_proxy(credentials="user:right") as http,
        socks_proxy(credentials="user:right") as socks,
    ):
        refused = r"407 .*; it refused the user and the password of the proxy URL$"
        for log, text in ((http, refused), (socks, "refused the user or the password")):
            client = engine(proxy=log.url.replace("right", "wr0ng"))
            with pytest.raises(ProxyError, match=text) as caught:
                await open_link(client, "ws://example.org/")
            assert "wr0ng" not in str(caught.value)
            assert "wr0ng" not in repr(client)
            await client.close()
        client = engine(proxy=socks.url.replace("user:right@", ""))
        with pytest.raises(ProxyError, match="wants a user and a password"):
            await open_link(client, "ws://example.org/")
        await client.close()


async def test_a_proxy_that_takes_no_login_at_all(engine: EngineFactory) -> None:
    async with socks_proxy(answer=b"\x05\xff") as log:
        client = engine(proxy=log.url.replace("://", "://user:s3cret@"))
        with pytest.raises(ProxyError, match="it refused the user and the password") as caught:
            await open_link(client, "ws://example.org/")
        assert "s3cret" not in str(caught.value)
        await client.close()


@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_nobody_listens_there(engine: EngineFactory, scheme: str, kind: str) -> None:
    async with http_proxy() as log:
        port = log.url.rpartition(":")[2]
    client = engine(proxy=f"{kind}://user:s3cret@127.0.0.1:{port}")
    with pytest.raises(ProxyError, match=r"127\.0\.0\.1") as caught:
        if scheme in ("ws", "wss"):
            await open_link(client, f"{scheme}://example.org/")
        else:
            await client.execute(get(f"{scheme}://example.org/"))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is not None
    await client.close()


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_proxy_whose_name_does_not_resolve(engine: EngineFactory, scheme: str) -> None:
    client = engine(proxy="http://user:s3cret@nobody.invalid:3128")
    url = f"{scheme}://example.org/"
    with pytest.raises(ProxyError, match=r"nobody\.invalid:3128") as caught:
        await (client.execute(get(url)) if scheme == "http" else open_link(client, url))
    assert isinstance(caught.value.__cause__, OSError)
    assert "s3cret" not in str(caught.value)
    await client.close()


async def test_the_server_behind_the_tunnel_is_not_trusted(engine: EngineFactory) -> None:
    async with raw_server(serve, tls=server_context()) as server, http_proxy() as log:
        client = engine(proxy=log.url, ssl_context=ssl.create_default_context())
        with pytest.raises(TlsError, match=f"certificate of 127.0.0.1:{server.port}"):
            await open_link(client, server.url)
        await client.close()
    assert log.tunnelled[0].startswith(TLS_RECORD)


@pytest.mark.parametrize("scheme", ["ws", "wss", "https"])
async def test_bytes_behind_the_answer_are_refused(engine: EngineFactory, scheme: str) -> None:
    """What a proxy adds to its answer is not taken for the server's."""
    stay = asyncio.Event()

    async def adds(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Gotcha\r\n\r\n")
        await stay.wait()

    async with raw_server(adds) as server, asyncio.timeout(20):
        client = engine(
            proxy=f"http://127.0.0.1:{server.port}",
            ssl_context=client_context(),
            connect_timeout=60,
        )
        url = f"{scheme}://example.org/"
        with pytest.raises(ProxyError, match="it sent more than its answer"):
            await (client.execute(get(url)) if scheme == "https" else open_link(client, url))
        await client.close()
        stay.set()


async def test_a_silent_proxy(engine: EngineFactory) -> None:
    async def silent(peer: Peer) -> None:
        await peer.read_eof()

    async with raw_server(silent) as server, asyncio.timeout(20):
        client = engine(proxy=f"http://127.0.0.1:{server.port}", connect_timeout=0.05)
        with pytest.raises(ConnectTimeoutError, match=r"example\.org:80 within 0\.05 s"):
            await open_link(client, "ws://example.org/")
        await server.finished.wait()
        await client.close()


@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
async def test_proxies_of_the_environment(
    engine: EngineFactory, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    tls = server_context() if scheme in ("wss", "https") else None
    async with raw_server(serve, tls=tls) as server, http_proxy() as right, http_proxy() as wrong:
        names = ["HTTP_PROXY", "HTTPS_PROXY"]
        monkeypatch.setenv(names[tls is not None], right.url)
        monkeypatch.setenv(names[tls is None], wrong.url)

        async def once(**options: object) -> None:
            client = engine(ssl_context=client_context(), **options)
            url = f"{scheme}://127.0.0.1:{server.port}/"
            if scheme in ("ws", "wss"):
                receiver = start((await open_link(client, url)).link)
                assert await receiver.next() == TextFrame("hi")
            else:
                await (await client.execute(get(url))).body_as_bytes()
            await client.close()

        await once()
        assert (len(right.heads), len(wrong.heads)) == (0, 0)
        await once(trust_env=True)
        assert (len(right.heads), len(wrong.heads)) == (1, 0)
        monkeypatch.setenv("NO_PROXY", "localhost, 127.0.0.0/8")
        await once(trust_env=True)
        assert (len(right.heads), len(wrong.heads)) == (1, 0)
    assert right.heads[0].startswith(b"GET http://" if scheme == "http" else b"CONNECT ")


async def test_a_wrong_proxy_in_the_environment(
    engine: EngineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "gopher://u:s3cret@host")
    monkeypatch.delenv("no_proxy", raising=False)
    client = engine(trust_env=True)
    for call in (
        open_link(client, "ws://example.org/"),
        client.execute(get("http://example.org/")),
    ):
        with pytest.raises(ProxyError, match="proxy of the environment") as caught:
            await call
        assert "s3cret" not in str(caught.value)
    await client.close()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", ["not a url", "http://user:s3cret/x@proxy:3128", "s3cret://h"])
async def test_a_proxy_that_is_no_url(
    engine: EngineFactory, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """It is told as that, not as a name that does not resolve; nothing is looked up."""
    looked_up: list[str] = []

    async def addresses(_: Resolver, host: str, port: int) -> list[Address]:
        looked_up.append(host)
        raise OSError

    monkeypatch.setattr(Resolver, "addresses", addresses)
    for other in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    client = engine(trust_env=True)
    for call in (
        open_link(client, "ws://example.org/"),
        client.execute(get("http://example.org/")),
    ):
        with pytest.raises(ProxyError, match=f"variable {name} does not hold a proxy") as caught:
            await call
        assert "s3cret" not in "".join(traceback.format_exception(caught.value, limit=0))
    await client.close()
    assert not looked_up
    with pytest.raises(ValueError, match="a proxy is a URL such as") as refused:
        engine(proxy=value)
    assert "s3cret" not in "".join(traceback.format_exception(refused.value, limit=0))


async def test_an_ipv6_server_behind_a_proxy_that_forwards(engine: EngineFactory) -> None:
    async with http_proxy(answer=b"HTTP/1.1 204 OK\r\n\r\n") as log:
        client = engine(proxy=log.url)
        await client.execute(get("http://[::2]:81/a"))
        await client.close()
    assert log.heads[0].startswith(b"GET http://[::2]:81/a HTTP/1.1\r\nHost: [::2]:81\r\n")
