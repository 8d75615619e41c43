"""TLS on the double: whom an engine trusts, who it says it is, and TLS that fails on its way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from ktor_client import HttpClient, install
from ktor_client.engines import DarwinEngine
from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.credentials import Credentials
from ktor_client.engines._darwin.pool import Pool
from ktor_client.engines._darwin.tls import AppleTls, Handshake
from ktor_client.errors import (
    ConnectError,
    ConnectTimeoutError,
    TlsError,
    UnsupportedCapabilityError,
)
from ktor_client.plugins import WebSockets
from tests.engines.darwin.double import Double
from tests.engines.darwin.traffic import trusting
from tests.engines.test_each_step import A_FEW, Act, at_each, get, post, web_socket
from tests.engines.test_tls import serve
from tests.support.certificates import authority_pem, client_pkcs12, server_context
from tests.support.raw_server import Peer, RawServer, raw_server

pytestmark = pytest.mark.usefixtures("bridge", "tls")

PASSWORD = "geheim é"


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def stranger() -> bytes:
    """Return an authority (PEM) that no server's certificate is from."""
    return trustme.CA().cert_pem.bytes()


def make(**options: Any) -> DarwinEngine:
    every: dict[str, Any] = {"trust": authority_pem(), **options}
    return DarwinEngine(**every)


async def talk(engine: DarwinEngine, port: int, host: str = "127.0.0.1") -> None:
    """Make a request and open a WebSocket; close the engine, whatever comes of it."""
    try:
        async with HttpClient(engine, install(WebSockets)) as client:
            assert await (await client.get(f"https://{host}:{port}/")).body_as_text() == "ok"
            session = await client.web_socket_session(f"wss://{host}:{port}/")
            assert await session.receive_text() == f"{host}:{port}"
            session.cancel()
    finally:
        await engine.close()


@asynccontextmanager
async def tls_server(
    *names: str, context: ssl.SSLContext | None = None
) -> AsyncGenerator[RawServer]:
    async with raw_server(serve, tls=context or server_context(*names)) as server:
        yield server


# --- whom to trust


@pytest.mark.parametrize(
    "form",
    [
        lambda pem, path: pem,
        lambda pem, path: pem.decode(),
        lambda pem, path: der(pem),
        lambda pem, path: path,
        lambda pem, path: str(path),
        lambda pem, path: b"Some text\n" + stranger() + b"\nand more\n" + pem,
    ],
    ids=["bytes", "text", "DER", "path", "name of a file", "one of two"],
)
async def test_an_authority_in_each_form(
    form: Callable[[bytes, Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority_pem())
    async with tls_server() as server:
        await talk(make(trust=form(authority_pem(), path), trust_system=False), server.port)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trust": None}, r"its chain of certificates is not valid; .*: trust=\.\.\.$"),
        ({"trust": stranger()}, r"is not trusted; its authority is neither the system's nor in"),
        (
            {"trust": stranger(), "trust_system": False},
            r"is not trusted; its authority is not in trust=..., and trust_system=False leaves",
        ),
        (
            {"server_hostname": "example.com"},
            r"does not match input; it is not for example.com; server_hostname=... names another",
        ),
    ],
)
@pytest.mark.parametrize("switch", [None, "refused_fails", "verified_twice"])
async def test_who_is_not_trusted_is_told(
    double: Double, switch: str | None, options: dict[str, Any], says: str
) -> None:
    async with tls_server() as server:
        with double.doing(*filter(None, [switch])):
            with pytest.raises(TlsError, match=says) as caught:
                await talk(make(**options), server.port)
        says = f"DarwinEngine does not trust the certificate of 127.0.0.1:{server.port}: "
        assert str(caught.value).startswith(says)
        assert caught.value.nothing_sent
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        caught.value.__cause__ = None


async def test_the_system_is_trusted_beside_unless_it_is_left_out(double: Double) -> None:
    async with tls_server() as server:
        with double.trusting(der(authority_pem())):
            await talk(DarwinEngine(), server.port)
            await talk(make(trust=stranger()), server.port)
            with pytest.raises(TlsError, match="leaves the system's out"):
                await talk(make(trust=stranger(), trust_system=False), server.port)


async def test_the_name_is_asked_for_and_checked() -> None:
    """As SNI the name goes along, an address does not."""
    asked: list[str | None] = []
    context = server_context("127.0.0.1", "localhost", "example.org")
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with tls_server(context=context) as server:
        await talk(make(), server.port)
        await talk(make(), server.port, "localhost")
        await talk(make(server_hostname="Example.ORG."), server.port)
    assert list(dict.fromkeys(asked)) == [None, "localhost", "example.org"]


