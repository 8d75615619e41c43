"""websockets: the asyncio client, `recv()` in a loop."""

from __future__ import annotations

from typing import ClassVar

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.contenders.base import HTTP_SCENARIOS, Contender, Message


class Websockets(Contender[ClientConnection]):
    packages: ClassVar = ("websockets",)
    skips: ClassVar = HTTP_SCENARIOS

    async def open(self, url: str) -> ClientConnection:
        return await connect(
            url,
            compression="deflate" if self.deflate else None,
            ping_interval=self.keepalive,
            max_size=16 * 1024 * 1024,
            proxy=None,
            ssl=self.tls,
        )

    async def close(self, session: ClientConnection) -> None:
        await session.close()

    async def round_trips(self, session: ClientConnection, message: Message, count: int) -> int:
        reply: Message = b""
        for _ in range(count):
            await session.send(message)
            reply = await session.recv()
        return len(reply)

    async def receive(self, session: ClientConnection, count: int) -> int:
        message: Message = b""
        for _ in range(count):
            message = await session.recv()
        return len(message)

    async def send(self, session: ClientConnection, message: Message, count: int) -> None:
        for _ in range(count):
            await session.send(message)
