"""`limit`: how many HTTP connections there are at a time, and what becomes of who waits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpcore
import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.engine.slots import Slots
from ktor_client.engines import CioEngine, HttpxEngine
from ktor_client.engines._httpx import transport
from ktor_client.errors import ClientClosedError
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get, open_link, start

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Answers:
    """Answers GETs and handshakes, and counts connections that are not a WebSocket's yet."""

    def __init__(self) -> None:
        self.connections = 0
        self.now = 0
        self.most = 0
        self.targets: list[str] = []
        self.go_on = asyncio.Event()
        self.gone = asyncio.Event()
        """When nobody is connected any more."""

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while True:
                await peer.read_request()
                target = peer.request.split()[1].decode()
                self.targets.append(target)
                await asyncio.sleep(0)
                if "upgrade" in peer.headers:
                    break
                await peer.send(OK[:-1])
                if target == "/held":
                    await self.go_on.wait()
                await peer.send(OK[-1:])
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.now -= 1
            if not self.now:
                self.gone.set()
        await peer.send(peer.switch())
        await peer.read_eof()


async def test_requests_beyond_the_limit_wait_in_order(engine: EngineFactory) -> None:
    answers = Answers()
    client = engine(limit=1)

    async def one(url: str) -> bytes:
        return await (await client.execute(get(url))).body_as_bytes()

    async with raw_server(answers) as server, asyncio.timeout(20):
        url = server.url.replace("ws", "http", 1)
        bodies = await asyncio.gather(*(one(f"{url}{n}") for n in range(50)))
        await client.close()
    assert bodies == [b"ok"] * 50
    assert answers.targets == [f"/{n}" for n in range(50)]
    assert (answers.most, answers.connections) == (1, 1)


async def test_idle_connections_count_while_several_others_are_opened() -> None:
    there, here = Answers(), Answers()
    client = CioEngine(limit=2)

    async def two(url: str) -> None:
        answers = await asyncio.gather(*(client.execute(get(f"{url}held")) for _ in range(2)))
        await asyncio.gather(*(answer.body_as_bytes() for answer in answers))

    async with asyncio.timeout(20), raw_server(there) as one, raw_server(here) as other:
        for answers, server in ((there, one), (here, other)):
            answers.go_on.set()
            await two(server.url)
        assert there.connections == here.connections == 2
        await there.gone.wait()
        assert (there.now, here.now) == (0, 2)
        await client.close()


async def test_handshakes_beyond_the_limit_wait(engine: EngineFactory) -> None:
    answers = Answers()
    client = engine(limit=3)
    async with raw_server(answers) as server, asyncio.timeout(20):
        opened = await asyncio.gather(*(open_link(client, server.url) for _ in range(40)))
        receivers = [start(upgrade.link) for upgrade in opened]
        assert not any(receiver.end.done() for receiver in receivers)
        await client.close()
    assert answers.most <= 3


async def test_a_request_costs_the_same_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What httpx's connections are asked, for each of many requests, is no more than for few."""
    asked = 0
    for name in ("is_idle", "is_closed", "is_available", "has_expired"):
        real = getattr(httpcore.AsyncHTTPConnection, name)

        def count(self: object, real: object = real) -> object:
            nonlocal asked
            asked += 1
            return real(self)  # type: ignore[operator]

        monkeypatch.setattr(httpcore.AsyncHTTPConnection, name, count)

    async def cost_of(requests: int) -> float:
        nonlocal asked
        asked = 0
        client = HttpxEngine()
        async with raw_server(Answers()) as server, asyncio.timeout(50):
            url = server.url.replace("ws", "http", 1)
            await asyncio.gather(*(open_link(client, server.url) for _ in range(requests)))
            for response in asyncio.as_completed(
                [client.execute(get(url)) for _ in range(requests)]
            ):
                await (await response).body_as_bytes()
            await client.close()
        return asked / requests

    assert await cost_of(300) <= 2 * await cost_of(3)


async def test_one_that_is_cancelled_while_it_waits(engine: EngineFactory) -> None:
    answers, client = Answers(), engine(limit=1)
    async with raw_server(answers) as server, asyncio.timeout(20):
        url = server.url.replace("ws", "http", 1)
        first = await client.execute(get(f"{url}held"))
        waiting = [asyncio.ensure_future(client.execute(get(url))) for _ in range(3)]
        await asyncio.sleep(0)
        answers.go_on.set()
        waiting[0].cancel()
        await asyncio.wait({waiting[0]})
        waiting[1].cancel()  # unseen by itself until the place is free
        assert await first.body_as_bytes() == b"ok"
        assert await (await waiting[2]).body_as_bytes() == b"ok"
        assert waiting[0].cancelled()
        assert waiting[1].cancelled()
        await client.close()


