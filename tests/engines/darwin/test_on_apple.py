"""DarwinEngine on Apple's own frameworks: `pytest -m darwin`, on a Mac."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator

import pytest

from ktor_client import HttpClient, install
from ktor_client.engines import DarwinEngine
from ktor_client.engines._darwin.bridge import Bridge, bridge
from ktor_client.errors import ConnectError, TlsError
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer, echo_server
from ktor_client.testing.conformance import CHECKS, Check
from tests.engines.darwin.test_life import darwin
from tests.engines.darwin.test_tls import make, talk, tls_server
from tests.engines.darwin.traffic import converse, party, trusting
from tests.engines.test_each_step import A_FEW, Act, at_each, get, post, web_socket
from tests.support.battery import passes
from tests.support.certificates import client_pkcs12, server_context

if platform.system() != "Darwin":
    pytest.skip("Apple's frameworks are on a Mac alone", allow_module_level=True)

pytestmark = pytest.mark.darwin

SYSTEM = int(platform.mac_ver()[0].partition(".")[0] or 0)


@pytest.fixture
async def apples() -> AsyncIterator[Bridge]:
    """The bridge to Apple's frameworks; at the end of a test no block of ours may be held."""
    own = bridge()
    yield own
    async with asyncio.timeout(20):
        while own.lines or len(own.blocks):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("apples")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_check(check: Check, server: EchoServer) -> None:
    await passes(check, DarwinEngine, server.url)


@pytest.mark.parametrize("seed", range(100))
async def test_no_byte_is_lost(apples: Bridge, seed: int) -> None:
    async with party() as peer, asyncio.timeout(50):
        await converse(apples, peer, seed, trusting(apples) if seed % 4 == 3 else None)


@pytest.mark.usefixtures("apples")
@pytest.mark.parametrize("act", [get, post, web_socket])
async def test_cancelled_at_the_first_steps(act: Act) -> None:
    await at_each(darwin, "plain", act, range(A_FEW))


@pytest.mark.usefixtures("apples")
async def test_a_port_where_nobody_listens() -> None:
    async with HttpClient(DarwinEngine) as client:
        with pytest.raises(ConnectError, match="could not connect to"):
            await client.get("http://127.0.0.1:1/")


@pytest.mark.usefixtures("apples")
async def test_a_certificate_that_the_system_does_not_trust() -> None:
    async with echo_server(ssl_context=server_context()) as server:
        async with HttpClient(DarwinEngine, install(WebSockets)) as client:
            with pytest.raises(TlsError):
                await client.web_socket_session(f"{server.url}/echo")


@pytest.mark.usefixtures("apples")
async def test_an_authority_of_ours_is_trusted() -> None:
    async with tls_server() as server:
        await talk(make(), server.port)
        await talk(make(trust_system=False), server.port)
        with pytest.raises(TlsError, match=r"not for example\.com"):
            await talk(make(server_hostname="example.com"), server.port)


@pytest.mark.usefixtures("apples")
@pytest.mark.skipif(SYSTEM < 15, reason="before macOS 15 a key would go to the login keychain")
async def test_a_client_certificate() -> None:
    async with tls_server(context=server_context(client_certificate=True)) as server:
        await talk(make(client_identity=(client_pkcs12("x"), "x")), server.port)