async def test_a_certificate_for_another_host() -> None:
    async with tls_server("example.org") as server:
        with pytest.raises(TlsError, match=r"it is not for 127.0.0.1"):
            await talk(make(), server.port)


async def test_what_is_offered_by_alpn() -> None:
    chosen: list[str | None] = []

    async def look(peer: Peer) -> None:
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await serve(peer)

    context = server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with raw_server(look, tls=context) as server:
        await talk(make(), server.port)
    assert set(chosen) == {"http/1.1"}


@pytest.mark.parametrize("fails", ["SecTrustSetPolicies", "SecTrustSetAnchorCertificatesOnly"])
async def test_what_cannot_be_asked_is_not_trusted(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def refuse(of: int, value: int) -> int:
        return -50

    refuse.__name__ = fails
    monkeypatch.setattr(bridge.functions, fails, refuse)
    async with tls_server() as server:
        with pytest.raises(TlsError, match=f"{fails} failed with -50"):
            await talk(make(), server.port)


async def test_an_error_without_words(monkeypatch: pytest.MonkeyPatch, bridge: Bridge) -> None:
    monkeypatch.setattr(bridge.functions, "CFErrorCopyDescription", lambda error: None)
    async with tls_server() as server:
        with pytest.raises(TlsError, match="error -67843; its authority"):
            await talk(make(trust=stranger()), server.port)


async def test_a_failure_of_ours_trusts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Handshake, pool: Pool, trust: int) -> None:
        raise LookupError("ours")

    seen: list[object] = []
    monkeypatch.setattr(Handshake, "_judged", fail)
    monkeypatch.setattr(sys, "unraisablehook", lambda about: seen.append(about.exc_type))
    async with tls_server() as server:
        with pytest.raises(TlsError, match="it could not be verified"):
            await talk(make(), server.port)
    assert seen == [LookupError]


# --- who we are


async def test_a_client_certificate(tmp_path: Path) -> None:
    file = tmp_path / "me.p12"
    file.write_bytes(client_pkcs12(PASSWORD))
    seen: list[object] = []

    async def look(peer: Peer) -> None:
        seen.append(peer.writer.get_extra_info("peercert")["subjectAltName"])
        await serve(peer)

    async with raw_server(look, tls=server_context(client_certificate=True)) as server:
        for content in (file, file.read_bytes()):
            await talk(make(client_identity=(content, PASSWORD)), server.port)
    assert set(seen) == {(("email", "client@example.org"),)}


async def test_without_a_client_certificate() -> None:
    async with tls_server(context=server_context(client_certificate=True)) as server:
        with pytest.raises(ConnectError, match=rf"DarwinEngine .* 127.0.0.1:{server.port}"):
            await talk(make(), server.port)


async def test_a_certificate_that_nobody_asks_for() -> None:
    async with tls_server() as server:
        await talk(make(client_identity=(client_pkcs12("x"), "x")), server.port)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"trust": 7}, TypeError, r"trust is a file of certificates, PEM or DER .*, not int$"),
        ({"trust": False}, TypeError, "not bool"),
        ({"trust": "/no/such.pem"}, FileNotFoundError, r"/no/such\.pem"),
        ({"trust": b"garbage"}, ValueError, "trust: certificate 1 of 1 is none"),
        ({"trust": b""}, ValueError, "trust: certificate 1 of 1 is none"),
        (
            {"trust": b"-----BEGIN PRIVATE KEY-----\n"},
            ValueError,
            r"trust: what was given \(28 bytes\) has no certificate; it wants -----BEGIN CERT",
        ),
        (
            {"trust": "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"},
            ValueError,
            "trust: certificate 1 of 1 is none",
        ),
        (
            {"trust": b"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"},
            ValueError,
            "a certificate in what was given .* is no PEM: ",
        ),
        ({"trust": None, "trust_system": False}, ValueError, "trusts nobody; name those to"),
        ({"trust_system": None}, TypeError, "trust_system is True or False, not NoneType"),
        ({"client_identity": "me.p12"}, TypeError, r"\('me.p12', 'password'\), not str; to make"),
        ({"client_identity": ("me.p12", b"x")}, TypeError, "the password is a str, not bytes"),
        ({"client_identity": (7, "x")}, TypeError, "client_identity is a PKCS#12 .*, not int"),
        ({"client_identity": (b"x", "")}, ValueError, "the password is empty, and Apple opens"),
        (
            {"client_identity": (authority_pem(), "x")},
            ValueError,
            "is PEM, and Apple takes PKCS#12; to make one: openssl pkcs12 -export",
        ),
        ({"client_identity": (b"garbage", "x")}, ValueError, r"is no PKCS#12 file \(error -26275"),
        (
            {"client_identity": (client_pkcs12("right"), "wrong")},
            ValueError,
            "does not open with this password, or has a cipher .* -legacy` takes an older one",
        ),
        (
            {"client_identity": (client_pkcs12("x", without_key=True), "x")},
            ValueError,
            "has no certificate with its key",
        ),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        DarwinEngine(**options)


