"""aiohttp: with `receive()`, the base of ratios, and with `async for`, as most people write."""

from __future__ import annotations

from typing import ClassVar

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMessage

from benchmarks.contenders.base import HTTP_SCENARIOS, Contender, Message, WrongMessageError

DATA = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


def length_of(message: WSMessage | None) -> int:
    if message is None or message.type not in DATA:
        raise WrongMessageError(repr(message))
    return len(message.data)


class Aiohttp(Contender[ClientWebSocketResponse]):
    packages: ClassVar = ("aiohttp",)

    async def start(self) -> None:
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def stop(self) -> None:
        await self.session.close()

    async def open(self, url: str) -> ClientWebSocketResponse:
        return await self.session.ws_connect(
            url,
            compress=15 if self.deflate else 0,
            heartbeat=self.keepalive,
            ssl=self.tls or True,
        )

    async def close(self, session: ClientWebSocketResponse) -> None:
        await session.close()

    async def round_trips(
        self, session: ClientWebSocketResponse, message: Message, count: int
    ) -> int:
        reply: WSMessage | None = None
        if isinstance(message, str):
            for _ in range(count):
                await session.send_str(message)
                reply = await session.receive()
        else:
            for _ in range(count):
                await session.send_bytes(message)
                reply = await session.receive()
        return length_of(reply)

    async def receive(self, session: ClientWebSocketResponse, count: int) -> int:
        message: WSMessage | None = None
        for _ in range(count):
            message = await session.receive()
        return length_of(message)

    async def send(self, session: ClientWebSocketResponse, message: Message, count: int) -> None:
        if isinstance(message, str):
            for _ in range(count):
                await session.send_str(message)
        else:
            for _ in range(count):
                await session.send_bytes(message)

    async def get(self, url: str, count: int) -> int:
        body = b""
        for _ in range(count):
            async with self.session.get(url, ssl=self.tls or True) as response:
                body = await response.read()
        return len(body)

    async def post(self, url: str, body: bytes, count: int) -> int:
        answer = b""
        for _ in range(count):
            async with self.session.post(url, data=body) as response:
                answer = await response.read()
        return len(answer)

    async def download(self, url: str) -> int:
        total = 0
        async with self.session.get(url) as response:
            async for piece in response.content.iter_any():
                total += len(piece)
        return total


class AiohttpFor(Aiohttp):
    skips: ClassVar = HTTP_SCENARIOS | {
        *("send32", "send1k", "send64k", "connect", "connect_tls"),
        *("memory", "memory_keepalive", "import"),
    }

    async def round_trips(
        self, session: ClientWebSocketResponse, message: Message, count: int
    ) -> int:
        reply: WSMessage | None = None
        if isinstance(message, str):
            await session.send_str(message)
            async for reply in session:
                count -= 1
                if not count:
                    break
                await session.send_str(message)
        else:
            await session.send_bytes(message)
            async for reply in session:
                count -= 1
                if not count:
                    break
                await session.send_bytes(message)
        return length_of(reply)

    async def receive(self, session: ClientWebSocketResponse, count: int) -> int:
        message: WSMessage | None = None
        async for message in session:
            count -= 1
            if not count:
                break
        return length_of(message)
