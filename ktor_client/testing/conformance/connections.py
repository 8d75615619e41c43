"""Checks of connections: which are kept, what may come over them, and how long they are waited for.

Most are for engines that make their connections by themselves; in a browser, or in memory, there
is nothing to see.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from ktor_client.client import HttpClient
from ktor_client.engine import Capability
from ktor_client.engine.capabilities import (
    ProxyCapability,
    SocketTimeoutCapability,
    TlsOptionsCapability,
)
from ktor_client.engine.settings import timeout
from ktor_client.errors import (
    ClientClosedError,
    ConnectError,
    DnsError,
    SocketTimeoutError,
    TlsError,
)
from ktor_client.http1.rules import MAX_HEAD, RULES
from ktor_client.testing.conformance.check import (
    QUICK,
    Lab,
    Room,
    SkippedCheck,
    equal,
    expect,
    raises,
)

__all__ = ["OWN_CONNECTIONS", "ROOM", "hello"]

ROOM = Room("connections")
check = ROOM.check_for_all

OWN_CONNECTIONS: tuple[Capability, ...] = (TlsOptionsCapability,)
"""What engines have that make their connections by themselves: they keep them, and speak HTTP/1.1.
"""
LONGEST_ANSWER = 8 * 1024
"""Bytes of an answer that a check asks for in a URL."""
HELLO = "hello from the echo server"


async def hello(client: HttpClient, lab: Lab) -> str:
    """Return what the server says to a plain GET."""
    return await (await client.get(lab.http_url("/hello"))).body_as_text()


@check("RFC 9112 9.3", *OWN_CONNECTIONS)
async def connections_are_kept(lab: Lab) -> None:
    """One request after another goes over one connection, redirects too."""
    async with lab.client() as client:
        first = await (await client.get(lab.http_url("/serial"))).body_as_text()
        for path in ("/serial", "/redirect?to=/serial", "/serial"):
            response = await client.get(lab.http_url("") + path)
            equal(await response.body_as_text(), first, "the number of the connection")


@check("ktor-client: limits", *OWN_CONNECTIONS)
async def a_limit_of_connections_survives(lab: Lab) -> None:
    """With `limit=1`, whatever goes wrong with an answer gives the connection back."""
    async with HttpClient(partial(lab.factory, limit=1)) as client:
        for _ in range(2):
            for path in ("/hang-up", "/garbage", "/truncated", "/coded?cut=15"):
                with raises(ConnectError):
                    await client.get(lab.http_url("") + path)
            async with client.prepare_get(lab.http_url("/chunks", n=0)) as response:
                equal(response.status, 200, "the status of a stream that is left")
            task = asyncio.create_task(client.get(lab.http_url("/silence")))
            await asyncio.wait({task}, timeout=QUICK)
            task.cancel()
            await asyncio.wait({task})
            expect(task.cancelled(), "a request that was cancelled is not")
            equal(await hello(client, lab), HELLO, "the text")


@check("RFC 9112 6.3", *OWN_CONNECTIONS)
async def surplus_answers_nobody(lab: Lab) -> None:
    """What comes behind an answer never answers the next request."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
    evil = good.replace(b"good", b"EVIL")
    async with HttpClient(partial(lab.factory, limit=1)) as client:
        for surplus in (evil, b"garbage"):
            for _ in range(2):
                response = await client.get(_answering(lab, good + surplus))
                equal(await response.body_as_text(), "good", "the text")
                equal(await hello(client, lab), HELLO, "the next text")


def _answering(lab: Lab, answer: bytes) -> str:
    return lab.http_url("/garbage", hex=answer.hex())


@check("RFC 9110, RFC 9112", *OWN_CONNECTIONS)
async def answers_follow_the_rules(lab: Lab) -> None:
    """What is accepted, repaired or refused in an answer is what the table of rules says."""
    async with lab.client() as client:
        for rule in RULES:
            if len(rule.answer) > LONGEST_ANSWER:
                continue
            url = _answering(lab, rule.answer)
            if rule.body is None:
                with raises(ConnectError):
                    await client.get(url)
            else:
                body = await (await client.get(url)).body_as_bytes()
                equal(body, rule.body, f"the body of {rule.what}")


@check("ktor-client: limits", *OWN_CONNECTIONS)
async def heads_have_a_limit(lab: Lab) -> None:
    """A head of 30 KiB is read, one beyond 64 KiB is refused."""
    async with lab.client() as client:
        response = await client.get(lab.http_url("/big-head", size=30_000))
        equal(len(response.headers.get("x-big", "")), 30_000, "the length of a field")
        with raises(ConnectError):
            await client.get(lab.http_url("/big-head", size=MAX_HEAD))
        equal(await hello(client, lab), HELLO, "the text afterwards")


@check("RFC 9110 15.2.2", *OWN_CONNECTIONS)
async def nobody_switches_protocols_unasked(lab: Lab) -> None:
    """A 101 to a request that is no handshake is an error."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    async with HttpClient(partial(lab.factory, limit=1)) as client:
        for _ in range(2):
            with raises(ConnectError):
                await client.get(_answering(lab, answer))
        equal(await hello(client, lab), HELLO, "the text afterwards")


# --- where there is no answer ---


@check("ktor-client: errors", *OWN_CONNECTIONS)
async def names_that_do_not_resolve(lab: Lab) -> None:
    """A host without an address is a DnsError, and nothing was sent."""
    async with lab.client() as client:
        with raises(DnsError) as caught:
            await client.get("http://nowhere.invalid/")
        expect(caught.error.nothing_sent, "it is not said that nothing was sent")


@check("ktor-client: errors", *OWN_CONNECTIONS)
async def tls_where_there_is_none(lab: Lab) -> None:
    """Asking a port for TLS that speaks none is a TlsError."""
    if not lab.base_url.startswith("ws:"):
        raise SkippedCheck("the server speaks TLS")
    async with lab.client() as client:
        with raises(TlsError):
            await client.get(lab.http_url("/hello").replace("http:", "https:", 1))


@check("RFC 9112 3.2.2", ProxyCapability, *OWN_CONNECTIONS)
async def proxies_get_the_absolute_form(lab: Lab) -> None:
    """A proxy gets the whole URL of a plain request; it resolves the host."""
    if not lab.base_url.startswith("ws:"):
        raise SkippedCheck("a proxy of this check speaks no TLS")
    async with HttpClient(partial(lab.factory, proxy=lab.http_url(""))) as client:
        response = await client.get("http://nowhere.invalid/request?a=1")
        seen = await response.body(dict[str, Any])
        equal(seen["target"], "http://nowhere.invalid/request?a=1", "the target")
        hosts = [value for name, value in seen["headers"] if name.lower() == "host"]
        equal(hosts, ["nowhere.invalid"], "Host")


# --- time, and the end ---


@check("ktor-client: time limits", SocketTimeoutCapability)
async def silence_has_a_limit(lab: Lab) -> None:
    """A server that never answers ends in a SocketTimeoutError, which names the option."""
    async with lab.client() as client:
        with raises(SocketTimeoutError) as caught:
            await client.get(lab.http_url("/silence"), timeout(socket=QUICK))
        expect("socket_timeout" in str(caught.error), f"no option: {caught.error}")


@check("ktor-client: clients")
async def closing_ends_requests(lab: Lab) -> None:
    """Closing a client ends its requests under way with ClientClosedError."""
    client = lab.client()
    task = asyncio.create_task(client.get(lab.http_url("/silence")))
    await asyncio.wait({task}, timeout=QUICK)
    await client.close()
    with raises(ClientClosedError):
        await task