@pytest.mark.parametrize("system", ["darwin", "ios"])
def test_a_system_that_keeps_keys(
    monkeypatch: pytest.MonkeyPatch, double: Double, system: str
) -> None:
    """Before macOS 15 a key would go to the keychain; on iOS it never does."""
    known = Pool.constant

    def before(self: Pool, name: str) -> int | None:
        return known(self, "kSecNoSuch" if name == "kSecImportToMemoryOnly" else name)

    monkeypatch.setattr(Pool, "constant", before)
    monkeypatch.setattr(sys, "platform", system)
    identity = client_pkcs12("x"), "x"
    if system == "darwin":
        with pytest.raises(UnsupportedCapabilityError, match="client_identity before macOS 15: "):
            DarwinEngine(client_identity=identity)
    else:
        DarwinEngine(client_identity=identity)
        assert double.alive().pop("keychain_item") == 1
        double.library.double_empty_keychain()


def test_a_forked_process_releases_nothing(bridge: Bridge, double: Double) -> None:
    tls = trusting(bridge)
    before = double.alive()
    bridge.is_dead = True
    pool = tls._pool
    del tls
    assert double.alive() == before
    bridge.is_dead = False
    pool.close()


# --- on its way


@pytest.mark.parametrize("act", [get, post, web_socket])
async def test_cancelled_at_the_first_steps(act: Act) -> None:
    await at_each(lambda limit, **others: make(limit=limit), "tls", act, range(A_FEW))


async def raw(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> asyncio.Server:
    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()

    return await asyncio.start_server(serve_raw, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "the connection was closed by an error"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"no TLS may be spoken there, so ws:// or http"),
        (b"\x15\x03\x03\0\2\2\x28", "the server refused the handshake"),
        (b"\x15\x03\x03\0\2\2\x46", "no version of TLS in common"),
        (b"\x15\x03\x03\0\2\2\x30", r"who signed the client's certificate \(client_identity"),
        (b"\x15\x03\x03\0\2\2\x74", r"wants a client's certificate \(client_identity=...\)"),
        (b"\x16\x03\x03\0\4\2\0\0\0", "the handshake failed"),
    ],
    ids=["end", "plain", "refused", "version", "unknown authority", "certificate", "nonsense"],
)
async def test_a_handshake_that_fails(answer: bytes, says: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await reader.read(65536)

    async with await raw(speak) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TlsError, match=says) as caught:
            await talk(make(), port)
        assert str(caught.value).startswith(
            f"DarwinEngine could not agree on TLS with 127.0.0.1:{port}: "
        )


async def test_a_handshake_that_is_reset() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        Peer(reader, writer).reset()

    async with await raw(reset) as server:
        with pytest.raises(ConnectError, match=r"127.0.0.1.*reset by peer"):
            await talk(make(), server.sockets[0].getsockname()[1])


async def test_a_handshake_that_does_not_end() -> None:
    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with await raw(be_silent) as server:
        with pytest.raises(ConnectTimeoutError, match=r"it was still connecting to 127.0.0.1"):
            await talk(make(connect_timeout=0.1), server.sockets[0].getsockname()[1])


async def test_an_answer_that_is_never_given(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a server is being verified, a connection can be given up."""
    monkeypatch.setattr(Handshake, "_verify", lambda self, trust, answer: None)
    async with tls_server() as server:
        with pytest.raises(ConnectTimeoutError):
            await talk(make(connect_timeout=0.1), server.port)
    assert not bridge.lines


async def test_a_body_that_is_cut_is_not_whole() -> None:
    """The end of a connection is the body's only with TLS's farewell."""

    async def cut(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
        peer.writer.transport.get_extra_info("socket").shutdown(1)
        with contextlib.suppress(ssl.SSLError):  # an alert: that was no end
            await peer.read_eof()
        peer.writer.transport.abort()

    async with raw_server(cut, tls=server_context()) as server:
        engine = make()
        async with HttpClient(engine) as client:
            with pytest.raises(ConnectError, match="without TLS's farewell"):
                await client.get(f"https://127.0.0.1:{server.port}/")
        await engine.close()


def test_apples_objects_are_made_once_and_released(bridge: Bridge, double: Double) -> None:
    tls = trusting(bridge)
    before = double.alive()
    assert before["certificate"] == 1
    tls.handshake("example.org", None)
    assert double.alive() == before
    del tls
    assert not double.alive()
    with pytest.raises(ValueError, match="certificate 2 of 2"):
        AppleTls(bridge, [], Credentials((der(authority_pem()), b"none")))
