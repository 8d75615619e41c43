"""httpx-ws (and httpx for GET): the base of our httpx engine's ratios."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import httpx
from httpx_ws import AsyncWebSocketSession, aconnect_ws
from wsproto.events import BytesMessage, Event, TextMessage

from benchmarks.contenders.base import Contender, Message, WrongMessageError


@dataclass
class Held:
    """A session and the task that holds its `async with`: anyio wants both ends in one task."""

    session: AsyncWebSocketSession
    release: asyncio.Event
    holder: asyncio.Task[None]


class HttpxWs(Contender[Held]):
    packages: ClassVar = ("httpx-ws", "httpx")
    # Each session holds a connection of httpcore's pool, which looks at all of them at each
    # request: 2,500 sessions would take minutes to open.
    skips: ClassVar = frozenset({"flood_deflate1k", "scale_2500", "scale_5000"})

    async def start(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self.client = httpx.AsyncClient(limits=limits, verify=self.tls or True)

    async def stop(self) -> None:
        await self.client.aclose()

    async def open(self, url: str) -> Held:
        opened: asyncio.Future[AsyncWebSocketSession] = asyncio.get_running_loop().create_future()
        release = asyncio.Event()

        async def hold() -> None:
            try:
                session: AsyncWebSocketSession
                async with aconnect_ws(
                    url, self.client, keepalive_ping_interval_seconds=self.keepalive
                ) as session:
                    opened.set_result(session)
                    await release.wait()
            except BaseException as error:
                if opened.done():
                    raise
                opened.set_exception(error)

        holder = asyncio.create_task(hold())
        return Held(await opened, release, holder)

    async def close(self, session: Held) -> None:
        session.release.set()
        await session.holder

    async def round_trips(self, session: Held, message: Message, count: int) -> int:
        socket = session.session
        reply: Message = b""
        if isinstance(message, str):
            for _ in range(count):
                await socket.send_text(message)
                reply = await socket.receive_text()
        else:
            for _ in range(count):
                await socket.send_bytes(message)
                reply = await socket.receive_bytes()
        return len(reply)

    async def receive(self, session: Held, count: int) -> int:
        socket = session.session
        event: Event | None = None
        for _ in range(count):
            event = await socket.receive()
        if not isinstance(event, TextMessage | BytesMessage):
            raise WrongMessageError(repr(event))
        return len(event.data)

    async def send(self, session: Held, message: Message, count: int) -> None:
        socket = session.session
        if isinstance(message, str):
            for _ in range(count):
                await socket.send_text(message)
        else:
            for _ in range(count):
                await socket.send_bytes(message)

    async def get(self, url: str, count: int) -> int:
        body = b""
        for _ in range(count):
            response = await self.client.get(url)
            body = response.content
        return len(body)

    async def post(self, url: str, body: bytes, count: int) -> int:
        answer = b""
        for _ in range(count):
            response = await self.client.post(url, content=body)
            answer = response.content
        return len(answer)

    async def download(self, url: str) -> int:
        total = 0
        async with self.client.stream("GET", url) as response:
            async for piece in response.aiter_bytes():
                total += len(piece)
        return total
