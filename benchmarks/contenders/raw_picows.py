"""picows: its own interface, callbacks from compiled code. No awaitable receive, no compression."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.contenders.base import HTTP_SCENARIOS, Contender, Message, WrongMessageError


class Listener(WSListener):
    """Counts messages down; answers each one while `message` is set."""

    def __init__(self) -> None:
        self.left = 0
        self.length = 0
        self.message: bytes | None = None
        self.kind = WSMsgType.TEXT
        self.done: asyncio.Future[int] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def expect(self, count: int) -> asyncio.Future[int]:
        self.left = count
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.length = len(frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.BINARY:
            self.length = len(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        else:
            raise WrongMessageError(str(frame))
        self.left -= 1
        if not self.left:
            assert self.done is not None
            self.done.set_result(self.length)
        elif self.message is not None:
            transport.send(self.kind, self.message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(ConnectionResetError("picows lost its connection"))

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


def encoded(message: Message) -> tuple[WSMsgType, bytes]:
    if isinstance(message, str):
        return WSMsgType.TEXT, message.encode()
    return WSMsgType.BINARY, message


class Picows(Contender[Listener]):
    packages: ClassVar = ("picows",)
    skips: ClassVar = HTTP_SCENARIOS | {"flood_deflate1k"}

    async def open(self, url: str) -> Listener:
        _, listener = await ws_connect(
            Listener,
            url,
            ssl_context=self.tls,
            enable_auto_ping=self.keepalive is not None,
            auto_ping_idle_timeout=self.keepalive or 10,
        )
        assert isinstance(listener, Listener)
        return listener

    async def close(self, session: Listener) -> None:
        session.transport.send_close(1000)  # type: ignore[arg-type]
        await session.transport.wait_disconnected()

    async def round_trips(self, session: Listener, message: Message, count: int) -> int:
        session.kind, session.message = encoded(message)
        done = session.expect(count)
        session.transport.send(session.kind, session.message)
        length = await done
        session.message = None
        return length

    async def receive(self, session: Listener, count: int) -> int:
        return await session.expect(count)

    async def send(self, session: Listener, message: Message, count: int) -> None:
        transport = session.transport
        writable = session.writable
        for _ in range(count):
            kind, data = encoded(message)
            transport.send(kind, data)
            if not writable.is_set():
                await writable.wait()
