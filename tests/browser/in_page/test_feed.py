"""Sessions that come back, over the browser's own WebSockets: in the page and in a worker."""

import asyncio

import pytest

from ktor_client import (
    Backoff,
    ConnectError,
    HttpClient,
    Lost,
    Opened,
    Outbox,
    ReconnectStoppedError,
    RetryPolicy,
    Sent,
    SequenceResume,
    Stopped,
)

from .conftest import Site

QUICK = RetryPolicy(Backoff(first=0.01, longest=0.05))


async def test_one_stream_across_connections(client: HttpClient, site: Site) -> None:
    """The peer says three things and goes away, again and again."""
    url = site.ws("/ws/close?first=3&code=1012&reason=restart")
    received: list[str | bytes] = []
    async with client.web_socket_reconnecting(url, policy=QUICK) as feed:
        async for message in feed:
            received.append(message)
            if len(received) == 9:
                break
        assert feed.generation == 3
        assert received == ["0", "1", "2"] * 3
    assert feed.state == "stopped"


async def test_a_normal_end_is_the_end(client: HttpClient, site: Site) -> None:
    async with client.web_socket_reconnecting(site.ws("/ws/close?first=2"), policy=QUICK) as feed:
        assert [message async for message in feed] == ["0", "1"]
        kinds = [type(event) async for event in feed.events]
    assert kinds[-2:] == [Lost, Stopped]


async def test_the_loop(client: HttpClient, site: Site) -> None:
    seen: list[str | bytes] = []
    url = site.ws("/ws/close?first=1&code=1001")
    async for session in client.web_socket_reconnecting(url, policy=QUICK):
        async with session:
            async for message in session:
                seen.append(message)
        if len(seen) == 3:
            break
    assert seen == ["0"] * 3


async def test_what_was_sent_without_a_connection(
    client: HttpClient, site: Site, name: str
) -> None:
    """What waits in the outbox goes over the first connection, in order, and has its verdict."""
    url = site.ws(f"/ws/echo?id={name}")
    async with client.web_socket_reconnecting(url, policy=QUICK) as feed:
        receipts = [await feed.send(str(number)) for number in range(20)]
        assert feed.session is None
        assert [await feed.receive_text() for _ in range(20)] == [str(n) for n in range(20)]
        assert {await receipt for receipt in receipts} == {Sent.WRITTEN}
    seen = await site.seen(name)
    assert (seen["code"], seen["messages"]) == (1000, 20)


async def test_nothing_is_lost_under_sequences(client: HttpClient, site: Site, name: str) -> None:
    """The peer drops each of its first connections in the middle; every message comes once."""
    url = site.ws(f"/ws/sequence?id={name}&cuts=3")
    outbox = Outbox(mode="at_least_once")
    async with client.web_socket_reconnecting(
        url, policy=QUICK, outbox=outbox, resume=SequenceResume()
    ) as feed:
        receipts = [await feed.send(str(number)) for number in range(40)]
        echoes = [await feed.receive_text() for _ in range(40)]
        assert {await receipt for receipt in receipts} == {Sent.ACKNOWLEDGED}
        assert echoes == [f"echo {number}" for number in range(40)]
        assert feed.generation == 4


async def test_a_peer_that_refuses(client: HttpClient, site: Site) -> None:
    """A browser does not tell a refusal from a failure, so it is tried again, up to the limit."""
    policy = RetryPolicy(QUICK.backoff, max_attempts=3)
    async with client.web_socket_reconnecting(site.ws("/ws/refuse"), policy=policy) as feed:
        with pytest.raises(ReconnectStoppedError, match="max_attempts=3") as caught:
            await feed.receive_text()
        lost = [event async for event in feed.events if isinstance(event, Lost)]
    assert isinstance(caught.value.__cause__, ConnectError)
    assert [event.failure.attempt for event in lost] == [1, 2, 3]


async def test_leaving_during_a_wait_is_immediate(client: HttpClient, site: Site) -> None:
    policy = RetryPolicy(Backoff(first=600, longest=600, jitter="none"))
    before = asyncio.all_tasks()
    async with client.web_socket_reconnecting(site.ws("/ws/refuse"), policy=policy) as feed:
        async for event in feed.events:
            if type(event).__name__ == "Waiting":
                break
        receipt = await feed.send("never")
    assert await receipt is Sent.NOT_SENT
    assert asyncio.all_tasks() == before


async def test_retry_now_ends_a_wait(client: HttpClient, site: Site) -> None:
    policy = RetryPolicy(Backoff(first=600, longest=600, jitter="none"))
    url = site.ws("/ws/close?first=1&code=1001")
    opened = 0
    async with client.web_socket_reconnecting(url, policy=policy) as feed:
        async for event in feed.events:
            opened += isinstance(event, Opened)
            if opened == 2:
                break
            if type(event).__name__ == "Waiting":
                feed.retry_now()
        assert feed.generation == 2
