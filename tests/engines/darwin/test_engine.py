"""DarwinEngine as users make it: its options, those it refuses, and systems of others."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ktor_client import EngineUnavailableError, HttpClient, UnsupportedCapabilityError
from ktor_client.engine.capabilities import ALL_CAPABILITIES
from ktor_client.engine.registry import BUILT_IN, engine_class
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.engine.wire import WireErrors
from ktor_client.engines import DarwinEngine
from ktor_client.engines._darwin import bridge as bridge_module
from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.dialer import AppleDialer
from ktor_client.engines._darwin.errors import exception_of, is_worth_waiting
from ktor_client.engines._darwin.functions import Frameworks
from ktor_client.errors import ConnectError, ConnectTimeoutError
from tests.engines.darwin.double import Double
from tests.engines.darwin.traffic import Counting, party


@pytest.fixture
def no_bridge() -> Iterator[None]:
    """Forget the bridge of this process, before and after."""
    bridge_module.bridge.cache_clear()
    yield
    bridge_module.bridge.cache_clear()


@pytest.mark.usefixtures("no_bridge")
@pytest.mark.parametrize("system", ["linux", "win32", "emscripten"])
def test_elsewhere_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(EngineUnavailableError) as caught:
        DarwinEngine()
    assert str(caught.value) == (
        f"DarwinEngine stands on Apple's Network.framework, and this is {system}: "
        "take CioEngine here, which does the same on sockets"
    )
    with pytest.raises(EngineUnavailableError):
        HttpClient("darwin")


@pytest.mark.usefixtures("no_bridge")
@pytest.mark.parametrize("system", ["darwin", "ios"])
def test_on_apples_systems_it_loads_their_frameworks(
    monkeypatch: pytest.MonkeyPatch, double: Double, system: str
) -> None:
    loaded: list[str] = []

    def load(path: str) -> Any:
        loaded.append(path)
        return double.library

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("ctypes.CDLL", load)
    assert DarwinEngine().capabilities == BUILT_IN["darwin"].capabilities
    assert [path.rpartition("/")[2] for path in loaded] == [
        "Network",
        "Security",
        "CoreFoundation",
        "libSystem.B.dylib",
    ]
    assert DarwinEngine()._dialer._bridge is bridge_module.bridge()  # type: ignore[attr-defined]  # one for all


def test_a_system_that_is_too_old(double: Double) -> None:
    class Old:
        def __getattr__(self, name: str) -> Any:
            if name == "nw_connection_send":
                raise AttributeError("symbol not found")
            return getattr(double.library, name)

    old: Any = Old()
    with pytest.raises(EngineUnavailableError, match=r"needs macOS 10.15, iOS 13 or newer: symbol"):
        Bridge(Frameworks(old, *[double.library] * 3))


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"proxy": "http://p:1"}, r"ProxyCapability \(proxy=...\): the system's settings"),
        ({"trust_env": True}, r"ProxyCapability \(trust_env=...\)"),
        (
            {"ssl_context": ssl.create_default_context()},
            r"ssl_context=...\): TLS is Apple's; its options here are trust",
        ),
        ({"unix_socket": "/tmp/x"}, r"UnixSocketCapability \(unix_socket=...\)"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UnsupportedCapabilityError, match=says):
        DarwinEngine(**options)
    nothing: dict[str, Any] = dict.fromkeys(options)
    DarwinEngine(**nothing)


@pytest.mark.usefixtures("bridge")
def test_options_that_are_wrong() -> None:
    with pytest.raises(TypeError, match="DarwinEngine has no option 'colour'"):
        DarwinEngine(colour=None)
    with pytest.raises(ValueError, match="limit must be at least 1"):
        DarwinEngine(limit=0)


@pytest.mark.usefixtures("bridge")
def test_it_has_its_name() -> None:
    assert engine_class("darwin") is DarwinEngine
    assert repr(DarwinEngine()) == "DarwinEngine()"
    assert set(DarwinEngine().capabilities) < set(ALL_CAPABILITIES)


@pytest.mark.parametrize(
    ("domain", "code", "kind", "says"),
    [
        (1, errno.ECONNREFUSED, ConnectionRefusedError, "refused"),
        (1, errno.ECONNRESET, ConnectionResetError, "reset"),
        (2, -65554, socket.gaierror, "no such record"),
        (2, -65539, socket.gaierror, "DNS error -65539"),
        (3, -9807, ssl.SSLCertVerificationError, "trust"),
        (3, -9843, ssl.SSLCertVerificationError, "for another host"),
        (3, -9836, ssl.SSLError, "no version of TLS in common"),
        (3, -1, ssl.SSLError, "TLS error -1"),
        (4, 7, OSError, "error 7 of domain 4"),
    ],
)
def test_errors_are_those_of_sockets(
    domain: int, code: int, kind: type[OSError], says: str
) -> None:
    error = exception_of(domain, code)
    assert type(error) is kind
    assert says in str(error)


@pytest.mark.parametrize(
    ("error", "is_worth_it"),
    [
        (None, True),
        (OSError(errno.ENETDOWN, ""), True),
        (OSError(errno.EHOSTUNREACH, ""), True),
        (OSError(errno.ECONNREFUSED, ""), False),
        (socket.gaierror(errno.ENETDOWN, ""), False),
        (ssl.SSLError(-9836, ""), False),
    ],
)
def test_what_is_worth_waiting_for(error: OSError | None, is_worth_it: bool) -> None:
    assert is_worth_waiting(error) is is_worth_it


async def test_a_network_that_does_not_come(bridge: Bridge, double: Double) -> None:
    options = SocketOptions(connect_timeout=0.05)
    dialer = AppleDialer(options, WireErrors("DarwinEngine").request, bridge)
    with double.doing("waiting_on"):
        with pytest.raises(ConnectTimeoutError) as caught:
            await dialer.connect(Counting, "127.0.0.1", 9, secure=False)
    assert str(caught.value).endswith(
        "within 0.05 s (connect_timeout); it was still without a network "
        "([Errno 100] Network is down)"
    )


async def test_how_far_it_was(bridge: Bridge, double: Double) -> None:
    options = SocketOptions(connect_timeout=0.05)
    dialer = AppleDialer(options, WireErrors("DarwinEngine").request, bridge)
    with double.doing("preparing_on"):
        with pytest.raises(ConnectTimeoutError, match=r"it was still connecting to \[::1\]:9$"):
            await dialer.connect(Counting, "::1", 9, secure=False)


async def test_a_connection_that_is_lost_as_it_is_made(bridge: Bridge) -> None:
    class Refusing(Counting):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise ConnectionAbortedError("not this one")

    options = SocketOptions()
    dialer = AppleDialer(options, WireErrors("DarwinEngine").request, bridge)
    async with party() as peer:
        with pytest.raises(ConnectError, match="not this one"):
            await dialer.connect(Refusing, "127.0.0.1", peer.port, secure=False)
