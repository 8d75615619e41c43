"""A server that speaks what `SequenceResume` speaks: it numbers, acknowledges, keeps and repeats.

It is as short as it can be; `docs/explanation/reconnecting.md` says what goes over the wire.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from ktor_client import ConnectionClosedError
from ktor_client.session import DefaultWebSocketSession

Message = str | bytes


class Stream:
    """What the server knows of one client, whatever connections it comes by."""

    def __init__(self) -> None:
        self.received: list[tuple[int, Message]] = []
        """Number and content of each message, in the order in which they came."""
        self.last = 0
        self.sent = 0
        self.kept: OrderedDict[int, Message] = OrderedDict()
        self.session: DefaultWebSocketSession | None = None

    async def send(self, message: Message) -> None:
        """Send a message now, or when the client is back."""
        self.sent += 1
        self.kept[self.sent] = message
        if self.session is not None:
            with suppress(ConnectionClosedError):
                await _send(self.session, self.sent, message)

    def acknowledged(self, number: int) -> None:
        while self.kept and next(iter(self.kept)) <= number:
            self.kept.popitem(last=False)


class SequenceServer:
    """The streams that are known; `serve` one connection of any of them."""

    def __init__(
        self,
        on_message: Callable[[Stream, Message], object] | None = None,
        *,
        acknowledge_every: int = 1,
        idle: float | None = None,
    ) -> None:
        """Acknowledge every so many messages, and the rest after `idle` seconds."""
        self._idle = idle
        self.streams: dict[str, Stream] = {}
        self._on_message = on_message
        self._every = acknowledge_every

    async def serve(self, session: DefaultWebSocketSession) -> None:
        word, name, number = (await session.receive_text()).split()
        assert word == "resume"
        known = name in self.streams
        stream = self.streams.setdefault(name, Stream())
        stream.acknowledged(int(number))
        await session.send(f"{'resumed' if known or number == '0' else 'reset'} {stream.last}")
        stream.session = session
        idle = None
        if self._idle is not None:
            idle = asyncio.create_task(self._acknowledge_now_and_then(stream, session, self._idle))
        try:
            for kept in list(stream.kept.items()):
                await _send(session, *kept)
            async for message in session:
                await self._take(stream, message, session)
        except ConnectionClosedError:
            pass
        finally:
            if idle is not None:
                idle.cancel()
                await asyncio.wait({idle})
            if stream.session is session:
                stream.session = None

    @staticmethod
    async def _acknowledge_now_and_then(
        stream: Stream, session: DefaultWebSocketSession, idle: float
    ) -> None:
        told = 0
        with suppress(ConnectionClosedError):
            while True:
                await asyncio.sleep(idle)
                if stream.last > told:
                    told = stream.last
                    await session.send(f"ack {told}")

    async def _take(
        self, stream: Stream, message: Message, session: DefaultWebSocketSession
    ) -> None:
        if isinstance(message, str):
            word, _, content = message.partition(" ")
            if word == "ack":
                stream.acknowledged(int(content))
                return
            number: int = int(word)
            whole: Message = content
        else:
            number, whole = int.from_bytes(message[:8], "big"), message[8:]
        if number > stream.last:  # else it has come already
            stream.last = number
            stream.received.append((number, whole))
            if self._on_message is not None:
                self._on_message(stream, whole)
        if number % self._every == 0:
            await session.send(f"ack {stream.last}")


async def _send(session: DefaultWebSocketSession, number: int, message: Message) -> None:
    if isinstance(message, bytes):
        await session.send(number.to_bytes(8, "big") + message)
    else:
        await session.send(f"{number} {message}")