async def test_closed_while_requests_wait(engine: EngineFactory) -> None:
    """They hear of it at once, though the response before them is never closed."""
    client = engine(limit=1)
    async with raw_server(Answers()) as server, asyncio.timeout(20):
        url = server.url.replace("ws", "http", 1)
        first = await client.execute(get(f"{url}held"))
        waiting = [asyncio.ensure_future(client.execute(get(url))) for _ in range(3)]
        waiting.append(asyncio.ensure_future(open_link(client, server.url)))  # type: ignore[arg-type]
        for _ in range(5):
            await asyncio.sleep(0)
        waiting[0].cancel()
        await client.close()
        await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        for other in waiting[1:]:
            assert isinstance(other.exception(), ClientClosedError)
        await first.close()


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_closed_while_an_answer_is_due(engine: EngineFactory, scheme: str) -> None:
    """It is not the server that ended it, and not worth another attempt."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        asked.set()
        with contextlib.suppress(OSError):
            await peer.read_eof()

    client = engine()
    async with raw_server(script) as server, asyncio.timeout(20):
        url = server.url.replace("ws", scheme, 1)
        opening: Any = client.execute(get(url)) if scheme == "http" else open_link(client, url)
        running = asyncio.ensure_future(opening)
        await asked.wait()
        await client.close()
        with pytest.raises(ClientClosedError, match="was closed during the request"):
            await running


async def test_the_longest_idle_makes_room_for_another_host() -> None:
    here, there = Answers(), Answers()
    client = HttpxEngine(limit=2)

    async def ask(port: int) -> None:
        response = await client.execute(get(f"http://127.0.0.1:{port}/"))
        assert await response.body_as_bytes() == b"ok"

    async with raw_server(here) as one, raw_server(there) as other, asyncio.timeout(20):
        both = await asyncio.gather(
            *(client.execute(get(f"http://127.0.0.1:{one.port}/")) for _ in range(2))
        )
        for response in both:
            await response.body_as_bytes()
        await ask(other.port)
        await ask(one.port)
        await ask(other.port)
        await client.close()
    assert (here.connections, there.connections) == (2, 1)


async def test_an_idle_connection_whose_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_KEEPALIVE", -1.0)
    answers, client = Answers(), HttpxEngine(limit=2)
    async with raw_server(answers) as server, asyncio.timeout(20):
        for _ in range(3):
            response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
            assert await response.body_as_bytes() == b"ok"
        await client.close()
    assert answers.connections == 3


# --- what two do in one step of the loop


async def test_a_slot_that_comes_with_a_cancellation_goes_on() -> None:
    slots = Slots(1, "HttpxEngine")
    await slots.take()
    first, second = asyncio.ensure_future(slots.take()), asyncio.ensure_future(slots.take())
    await asyncio.sleep(0)
    slots.give_back()
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    await second


async def test_who_gave_up_is_not_kept() -> None:
    slots = Slots(1, "HttpxEngine")
    await slots.take()
    waiters = [asyncio.ensure_future(slots.take()) for _ in range(3)]
    await asyncio.sleep(0)
    for waiter in waiters[:2]:
        waiter.cancel()
    await asyncio.wait(waiters[:2])
    assert len(slots._waiters) == 1
    slots.give_back()
    await waiters[2]


async def test_a_slot_that_comes_after_a_cancellation_in_one_step() -> None:
    slots = Slots(1, "HttpxEngine")
    await slots.take()
    first, second = asyncio.ensure_future(slots.take()), asyncio.ensure_future(slots.take())
    await asyncio.sleep(0)
    first.cancel()
    slots.give_back()
    await second
    assert first.cancelled()


async def test_a_slot_that_comes_with_the_end() -> None:
    slots = Slots(1, "HttpxEngine")
    await slots.take()
    first, second = asyncio.ensure_future(slots.take()), asyncio.ensure_future(slots.take())
    await asyncio.sleep(0)
    slots.give_back()
    slots.close()
    for waiter in (first, second):
        with pytest.raises(ClientClosedError):
            await waiter
    with pytest.raises(ClientClosedError):
        await slots.take()


async def test_an_end_that_comes_with_a_cancellation() -> None:
    slots = Slots(1, "HttpxEngine")
    await slots.take()
    waiter = asyncio.ensure_future(slots.take())
    await asyncio.sleep(0)
    slots.close()
    waiter.cancel()
    await asyncio.wait({waiter})
    assert waiter.cancelled()
